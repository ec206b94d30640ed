"""Protocols of what a panel needs from its client: `AsyncClient`, or a recording in tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

Object = Mapping[str, Any]


class StreamEvent(Protocol):
    """Event of the stream; see `client.ServerEvent`."""

    @property
    def event(self) -> str:
        """Name of the event."""

    @property
    def data(self) -> Any:
        """Decoded data of the event."""


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

    async def cluster(self) -> Object:
        """Return name, version and namespace of the cluster, and the user."""

    async def namespaces(self) -> list[str]:
        """Return the names of the namespaces."""

    async def pause(self, namespace: str, name: str, paused: bool) -> None:
        """Pause a workspace, or resume it."""

    async def restart(self, namespace: str, name: str) -> None:
        """Restart a workspace."""

    async def stop_now(self, namespace: str, name: str) -> None:
        """Stop a stopping workspace without the rest of its grace period."""

    async def delete(self, namespace: str, name: str) -> None:
        """Delete a workspace."""

    async def create(self, namespace: str, body: Object) -> None:
        """Create a workspace from a create model."""

    async def progress(self, namespace: str, name: str) -> Object:
        """Return the state and the steps of a start."""

    async def events(self, namespace: str, name: str) -> Sequence[Object]:
        """Return the Kubernetes events of a workspace."""

    async def details(self, namespace: str, name: str) -> Object:
        """Return pod and volumes of a workspace."""

    def logs(self, namespace: str, name: str, tail: int) -> AsyncIterator[str]:
        """Yield the last `tail` lines, then new ones."""

    async def claims(self, namespace: str) -> Sequence[Object]:
        """Return the volumes of a namespace."""

    async def model(self, namespace: str, name: str) -> Object:
        """Return the update model of a workspace. Raises `WorkspaceError` 404."""

    async def create_claim(self, namespace: str, name: str, size: str) -> None:
        """Create a claim."""

    async def delete_claim(self, namespace: str, name: str) -> None:
        """Delete a claim and its files."""

    async def connect_request(
        self, method: str, path: str, body: Any = None
    ) -> tuple[int, str, bytes]:
        """Send a request to a connect path. Returns status, media type and body."""

    async def picture(self, url: str) -> tuple[str, bytes]:
        """Return media type and bytes of a kind's logo."""
