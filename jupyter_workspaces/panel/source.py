"""What the panel needs of a server of workspaces; the client's `AsyncClient` answers to it, a test's recording too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

Object = Mapping[str, Any]


class Change(Protocol):
    """One event of the stream: `snapshot`, `workspace`, `workspacekind`, `stale`, `alive` or `resync` (reload all), and its data."""

    @property
    def event(self) -> str: ...

    @property
    def data(self) -> Any: ...


class Source(Protocol):
    """Every method raises `WorkspaceError` where the server refuses or cannot be reached."""

    namespace: str

    @property
    def root(self) -> str:
        """Where the server stands, ending in `/`: `http://127.0.0.1:8888/user/anna/`."""

    @property
    def same_page(self) -> bool:
        """Whether it is the Jupyter server that serves the page too; the page then knows its public address better."""

    def changes(self, namespace: str | None) -> AsyncIterator[Change]:
        """Live changes of one namespace, of all with None. Ends or raises when the connection is lost."""

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
        """The last `tail` lines, then the new ones as they come."""

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
        """Media type and bytes of a kind's logo; only from the server itself."""
