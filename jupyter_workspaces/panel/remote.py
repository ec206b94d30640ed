"""Which server a panel speaks to: the client that was given, else the one that `jw.list()` and its like use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from .source import Source

if TYPE_CHECKING:
    from jupyter_workspaces.client import AsyncClient, Client


def connector(client: Client | AsyncClient | None) -> Callable[[], Awaitable[Source]]:
    """Connects on the private thread, when the panel asks for it. What comes back raises `WorkspaceError` while there is no server."""
    from jupyter_workspaces.client import AsyncClient, default

    chosen = default() if client is None else client
    asynchronous = chosen if isinstance(chosen, AsyncClient) else chosen.asynchronous

    async def connect() -> Source:
        await asynchronous.connect()
        return asynchronous

    return connect
