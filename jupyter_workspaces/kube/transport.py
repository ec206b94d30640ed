"""Sends requests to a Kubernetes API server: credentials, timeouts, retry after 401, errors.

`client.py` builds the operations of the API on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from multidict import CIMultiDict

from jupyter_workspaces.common.timeouts import timeout as deadline

from .endpoint import Endpoint
from .errors import (
    BadRequest,
    ClusterError,
    Fenced,
    InvalidResponse,
    Unreachable,
    from_status,
)
from .sockets import keepalive_socket
from .types import Object
from .unreachable import why_proxy, why_unreachable

if TYPE_CHECKING:
    import aiohttp
    from typing_extensions import Self

Query = Mapping[str, str] | Sequence[tuple[str, str]]
"""Query parameters; a sequence if a name is repeated."""

REQUEST_SECONDS = 30
CONNECT_SECONDS = 10
FIRST_BYTE_SECONDS = 12
"""Timeout of reads: for the response headers, and between two chunks of the body.

Writes may wait for admission webhooks, so they have `REQUEST_SECONDS`.
"""
CLOSE_SECONDS = 5
MESSAGE_BYTES = 8 * 2**20
"""Largest message of a WebSocket."""
USER_AGENT = "jupyter-workspaces"


class Transport:
    """HTTP connections to one API server. Close it when done, or use it as a context manager.

    All requests raise a `ClusterError` for an error response, and its subclass `Unreachable`
    without a valid response.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        answered: Callable[[str, int], None] = lambda method, status: None,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        """Make a transport; it connects at the first request.

        Args:
            endpoint: the API server and the credentials.
            answered: called with the method and status of each response, for metrics.
            may_write: called before each write; false raises `Fenced` instead of sending it.
        """
        self.endpoint = endpoint
        self._answered, self._may_write = answered, may_write
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Return the transport itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""
        await self.close()

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def json(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        content_type: str = "application/json",
        query: Query | None = None,
    ) -> Object:
        """Send a request and return its response, which is a JSON object.

        Args:
            method: HTTP method.
            path: path below the server's root.
            body: body of the request, to be encoded as JSON.
            content_type: media type of the body.
            query: query parameters.
        """
        silence = FIRST_BYTE_SECONDS if method == "GET" else None
        async with self.request(
            method,
            path,
            body=body,
            content_type=content_type,
            query=query,
            whole=REQUEST_SECONDS,
            silence=silence,
        ) as response:
            data = await response.read()
            try:
                return msgspec.json.decode(data, type=dict[str, Any]) if data else {}
            except msgspec.DecodeError:
                where = f"{self.endpoint.name} at {self.endpoint.url}"
                raise InvalidResponse(
                    f"{where} answered {method} {path} with invalid JSON"
                ) from None

    @asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        *,
        whole: float | None = None,
        head: float | None = None,
        silence: float | None = None,
        body: Any = None,
        content_type: str = "application/json",
        query: Query | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request; yield the response once its headers have arrived.

        Timeouts in seconds: `whole` for the request, `head` for the headers of the response,
        `silence` between two chunks of its body.
        """
        import aiohttp  # imported at the first request: it would delay the start of the server

        timeout = aiohttp.ClientTimeout(
            total=whole, connect=CONNECT_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=silence
        )
        headers = {"Accept": "application/json", "User-Agent": USER_AGENT}
        data = None
        if body is not None:
            data = msgspec.json.encode(body)
            headers["Content-Type"] = content_type
        session, again = self._opened(), True
        while True:
            credential = await self.endpoint.headers()
            if method != "GET" and not self._may_write():
                raise Fenced(
                    f"{method} {path} was not sent: another instance may be the leader now"
                )
            try:
                async with deadline(head):
                    response = await session.request(
                        method,
                        self.endpoint.url + path,
                        params=query,
                        data=data,
                        headers=_with(headers, credential),
                        timeout=timeout,
                        allow_redirects=False,
                    )
                async with response:
                    self._answered(method, response.status)
                    if (
                        response.status == 401
                        and again
                        and await self.endpoint.renew(_bearer(credential))
                    ):
                        again = False
                        continue
                    if response.status >= 300:
                        async with deadline(head):
                            raise await _refusal(response, credential)
                    yield response
                    return
            except (aiohttp.ClientError, asyncio.TimeoutError) as error:
                raise self._unreachable(error) from None

    async def websocket(
        self, path: str, protocols: Sequence[str], *, query: Query
    ) -> aiohttp.ClientWebSocketResponse:
        """Open a WebSocket of a pod (exec, port-forward). The caller closes it.

        Raises:
            ClusterError: the error response of the API server.
        """
        import aiohttp

        again = True
        while True:
            credential = await self.endpoint.headers()
            try:
                async with deadline(REQUEST_SECONDS):
                    return await self._opened().ws_connect(
                        self.endpoint.url + path,
                        params=query,
                        headers=_with({"User-Agent": USER_AGENT}, credential),
                        protocols=protocols,
                        timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS),
                        max_msg_size=MESSAGE_BYTES,
                    )
            except aiohttp.WSServerHandshakeError as error:
                if error.status == 401 and again and await self.endpoint.renew(_bearer(credential)):
                    again = False
                    continue
                raise await self._why_no_websocket(path, query, error.status) from error
            except (aiohttp.ClientError, asyncio.TimeoutError) as error:
                raise self._unreachable(error) from None

    async def _why_no_websocket(self, path: str, query: Query, status: int) -> ClusterError:
        """Return the error for a refused handshake, by a request without WebSocket.

        aiohttp drops the body of a refused handshake, which holds the `Status`. API servers from
        1.35 on also require `create`, and only a POST request shows that.
        """
        for method in ("POST", "GET"):
            try:
                await self.json(method, path, query=query)
            except BadRequest as error:
                if status == 400 and "upgrade" not in error.message.lower():
                    return error
            except ClusterError as error:
                return error
        return from_status(
            status, None, f"{self.endpoint.name} refused the WebSocket {path} (HTTP {status})"
        )

    def _opened(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=0, ssl=self.endpoint.ssl_context or True, socket_factory=keepalive_socket
            )
            self._session = aiohttp.ClientSession(
                connector=connector, read_bufsize=2**20, proxy=self.endpoint.proxy
            )
        return self._session

    def _unreachable(self, error: Exception) -> Unreachable:
        way = " by the proxy" if self.endpoint.proxy else ""
        found = Unreachable(
            f"{self.endpoint.name} at {self.endpoint.url} does not answer{way}: "
            f"{why_unreachable(error)}"
        )
        found.timed_out = isinstance(error, asyncio.TimeoutError)
        return found


def _with(headers: Mapping[str, str], credential: CIMultiDict[str]) -> CIMultiDict[str]:
    found = credential.copy()
    found.update(headers)
    return found


def _bearer(headers: Mapping[str, str]) -> str | None:
    authorization = headers.get("Authorization", "")
    return authorization.removeprefix("Bearer ") if authorization.startswith("Bearer ") else None


async def _refusal(response: aiohttp.ClientResponse, credential: Mapping[str, str]) -> ClusterError:
    text = await response.text(errors="replace")
    if response.status == 407:  # the body is the proxy's and may contain its password
        return Unreachable(f"the proxy answered 407{why_proxy(407)}")
    secret = credential.get("Authorization", "").partition(" ")[2]
    if secret:  # a gateway's error may quote request headers
        text = text.replace(secret, "…")
    try:
        body = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        body = None
    error = from_status(response.status, body, text)
    after = response.headers.get("Retry-After", "")
    if after.isascii() and after.isdigit() and len(after) < 6:
        error.retry_after = float(after)
    return error
