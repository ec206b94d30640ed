"""A panel as a page sees it, and waiting for what happens on its private thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recorded import RecordedServer

from jupyter_workspaces.client import portal
from jupyter_workspaces.panel.widget import Panel

LIMIT = 5.0  # seconds


class Page:
    """A panel as a page sees it."""

    def __init__(self, server: RecordedServer, panel: Panel) -> None:
        self.server, self.panel = server, panel
        self.sent: list[dict[str, Any]] = []
        tell = panel.table.send
        panel.table.send = lambda message, *rest: (self.sent.append(message), tell(message, *rest))

    def say(self, **message: Any) -> None:
        """What the front end sends."""
        self.panel.table._on_message(self.panel.table, message, [])

    def row(self, key: str) -> dict[str, Any] | None:
        return next((row for row in self.panel.rows if row["key"] == key), None)

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.sent if message["type"] == kind]

    def settle(self) -> None:
        """Until the private thread has done what it is at."""
        self.on_thread(lambda: None)

    def on_thread(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call where the stream is heard."""

        async def run() -> None:
            function(*arguments)

        portal.run(run(), LIMIT)
