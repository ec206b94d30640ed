"""Controls of the form for a new workspace: fields with hints and errors, and volume selectors."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as widgets

from jupyter_workspaces.client import portal
from jupyter_workspaces.client.names import numbered_name
from jupyter_workspaces.client.spawning import HOME_SIZE

from .form_data import Mount

LABEL_WIDTH = "104px"
NEW, NONE = "\x00new", ""  # values of a volume selector that are no claim names
SIZES = (
    ("1 GiB", "1Gi"),
    ("5 GiB", "5Gi"),
    ("10 GiB", "10Gi"),
    ("50 GiB", "50Gi"),
    ("100 GiB", "100Gi"),
)

Options = list[tuple[str, str]]


class Field:
    """A control with a hint or an error below. `place` identifies it in kinds.js."""

    def __init__(self, control: Any, on_change: Callable[[], None], place: str) -> None:
        """Create the field; calls `on_change` on the private thread after a change."""
        self.control, self.place = control, place
        self.below = widgets.HTML()
        self.box = widgets.VBox([control, self.below])
        self.box.add_class("cw-field")
        self.box.add_class(f"cw-at-{place}")
        self._hint = self._wrong = ""
        control.observe(lambda _change: portal.call(on_change), "value")

    @property
    def value(self) -> str:
        """Value of the control; empty without one."""
        return str(self.control.value if self.control.value is not None else "")

    def offer(self, options: Options, value: str) -> None:
        """Set the options, and select `value`."""
        if list(self.control.options) != options:
            self.control.options = options
        self.control.value = value if any(value == known for _, known in options) else None

    def hint(self, text: str) -> None:
        """Show a hint below the control; an error takes precedence."""
        self._hint = text
        self._draw()

    def wrong(self, text: str) -> None:
        """Show an error below the control; an empty text removes it."""
        self._wrong = text
        self._draw()

    def _draw(self) -> None:
        shown = (
            f'<span class="cw-wrong">{escape(self._wrong)}</span>'
            if self._wrong
            else escape(self._hint)
        )
        if self.below.value != shown:
            self.below.value = shown
            (self.box.add_class if self._wrong else self.box.remove_class)("cw-wrongField")


class Volume:
    """Selector of a volume: an existing one, or a new one with name and size."""

    def __init__(self, title: str, on_change: Callable[[], None], place: str) -> None:
        """Create the selector with its label `title`."""
        style = {"description_width": LABEL_WIDTH}
        self.claim = Field(widgets.Dropdown(description=title, style=style), on_change, place)
        self.name = Field(
            widgets.Text(description="Volume name", style=style), on_change, f"{place}-name"
        )
        sizes = widgets.Dropdown(
            description="Volume size", options=SIZES, value=HOME_SIZE, style=style
        )
        self.size = Field(sizes, on_change, f"{place}-size")
        self.new = [self.name.box, self.size.box]
        self._suggested = ""

    def chosen(self) -> tuple[str, str]:
        """Return the claim's name, and its size if it must be created."""
        if self.claim.value == NEW:
            return self.name.value.strip(), self.size.value
        return self.claim.value, ""

    def suggest(self, name: str, taken: list[str]) -> None:
        """Suggest a free name for a new volume, unless the user entered one."""
        if self.name.value in ("", self._suggested):
            self._suggested = self.name.control.value = numbered_name(name, taken)

    def unfold(self) -> None:
        """Show name and size if a new volume is selected, else hide them."""
        shown = None if self.claim.value == NEW else "none"
        for box in self.new:
            if box.layout.display != shown:
                box.layout.display = shown


class MountLine(Volume):
    """Line for a data volume: volume, mount path, read-only."""

    def __init__(
        self, on_change: Callable[[], None], on_remove: Callable[[MountLine], None], place: str
    ) -> None:
        """Create the line; calls `on_remove` when its button is pressed."""
        super().__init__("Volume", on_change, place)
        self.path = Field(
            widgets.Text(description="Path", style={"description_width": LABEL_WIDTH}),
            on_change,
            f"{place}-path",
        )
        self.read_only = widgets.Checkbox(
            description="read-only", indent=False, layout={"width": "auto"}
        )
        self.read_only.observe(lambda _change: portal.call(on_change), "value")
        self.remove = widgets.Button(description="Remove", layout={"width": "auto"})
        self.remove.on_click(lambda _button: portal.call(on_remove, self))
        tools = widgets.HBox([self.read_only, self.remove])
        tools.add_class("cw-formFoot")
        self.box = widgets.Box([self.claim.box, *self.new, self.path.box, tools])
        self.box.add_class("cw-formFields")

    def mount(self) -> Mount:
        """Return the values of the line."""
        claim, create = self.chosen()
        return Mount(claim, self.path.value.strip(), bool(self.read_only.value), create)
