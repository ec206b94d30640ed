"""The form for a new workspace, from core widgets.

Callbacks of widgets only schedule work: all reads and writes of widgets happen on the client's
private thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import ipywidgets as widgets

from jupyter_workspaces.client import portal
from jupyter_workspaces.client.errors import WorkspaceError
from jupyter_workspaces.client.names import numbered_name
from jupyter_workspaces.client.spawning import create_with_claims

from .form_controls import LABEL_WIDTH, NEW, NONE, Field, MountLine, Options, Volume
from .form_data import (
    Choice,
    Draft,
    Kind,
    by_field,
    choices,
    claim_label,
    preselected,
    suggested_path,
)
from .kind_cards import KindCards, cards, data_uri
from .session import ALL, Session, sentence

MOUNTS_AT_MOST = 12


class Form:
    """Cards and form as two widgets: `cards`, and `box`, hidden until a kind is chosen."""

    def __init__(self, session: Session) -> None:
        """Create the widgets; the session later calls `kinds_changed` and `rows_changed`."""
        self._session = session
        self._pictures: dict[str, str] = {}
        self._claims: Sequence[Mapping[str, Any]] = []
        self._suggested = ""
        self._seen: Draft | None = None
        self._mounts: list[MountLine] = []
        self._lines_made = 0
        self._created = ""  # key of the new workspace while the form reports its start
        self._appeared = False  # whether the table has shown it
        self._busy = self._home_chosen = False
        style = {"description_width": LABEL_WIDTH}
        self.cards = KindCards()
        self.cards.layout.width = "100%"
        self.cards.observe(lambda _change: portal.call(self.choose), "chosen")
        self.cards.on_msg(lambda _cards, message, _buffers: portal.call(self.receive, message))
        self.name = Field(
            widgets.Text(description="Name", style=style, continuous_update=False),
            self.changed,
            "name",
        )
        self.image = Field(
            widgets.Dropdown(description="Image", style=style), self.changed, "image"
        )
        self.size = Field(widgets.Dropdown(description="Size", style=style), self.changed, "size")
        self.home = Volume("Home", self.changed, "home")
        self.hidden = widgets.Checkbox(
            description="Show older options", indent=False, layout={"width": "auto"}
        )
        self.hidden.observe(lambda _change: portal.call(self.offer_options), "value")
        self.add = widgets.Button(description="Add volume", layout={"width": "auto"})
        self.add.on_click(lambda _button: portal.call(self.add_mount))
        self.create = widgets.Button(
            description="Create", button_style="primary", layout={"width": "auto"}
        )
        self.create.on_click(lambda _button: portal.call(self.submit))
        self.python = widgets.ToggleButton(description="Show as Python", layout={"width": "auto"})
        self.python.observe(lambda _change: portal.call(self.changed), "value")
        self.status = widgets.HTML()
        self.code = widgets.HTML()
        self._main = widgets.Box(
            [self.name.box, self.image.box, self.size.box, self.home.claim.box, *self.home.new]
        )
        self._main.add_class("cw-formFields")
        self._lines = widgets.VBox([])
        self._foot = widgets.HBox([self.create, self.add, self.python, self.hidden, self.status])
        self._foot.add_class("cw-formFoot")
        self.box = widgets.VBox(
            [self._main, self._lines, self._foot, self.code], layout={"display": "none"}
        )
        self.box.add_class("jp-ClusterWorkspacesForm")

    # --- on the private thread

    def kinds_changed(self) -> None:
        """Update cards, logos and options after a change of the workspace kinds."""
        self._draw_cards()
        self._session.spawn(self._fetch_pictures())
        if self.kind is not None:
            self.offer_options()

    @property
    def kind(self) -> Kind | None:
        """The chosen workspace kind."""
        return next(
            (kind for kind in self._session.model.kinds() if kind["name"] == self.cards.chosen),
            None,
        )

    @property
    def namespace(self) -> str:
        """Namespace of a new workspace."""
        session = self._session
        usual = session.client.namespace if session.client else "default"
        return usual if session.namespace in (ALL, None) else str(session.namespace)

    def choose(self) -> None:
        """Open the form for the chosen card, or close it."""
        kind = self.kind
        if kind is None:
            self.box.layout.display = "none"
            return
        self._clear_errors()
        self._say("")
        self._suggest_name()
        for field in (self.image, self.size):
            field.control.options, field.control.value = [], None
        self.offer_options()
        self._offer_claims()
        self.box.layout.display = None
        self._session.spawn(self._fetch_claims())

    def offer_options(self) -> None:
        """Update images and sizes. Denied ones are shown as a hint, not as options."""
        kind = self.kind
        if kind is None:
            return
        every = {
            field: choices(kind, dimension)
            for field, dimension in ((self.image, "imageConfig"), (self.size, "podConfig"))
        }
        self.hidden.layout.display = (
            None if any(choice.hidden for found in every.values() for choice in found) else "none"
        )
        for field, found in every.items():
            dimension = "imageConfig" if field is self.image else "podConfig"
            shown = [
                choice
                for choice in found
                if not choice.denied
                and (self.hidden.value or not choice.hidden or choice.id == field.value)
            ]
            known = {choice.id for choice in shown}
            field.offer(
                [(choice.label, choice.id) for choice in shown],
                field.value if field.value in known else preselected(kind, dimension),
            )
        self.changed()

    def add_mount(self) -> None:
        """Add a line for a data volume."""
        if len(self._mounts) < MOUNTS_AT_MOST:
            self._lines_made += 1
            line = MountLine(self.changed, self.remove_mount, f"data{self._lines_made}")
            self._mounts.append(line)
            self._offer_claims()
            self._lines.children = tuple(line.box for line in self._mounts)
            self.changed()

    def remove_mount(self, line: MountLine) -> None:
        """Remove the line of a data volume."""
        if line in self._mounts:
            self._mounts.remove(line)
            self._lines.children = tuple(line.box for line in self._mounts)
            line.box.close()
            self.changed()

    def changed(self) -> None:
        """Update hints, dependent fields and code after a change, and clear errors."""
        kind = self.kind
        if kind is None or self._busy:
            return
        if (draft := self.draft()) != self._seen:
            self._seen = draft
            self._clear_errors()
        for field, dimension in ((self.image, "imageConfig"), (self.size, "podConfig")):
            field.hint(_explain(choices(kind, dimension), field.value))
        self.home.suggest(f"home-{self.name.value}", [str(claim["name"]) for claim in self._claims])
        self.home.unfold()
        for line in self._mounts:
            line.unfold()
            claim, taken = (
                line.chosen()[0],
                [other.path.value for other in self._mounts if other is not line],
            )
            if claim and not line.path.value:
                line.path.control.value = suggested_path(claim, taken)
        usual = self._session.client.namespace if self._session.client else self.namespace
        code = (
            '<pre tabindex="0" aria-label="Python code">'
            f"{escape(self.draft().python(self.namespace, usual))}</pre>"
            if self.python.value
            else ""
        )
        if self.code.value != code:
            self.code.value = code

    def draft(self) -> Draft:
        """Return the values of the form."""
        home, create = self.home.chosen()
        mounts = [line.mount() for line in self._mounts]
        return Draft(
            self.cards.chosen,
            self.name.value.strip(),
            self.image.value,
            self.size.value,
            home,
            create,
            mounts,
        )

    def rows_changed(self) -> None:
        """Update the message about the new workspace once it runs, fails or is deleted."""
        row = self._session.model.row(self._created)
        if not self._created or (row is None and not self._appeared):
            return
        self._appeared = True
        if row is not None and row["state"] == "Pending":
            return
        name, self._created = self._created.partition("/")[2], ""
        if row is None:
            self._say("")
        elif row["state"] == "Running":
            self._say(f"{name} is running.")
        elif row["state"] == "Error":
            self._say(f"{name} needs attention. See above.", wrong=True)
        else:
            self._say("")

    def submit(self) -> None:
        """Create the workspace, unless the last create is in progress."""
        if not self._busy and self.kind is not None:
            self._session.spawn(self._create())

    def receive(self, message: Any) -> None:
        """Handle a message of the page: Enter was pressed. It contains the current field values."""
        if not isinstance(message, dict) or message.get("type") != "submit":
            return
        texts = {
            field.place: field
            for field in (
                self.name,
                self.home.name,
                *(f for line in self._mounts for f in (line.name, line.path)),
            )
        }
        for place, text in dict(message.get("texts") or {}).items():
            if place in texts and isinstance(text, str) and texts[place].value != text:
                texts[place].control.value = text
        self.submit()

    async def _create(self) -> None:
        client, draft, namespace = self._session.client, self.draft(), self.namespace
        self._clear_errors()
        self._seen = draft
        if (wrong := draft.wrong(self._home_path())) or client is None:
            self._refuse(wrong, "Not created yet." if wrong else "Not connected to the server.")
            return
        self._busy, self.create.description = True, "Creating…"
        self._say(f"Creating {draft.name}…")
        try:
            await create_with_claims(client, namespace, draft.body(), draft.new_claims())
        except WorkspaceError as error:
            placed, rest = by_field(error.fields)
            self._refuse(
                placed, " ".join(["Not created.", *(rest or ([] if placed else [sentence(error)]))])
            )
        else:
            self._created, self._appeared = f"{namespace}/{draft.name}", False
            self._say(f"Creating {draft.name}. Follow it above.")
            self.rows_changed()
            self._suggest_name(besides=draft.name)
        finally:
            self._busy, self.create.description = False, "Create"
        await self._fetch_claims()

    def _refuse(self, wrong: Mapping[str, str], text: str) -> None:
        """Show and announce errors at the fields and below the form; focus the first field."""
        self._show_errors(wrong)
        self._say(f"{text} See above." if wrong else text, wrong=True)
        found = [(field, wrong[place]) for place, field in self._places().items() if place in wrong]
        if found:
            self.cards.send(
                {
                    "type": "say",
                    "text": " ".join(
                        [text, *(f"{field.control.description}: {why}" for field, why in found)]
                    ),
                }
            )
            self.cards.send({"type": "focus", "place": found[0][0].place})

    def _home_path(self) -> str:
        template = (self.kind or {}).get("podTemplate") or {}
        return str((template.get("volumeMounts") or {}).get("home") or "")

    def _suggest_name(self, besides: str = "") -> None:
        """Suggest a free name, unless the user entered one."""
        if self.kind is not None and (besides or self.name.value in ("", self._suggested)):
            taken = [
                row["name"]
                for row in self._session.model.rows()
                if row["namespace"] == self.namespace
            ]
            self._suggested = numbered_name(
                str(self.kind.get("displayName") or self.kind["name"]), [*taken, besides]
            )
            self.name.control.value = self._suggested

    async def _fetch_claims(self) -> None:
        if self._session.client is not None:
            try:
                self._claims = [
                    claim
                    for claim in await self._session.client.claims(self.namespace)
                    if claim.get("canMount")
                ]
            except WorkspaceError as error:
                self.home.claim.hint(f"Cannot list volumes: {error}")
            self._offer_claims()
            self._home_chosen = True
            self.changed()

    def _offer_claims(self) -> None:
        known: Options = [(claim_label(claim), str(claim["name"])) for claim in self._claims]
        new: Options = [("New volume…", NEW)]
        # The suggestion is never an existing volume: another user may own it.
        chosen = self.home.claim.value if self._home_chosen else NEW
        self.home.claim.offer([*known, *new], chosen)
        taken = [str(claim["name"]) for claim in self._claims]
        self.home.suggest(f"home-{self.name.value}", taken)
        for index, line in enumerate(self._mounts):
            line.claim.offer([("Select…", NONE), *known, *new], line.claim.value)
            if not line.name.value:
                line.name.control.value = numbered_name(
                    f"data-{self.name.value}",
                    [*taken, *(other.name.value for other in self._mounts[:index])],
                )

    async def _fetch_pictures(self) -> None:
        client = self._session.client
        urls = {
            str((kind.get("logo") or {}).get("url", "")) for kind in self._session.model.kinds()
        }
        wanted = [url for url in urls if url and url not in self._pictures]
        if client is None or not wanted:
            return
        answers = await asyncio.gather(
            *(client.picture(url) for url in wanted), return_exceptions=True
        )
        for url, answer in zip(wanted, answers, strict=True):
            if isinstance(answer, WorkspaceError):
                self._pictures[url] = ""  # the card shows a letter instead
            elif isinstance(answer, BaseException):
                raise answer
            else:
                self._pictures[url] = data_uri(*answer)
        self._draw_cards()

    def _draw_cards(self) -> None:
        drawn = cards(self._session.model.kinds(), self._pictures)
        if self.cards.kinds != drawn:
            self.cards.kinds = drawn

    def _show_errors(self, wrong: Mapping[str, str]) -> None:
        for place, field in self._places().items():
            said = [wrong[place]] if place in wrong else []
            if (
                field is self.image and "kind" in wrong
            ):  # the kind has no field; the image is the nearest
                said.append(wrong["kind"])
            field.wrong(" ".join(said))

    def _clear_errors(self) -> None:
        self._show_errors({})

    def _places(self) -> dict[str, Field]:
        places = {
            "name": self.name,
            "image": self.image,
            "size": self.size,
            "home": self.home.claim,
            "home-name": self.home.name,
        }
        return {
            **places,
            **{f"data[{index}]": line.claim for index, line in enumerate(self._mounts)},
        }

    def _say(self, text: str, wrong: bool = False) -> None:
        said = f"<span{' class=cw-wrong' if wrong else ''}>{escape(text)}</span>"
        if self.status.value != said:
            self.status.value = said
            self.cards.send({"type": "say", "text": text})


def _explain(found: list[Choice], chosen: str) -> str:
    choice = next((choice for choice in found if choice.id == chosen), None)
    said = [choice.description] if choice is not None and choice.description else []
    said += [
        f"Not available: {denied.label} ({denied.denied})."
        for denied in found
        if denied.denied and not denied.hidden
    ]
    return " ".join(text if text.endswith((".", ")")) else f"{text}." for text in said)
