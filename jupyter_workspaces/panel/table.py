"""Widget of the table: exchanges messages with the page, and holds the first rows as state."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from importlib.resources import files
from typing import Any, cast

import anywidget
import traitlets

Message = dict[str, Any]


def module(*names: str) -> str:
    """Return files of this package, joined to the one module or stylesheet of a widget."""
    folder = files(__package__)
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


class Table(anywidget.AnyWidget):
    """The table of workspaces. `receive` is called with messages of the page, on any thread."""

    _esm = module(
        "rows.js",
        "details.js",
        "table.js",
        "live.js",
        "columns.js",
        "row_order.js",
        "actions.js",
        "trust.js",
        "keys.js",
        "widget.js",
    )
    _css = module("table.css", "details.css")

    first = traitlets.Dict().tag(sync=True)
    fallback = traitlets.Unicode().tag(sync=True)

    def __init__(self, receive: Callable[[Message], None], first: Callable[[], Message]) -> None:
        """Create the table.

        Args:
            receive: Handles a message of the page.
            first: Returns the current rows.
        """
        self._receive, self._first = receive, first
        super().__init__(
            first=first(), fallback=f"jp-ClusterWorkspaces-plain-{secrets.token_hex(6)}"
        )
        self.layout.width = "100%"
        self.on_msg(self._on_message)

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> Message:
        """Return the state, with the current rows for a page that was reloaded."""
        state = cast(Message, super().get_state(key, drop_defaults))
        if key is None:
            state["first"] = self._first()
        return state

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if isinstance(content, dict) and isinstance(content.get("type"), str):
            self._receive(content)
