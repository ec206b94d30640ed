"""HTTP requests of the client: the connection to its server, and errors as exceptions.

`AsyncClient` derives from `Transport` and adds the operations.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from .discovery import (
    ConnectionOptions,
    Server,
    as_written,
    failure_reason,
    find,
)
from .errors import Unreachable, WorkspaceError

if TYPE_CHECKING:
    import aiohttp

REQUEST_SECONDS = 30.0
HINTS = {
    401: "Sign in again, or set JUPYTER_WORKSPACES_TOKEN.",
    403: "Sign in again, or ask the server's administrator for access.",
    503: "Try again in a moment.",
}


T = TypeVar("T", bound="Transport")


class ConnectionFailed(Unreachable):
    """No connection, so the server did not receive the request."""


class Transport:
    """Connection to one server, which is discovered on the first request."""

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        namespace: str | None = None,
        start: bool = True,
    ) -> None:
        """Create a client; it connects on the first request.

        Args:
            url: Address of the server; by default it is discovered.
            token: Token for it; by default JUPYTER_WORKSPACES_TOKEN.
            namespace: Default namespace; by default JUPYTER_WORKSPACES_NAMESPACE, else the
                server's own, which is known after `connect`.
            start: Whether to start a local server if none is found.
        """
        self.namespace = namespace or os.environ.get("JUPYTER_WORKSPACES_NAMESPACE", "")
        self._url, self._token, self._start = url, token, start
        self._server: Server | None = None
        self._session: aiohttp.ClientSession | None = None
        self._way: ConnectionOptions | None = None
        self._finding: asyncio.Lock | None = None

    def __repr__(self) -> str:
        """Return the class name and the server's address."""
        named = (self._url or "").partition("?")[0]  # the query may contain a token
        return f"{type(self).__name__}({self.root or named or 'not connected yet'!r})"

    async def __aenter__(self: T) -> T:
        """Connect. Leaving the block closes the client."""
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the client."""
        await self.close()

    @property
    def root(self) -> str:
        """Base URL of the server, ending in `/`; empty before the first request."""
        return self._server.root if self._server is not None else ""

    @property
    def is_chosen(self) -> bool:
        """Whether the server is known or given, so that none needs to be started."""
        return self._server is not None or self._url is not None

    @property
    def same_page(self) -> bool:
        """Whether the server is the Jupyter server of this notebook's page."""
        return self._server is not None and self._server.same_page

    async def connect(self) -> Server:
        """Discover the server, if not done yet. Raises `WorkspaceError`."""
        if self._finding is None:
            self._finding = asyncio.Lock()
        async with self._finding:
            if self._server is None:
                self._server = await find(self._url, self._token, start=self._start)
            if not self.namespace:
                self.namespace = await self._own_namespace(self._server)
            return self._server

    async def _own_namespace(self, server: Server) -> str:
        """Return the namespace of the server's credentials."""
        async with await self._ask(server, "GET", f"{server.api}/cluster") as answer:
            if answer.status == 404:
                return "default"  # Kubeflow's own server does not have this route
            if answer.status >= 300:
                raise _refused(answer.status, await answer.read(), server.root)
            return str((await answer.json())["data"].get("namespace") or "default")

    async def usual_namespace(self) -> str:
        """Return the default namespace. Raises `WorkspaceError`."""
        if not self.namespace:
            await self.connect()
        return self.namespace

    async def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _data(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        media: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": media} if data is not None else None
        async with self._request(method, path, data=data, query=query, headers=headers) as answer:
            raw = await answer.read()
        try:
            return json.loads(raw)["data"] if raw else None
        except (ValueError, KeyError, TypeError) as error:
            raise WorkspaceError(
                f"The response to {method} {path} is not valid.",
                "Check that the address is that of a workspaces server.",
            ) from error

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        *,
        data: bytes | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        silence: float | None = REQUEST_SECONDS,
        into_workspace: bool = False,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request to the API, or to a program in a workspace.

        Raises `WorkspaceError` for error responses of the API.
        """
        import aiohttp

        async def ask(server: Server) -> aiohttp.ClientResponse:
            url = server.root + path if into_workspace else f"{server.api}/{path}"
            return await self._ask(
                server, method, url, data=data, query=query, headers=headers, silence=silence
            )

        try:
            answer = await ask(await self.connect())
        except ConnectionFailed:
            # Safe to repeat. A shared server that stopped is started again, at another address.
            answer = await ask(await self.connect())
        async with answer:
            try:
                if answer.status >= 300 and not into_workspace:
                    raise _refused(answer.status, await answer.read(), str(answer.url.origin()))
                yield answer
            except (aiohttp.ClientError, asyncio.TimeoutError) as error:
                raise no_response(error) from error

    async def _ask(
        self,
        server: Server,
        method: str,
        url: str,
        *,
        data: bytes | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        silence: float | None = REQUEST_SECONDS,
    ) -> aiohttp.ClientResponse:
        """Send a request.

        Raises `ConnectionFailed` if nothing was sent, `Unreachable` if the response was lost.
        """
        import aiohttp

        sent = dict(headers or {}) | (
            {"Authorization": f"token {server.token}"} if server.token else {}
        )
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_SECONDS, sock_read=silence)
        try:
            return await (await self._open(server.way)).request(
                method,
                as_written(url),
                data=data,
                params=query,
                headers=sent,
                timeout=timeout,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, asyncio.TimeoutError) as error:
            self._server = None  # it may come back at another address
            if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)):
                raise ConnectionFailed(
                    no_response(error).message, no_response(error).hint
                ) from error
            raise no_response(error) from error

    async def _open(self, way: ConnectionOptions) -> aiohttp.ClientSession:
        if self._session is not None and way != self._way:  # another server
            await self.close()
        if self._session is None or self._session.closed:
            self._session, self._way = way.session(), way
        return self._session


def _refused(status: int, body: bytes, root: str) -> WorkspaceError:
    fields: dict[str, str] = {}
    message = f"The server returned status {status}."
    try:
        error = json.loads(body).get("error") or {}
        message = str(error.get("message") or message)
        cause = error.get("cause") or {}
        for found in cause.get("validation_errors") or ():
            fields[str(found.get("field", ""))] = str(found.get("message", ""))
        conflicts = [str(found.get("message", "")) for found in cause.get("conflict_cause") or ()]
        if conflicts:
            message = conflicts[0]
    except (ValueError, AttributeError, TypeError):
        if status in (301, 302, 303):
            message, status = f"The server at {root} requires you to sign in.", 401
    kind = Unreachable if status == 503 else WorkspaceError
    return kind(message, HINTS.get(status, ""), fields, status)


def no_response(error: Exception) -> Unreachable:
    """Return the exception for a request without a response."""
    return Unreachable(
        f"The workspaces server does not respond: {failure_reason(error)}.",
        "Try again in a moment.",
    )
