"""The table as a widget: it carries messages between the live rows and the front end, and the first answer in its own state."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from importlib.resources import files
from typing import Any, cast

import anywidget
import traitlets

Message = dict[str, Any]


def module(*names: str) -> str:
    """Our small JavaScript files as the one module that a widget is made of; the last of them has the export."""
    room = files(__package__)
    return "\n".join((room / name).read_text(encoding="utf-8") for name in names)


class Table(anywidget.AnyWidget):
    """Rows by key. `receive` gets the front end's messages on whatever thread the kernel runs callbacks on, `first` gives the newest answer."""

    _esm = module(
        "rows.js",
        "details.js",
        "table.js",
        "live.js",
        "columns.js",
        "placing.js",
        "actions.js",
        "trust.js",
        "keys.js",
        "widget.js",
    )
    _css = module("table.css", "details.css")

    first = traitlets.Dict().tag(sync=True)
    fallback = traitlets.Unicode().tag(sync=True)

    def __init__(self, receive: Callable[[Message], None], first: Callable[[], Message]) -> None:
        self._receive, self._first = receive, first
        super().__init__(
            first=first(), fallback=f"jp-ClusterWorkspaces-plain-{secrets.token_hex(6)}"
        )
        self.layout.width = "100%"
        self.on_msg(self._on_message)

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> Message:
        """As always, but whoever asks for the whole state (a page that was loaded again) gets what is true now."""
        state = cast(Message, super().get_state(key, drop_defaults))
        if key is None:
            state["first"] = self._first()
        return state

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if isinstance(content, dict) and isinstance(content.get("type"), str):
            self._receive(content)
