"""Connection of a panel to its server, by a given client or the default one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from .protocols import PanelClient

if TYPE_CHECKING:
    from jupyter_workspaces.client import AsyncClient, Client


def connector(client: Client | AsyncClient | None) -> Callable[[], Awaitable[PanelClient]]:
    """Return a coroutine function that connects and returns the client.

    It runs on the private thread and raises `WorkspaceError` without a server.
    """
    from jupyter_workspaces.client import AsyncClient, default

    chosen = default() if client is None else client
    asynchronous = chosen if isinstance(chosen, AsyncClient) else chosen.asynchronous

    async def connect() -> PanelClient:
        await asynchronous.connect()
        return asynchronous

    return connect
