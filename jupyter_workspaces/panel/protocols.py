"""Protocols of what a panel needs from its client: `AsyncClient`, or a recording in tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

Object = Mapping[str, Any]


class StreamEvent(Protocol):
    """Event of the stream; see `client.ServerEvent`."""

    @property
    def event(self) -> str: ...

    @property
    def data(self) -> Any: ...


class PanelClient(Protocol):
    """Client of a server; see `client.AsyncClient`. All methods raise `WorkspaceError`."""

    namespace: str

    @property
    def root(self) -> str:
        """Base URL of the server, ending in `/`."""

    @property
    def same_page(self) -> bool:
        """Whether the server also serves the notebook's page, which then knows the public URL."""

    def changes(self, namespace: str | None) -> AsyncIterator[StreamEvent]:
        """Yield events of one namespace, or of all for None, until the connection is lost."""

    async def cluster(self) -> Object: ...

    async def namespaces(self) -> list[str]: ...

    async def pause(self, namespace: str, name: str, paused: bool) -> None: ...

    async def restart(self, namespace: str, name: str) -> None: ...

    async def stop_now(self, namespace: str, name: str) -> None: ...

    async def delete(self, namespace: str, name: str) -> None: ...

    async def create(self, namespace: str, body: Object) -> None: ...

    async def progress(self, namespace: str, name: str) -> Object: ...

    async def events(self, namespace: str, name: str) -> Sequence[Object]: ...

    async def details(self, namespace: str, name: str) -> Object: ...

    def logs(self, namespace: str, name: str, tail: int) -> AsyncIterator[str]:
        """Yield the last `tail` lines, then new ones."""

    async def claims(self, namespace: str) -> Sequence[Object]: ...

    async def model(self, namespace: str, name: str) -> Object:
        """Return the update model of a workspace. Raises `WorkspaceError` 404."""

    async def create_claim(self, namespace: str, name: str, size: str) -> None: ...

    async def delete_claim(self, namespace: str, name: str) -> None: ...

    async def connect_request(
        self, method: str, path: str, body: Any = None
    ) -> tuple[int, str, bytes]:
        """Send a request to a connect path. Returns status, media type and body."""

    async def picture(self, url: str) -> tuple[str, bytes]:
        """Return media type and bytes of a kind's logo."""
