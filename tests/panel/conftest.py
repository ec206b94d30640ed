"""Panels on a recorded server, without a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from panel_page import LIMIT, Page
from recorded import RecordedServer

from jupyter_workspaces.client import portal
from jupyter_workspaces.panel.widget import Panel


@pytest.fixture
def server() -> RecordedServer:
    return RecordedServer()


@pytest.fixture
def open_panel(server: RecordedServer) -> Iterator[Callable[..., Page]]:
    """Open a panel on the recorded server."""
    opened: list[Panel] = []

    def start(namespace: str | None = None) -> Page:
        async def connect() -> RecordedServer:
            if (error := server.refuse.get("connect")) is not None:
                raise error
            return server

        opened.append(Panel(connect, namespace))
        return Page(server, opened[-1])

    yield start
    for panel in opened:
        portal.run(panel._session.close(), LIMIT)
        panel.close()
