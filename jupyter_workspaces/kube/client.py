"""Asynchronous client of the Kubernetes API: objects are plain dicts, errors are exceptions.

The official client (`kubernetes`) is not used: it is synchronous, it makes a Python object of every
part of an object, and its watch neither handles bookmarks nor detects a dead connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from multidict import CIMultiDict

from jupyter_workspaces.common.timeouts import timeout as deadline

from .catalog import Resource
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

Query = Mapping[str, str] | Sequence[tuple[str, str]]
"""Query parameters; a sequence if a name is repeated."""

PAGE = 500
REQUEST_SECONDS = 30
CONNECT_SECONDS = 10
FIRST_BYTE_SECONDS = 12
"""Timeout of reads: for the response headers, and between two chunks of the body.

Writes may wait for admission webhooks, so they have `REQUEST_SECONDS`.
"""
WATCH_SECONDS = 290
WATCH_MARGIN_SECONDS = 5
"""Time after `timeoutSeconds` at which the client closes a watch that the server has not ended."""
CLOSE_SECONDS = 5
WATCH_LINE_BYTES = 8 * 2**20
USER_AGENT = "jupyter-workspaces"


@dataclass(frozen=True)
class Listing:
    """A list at one revision, from which a watch can start. `pages` is the number of requests."""

    items: list[Object]
    resource_version: str
    pages: int = 1


@dataclass(frozen=True)
class WatchEvent:
    """An event of a watch. `type` is ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    object: Object


class Cluster:
    """Client of one Kubernetes API. Close it when done, or use it as a context manager.

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
        """Make a client; it connects at the first request.

        Args:
            endpoint: the API server and the credentials.
            answered: called with the method and status of each response, for metrics.
            may_write: called before each write; false raises `Fenced` instead of sending it.
        """
        self.endpoint = endpoint
        self._answered, self._may_write = answered, may_write
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Cluster:
        """Return the client itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the client."""
        await self.close()

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        """Return an object.

        Raises:
            NotFound: it does not exist.
        """
        return await self._json("GET", resource.path(namespace, name))

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> Listing:
        """List all objects, in pages of 500 so that no event loop stalls.

        Without `namespace` objects of all namespaces are listed.

        Raises:
            InvalidResponse: the JSON is not a list. It must not be taken for an empty list.
        """
        items: list[Object] = []
        query = _selectors(label_selector, field_selector) | {"limit": str(PAGE)}
        pages = 0
        while True:
            pages += 1
            try:
                page = await self._json("GET", resource.path(namespace), query=query)
                metadata = _checked_page(
                    page, f"{self.endpoint.name} at {self.endpoint.url}", resource
                )
            except ClusterError as error:
                error.requests = pages
                raise
            items += page.get("items") or ()
            if not metadata.get("continue"):
                break
            query["continue"] = metadata["continue"]
        for item in items:  # a typed list leaves these out of its items
            item.setdefault("apiVersion", resource.api_version)
            item.setdefault("kind", resource.kind)
        return Listing(items, metadata["resourceVersion"], pages)

    async def create(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        namespace: str | None = None,
        *,
        dry_run: bool = False,
    ) -> Object:
        """Create an object and return it as stored.

        Raises:
            AlreadyExists: there is an object with this name.
            Invalid: the object is invalid.
        """
        return await self._json(
            "POST", resource.path(namespace), body=body, query=_dry_run(dry_run)
        )

    async def replace(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        *,
        subresource: str | None = None,
        dry_run: bool = False,
    ) -> Object:
        """Replace the object that `body.metadata` names, and return it as stored.

        Raises:
            Conflict: `metadata.resourceVersion` is given and no longer current.
        """
        metadata = body["metadata"]
        path = resource.path(metadata.get("namespace"), metadata["name"], subresource)
        return await self._json("PUT", path, body=body, query=_dry_run(dry_run))

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        namespace: str | None = None,
        *,
        subresource: str | None = None,
        dry_run: bool = False,
    ) -> Object:
        """Patch an object and return it as stored.

        A mapping is sent as a merge patch (RFC 7386), a sequence as a JSON patch (RFC 6902).
        """
        media = (
            "application/merge-patch+json"
            if isinstance(patch, Mapping)
            else "application/json-patch+json"
        )
        path = resource.path(namespace, name, subresource)
        return await self._json(
            "PATCH", path, body=patch, content_type=media, query=_dry_run(dry_run)
        )

    async def apply(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        *,
        manager: str,
        force: bool = False,
        dry_run: bool = False,
    ) -> Object:
        """Apply an object (server-side apply): `manager` owns the fields of `body` afterwards.

        Raises:
            Conflict: another manager owns a field with another value, and `force` is false.
        """
        metadata = body["metadata"]
        query = {
            "fieldManager": manager,
            "force": "true" if force else "false",
            "fieldValidation": "Strict",
        } | _dry_run(dry_run)
        path = resource.path(metadata.get("namespace"), metadata["name"])
        return await self._json(
            "PATCH", path, body=body, content_type="application/apply-patch+yaml", query=query
        )

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        propagation: str | None = None,
        grace_seconds: int | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> Object:
        """Delete an object; return the object, or the `Status` of the deletion.

        Args:
            resource: resource type of the object.
            name: name of the object.
            namespace: namespace of the object; None if it is cluster-scoped.
            propagation: `propagationPolicy`: Background, Foreground or Orphan.
            grace_seconds: `gracePeriodSeconds`.
            uid: precondition: UID of the object.
            resource_version: precondition: current version of the object.

        Raises:
            NotFound: the object does not exist.
            Conflict: a precondition does not hold.
        """
        preconditions = {
            key: value
            for key, value in (("uid", uid), ("resourceVersion", resource_version))
            if value is not None
        }
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if propagation is not None:
            options["propagationPolicy"] = propagation
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        if preconditions:
            options["preconditions"] = preconditions
        return await self._json("DELETE", resource.path(namespace, name), body=options)

    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str | None = None,
        field_selector: str | None = None,
        seconds: int = WATCH_SECONDS,
        opened: Callable[[], None] = lambda: None,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Watch changes after `resource_version` for `seconds`, the watch's `timeoutSeconds`.

        Calls `opened` when the server accepts the watch.

        Raises:
            Expired: the version is too old.
            InvalidResponse: the server sent an invalid event.
            Unreachable: the connection broke, or the server did not end the watch in time.
        """
        query = _selectors(label_selector, field_selector)
        query |= {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(seconds),
        }
        where = f"{self.endpoint.name} at {self.endpoint.url}"
        async with self._request(
            "GET", resource.path(namespace), query=query, head=FIRST_BYTE_SECONDS
        ) as response:
            opened()
            end = asyncio.get_running_loop().time() + seconds + WATCH_MARGIN_SECONDS
            async for line in _lines(response, end, where):
                event = _watch_event(line, where, resource)
                if event.type == "ERROR":
                    raise from_status(event.object.get("code", 500), event.object)
                yield event

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        read_seconds: float | None = REQUEST_SECONDS,
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """Open a GET request and yield its body as a stream, for the log of a pod.

        `read_seconds` is the timeout between two chunks; None is no timeout.
        """
        async with self._request("GET", path, query=query, silence=read_seconds) as response:
            yield response.content

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
                        max_msg_size=WATCH_LINE_BYTES,
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
                await self._json(method, path, query=query)
            except BadRequest as error:
                if status == 400 and "upgrade" not in error.message.lower():
                    return error
            except ClusterError as error:
                return error
        return from_status(
            status, None, f"{self.endpoint.name} refused the WebSocket {path} (HTTP {status})"
        )

    async def raw(
        self, method: str, path: str, *, body: Any = None, query: Mapping[str, str] | None = None
    ) -> Object:
        """Send any other request with JSON, by its path below the server's root (`/version`)."""
        return await self._json(method, path, body=body, query=query)

    async def _json(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        content_type: str = "application/json",
        query: Query | None = None,
    ) -> Object:
        silence = FIRST_BYTE_SECONDS if method == "GET" else None
        async with self._request(
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
    async def _request(
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
                raise Fenced(f"{method} {path} was kept back: another instance may work here now")
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


async def _lines(response: aiohttp.ClientResponse, end: float, where: str) -> AsyncIterator[bytes]:
    """Yield complete lines until loop time `end`. A pod can exceed aiohttp's limit of a line."""
    loop = asyncio.get_running_loop()
    rest = bytearray()
    while True:
        async with deadline(max(end - loop.time(), 0.001)):
            chunk = await response.content.readany()
        if not chunk:
            break
        *whole, tail = chunk.split(b"\n")
        for line in whole:
            rest += line
            if rest:
                yield bytes(rest)
            rest.clear()
        rest += tail
        if len(rest) > WATCH_LINE_BYTES:
            raise InvalidResponse(
                f"{where} sent a watch event that is longer than {WATCH_LINE_BYTES} bytes"
            )
    if rest:
        raise InvalidResponse(f"{where} ended a watch in the middle of an event")


def _watch_event(line: bytes, where: str, resource: Resource) -> WatchEvent:
    """Decode a watch event. Raises `InvalidResponse` without the line, which may hold a Secret."""
    try:
        event = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError:
        event = {}
    kind, obj = event.get("type"), event.get("object")
    if (
        isinstance(kind, str)
        and isinstance(obj, dict)
        and (kind == "ERROR" or _is_object(obj, named=kind != "BOOKMARK"))
    ):
        return WatchEvent(kind, obj)
    raise InvalidResponse(
        f"{where} answered the watch of {resource.plural} with an invalid watch event"
    )


def _checked_page(page: Object, where: str, resource: Resource) -> Object:
    """Return the metadata of a list page. Raises `InvalidResponse` if it is not a list."""
    metadata, items = page.get("metadata"), page.get("items", [])
    is_list = (
        isinstance(metadata, dict)
        and isinstance(metadata.get("resourceVersion"), str)
        and isinstance(items, (list, type(None)))
    )
    if not is_list or not all(isinstance(item, dict) and _is_object(item) for item in items or ()):
        raise InvalidResponse(
            f"{where} answered the list of {resource.plural} with JSON that is not a list"
        )
    return metadata  # type: ignore[return-value]


def _is_object(obj: Object, *, named: bool = True) -> bool:
    """Return whether an object has the metadata that a cache needs."""
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("resourceVersion"), str):
        return False
    return not named or isinstance(metadata.get("name"), str)


def _selectors(label_selector: str | None, field_selector: str | None) -> dict[str, str]:
    pairs = (("labelSelector", label_selector), ("fieldSelector", field_selector))
    return {key: value for key, value in pairs if value}


def _dry_run(dry_run: bool) -> dict[str, str]:
    return {"dryRun": "All"} if dry_run else {}
