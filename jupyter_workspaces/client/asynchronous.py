"""The client's core: one method for each thing that the server can do, plain dicts in the shapes of the API (docs/api.md)."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from .errors import Unreachable, WorkspaceError
from .find import Server, as_written, find

if TYPE_CHECKING:
    import aiohttp

Object = dict[str, Any]
Objects = list[Object]  # `list` is a method of the clients
Names = list[str]

REQUEST_SECONDS = 30.0
STREAM_SILENCE_SECONDS = 45.0
CREATE_ATTEMPTS = 3
LOG_LINE_BYTES = 2**20
_IN_A_TARGET = "/%?#=&:@+,;~!$'()*[]"  # what people write escaped stays so, what they forgot to escape is
HINTS = {
    401: "Sign in again, or set JUPYTER_WORKSPACES_TOKEN.",
    403: "Sign in again, or ask whoever manages the server.",
    503: "Try again in a moment.",
}


@dataclass(frozen=True)
class ServerEvent:
    """One event of the live stream: `snapshot`, `workspace`, `workspacekind` or `resync`, with its decoded data and its id."""

    event: str
    data: Any
    id: str


class NotReached(Unreachable):
    """The server could not even be asked."""


class AsyncClient:
    """Asks one server. Made anywhere, used on one event loop. Every method raises `WorkspaceError`.

    Without `url` the server is found on the first request: JUPYTER_WORKSPACES_URL, JupyterHub, the Jupyter server of this kernel, else a local one.
    """

    def __init__(self, url: str | None = None, token: str | None = None, *, namespace: str | None = None, start: bool = True) -> None:
        """`namespace` is the usual one, empty until the server is known; then JUPYTER_WORKSPACES_NAMESPACE, else the server's own.

        Without `start` no local server is started where none is found.
        """
        self.namespace = namespace or os.environ.get("JUPYTER_WORKSPACES_NAMESPACE", "")
        self._url, self._token, self._start = url, token, start
        self._server: Server | None = None
        self._session: aiohttp.ClientSession | None = None
        self._finding: asyncio.Lock | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.root or self._url or 'not connected yet'!r})"

    async def __aenter__(self) -> AsyncClient:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def root(self) -> str:
        """Where the server stands, ending in `/`; empty before the first request."""
        return self._server.root if self._server is not None else ""

    @property
    def is_chosen(self) -> bool:
        """Whether it is known which server to ask, so that none will be started."""
        return self._server is not None or self._url is not None

    @property
    def same_page(self) -> bool:
        """Whether it is the Jupyter server that serves this notebook's page too."""
        return self._server is not None and self._server.same_page

    async def connect(self) -> Server:
        """Find the server now."""
        if self._finding is None:
            self._finding = asyncio.Lock()
        async with self._finding:
            if self._server is None:
                self._server = await find(self._open(), self._url, self._token, start=self._start)
            if not self.namespace:
                self.namespace = await self._own_namespace(self._server)
            return self._server

    async def _own_namespace(self, server: Server) -> str:
        """The one that the server's credentials are for."""
        async with await self._ask(server, "GET", f"{server.api}/cluster") as answer:
            if answer.status == 404:
                return "default"  # a server of the original kind does not tell
            if answer.status >= 300:
                raise _refused(answer.status, await answer.read(), server.root)
            return str((await answer.json())["data"].get("namespace") or "default")

    async def usual_namespace(self) -> str:
        """The one that is meant where none is named."""
        if not self.namespace:
            await self.connect()
        return self.namespace

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    # Workspaces

    async def list(self, namespace: str | None = None) -> Objects:
        """List items (contract §1.5 operation 4); of all namespaces with `"*"`."""
        where = "" if namespace == "*" else f"/{_part(namespace or await self.usual_namespace())}"
        found: Objects = await self._data("GET", f"workspaces{where}")
        return found

    async def get(self, namespace: str, name: str) -> Object:
        """The list item of one workspace."""
        for item in await self.list(namespace):
            if item["name"] == name:
                return item
        raise WorkspaceError(f"There is no workspace {name} in {namespace}.", "jw.list() shows what there is.", status=404)

    async def model(self, namespace: str, name: str) -> Object:
        """The update model (contract operation 7)."""
        found: Object = await self._data("GET", f"workspaces/{_part(namespace)}/{_part(name)}")
        return found

    async def create(self, namespace: str, body: Mapping[str, Any]) -> None:
        """`body` is the create model (contract operation 6). A create whose answer was lost is not made twice."""
        for attempt in range(CREATE_ATTEMPTS):
            try:
                await self._data("POST", f"workspaces/{_part(namespace)}", {"data": body})
                return
            except WorkspaceError as error:
                if error.status == 409 and attempt > 0 and await self._is_ours(namespace, body):
                    return
                if error.status is not None or attempt == CREATE_ATTEMPTS - 1:
                    raise
                await asyncio.sleep(0.3)

    async def _is_ours(self, namespace: str, body: Mapping[str, Any]) -> bool:
        """Whether what stands there is what an attempt of ours, whose answer was lost, would have made."""
        held, wanted = (await self.model(namespace, body["name"]))["podTemplate"], body["podTemplate"]
        same_home = held["volumes"].get("home", "") == wanted["volumes"].get("home", "")
        return bool(same_home and held["options"] == wanted["options"] and held["podMetadata"]["labels"] == wanted["podMetadata"]["labels"])

    async def pause(self, namespace: str, name: str, paused: bool = True) -> None:
        await self._data("POST", f"workspaces/{_part(namespace)}/{_part(name)}/actions/pause", {"data": {"paused": paused}})

    async def restart(self, namespace: str, name: str) -> None:
        await self._data("POST", f"workspaces/{_part(namespace)}/{_part(name)}/actions/restart", {"data": {}})

    async def delete(self, namespace: str, name: str) -> None:
        await self._data("DELETE", f"workspaces/{_part(namespace)}/{_part(name)}")

    async def patch(self, namespace: str, name: str, patch: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Object:
        """Change the update model by a merge patch (mapping) or a JSON patch (sequence)."""
        media = "application/merge-patch+json" if isinstance(patch, Mapping) else "application/json-patch+json"
        found: Object = await self._data("PATCH", f"workspaces/{_part(namespace)}/{_part(name)}", patch, media=media)
        return found

    async def progress(self, namespace: str, name: str) -> Object:
        found: Object = await self._data("GET", f"workspaces/{_part(namespace)}/{_part(name)}/progress")
        return found

    async def events(self, namespace: str, name: str) -> Objects:
        found: Objects = await self._data("GET", f"workspaces/{_part(namespace)}/{_part(name)}/events")
        return found

    async def details(self, namespace: str, name: str) -> Object:
        found: Object = await self._data("GET", f"workspaces/{_part(namespace)}/{_part(name)}/podtemplate/details")
        return found

    async def log(self, namespace: str, name: str, tail: int = 1000, previous: bool = False) -> str:
        """The last lines of the log, each with its time."""
        query = {"tailLines": str(tail), "previous": str(previous).lower()}
        async with self._request("GET", f"workspaces/{_part(namespace)}/{_part(name)}/podtemplate/logs/batch", query=query) as answer:
            return await answer.text(errors="replace")

    async def logs(self, namespace: str, name: str, tail: int = 100) -> AsyncIterator[str]:
        """The last lines, then the new ones as they come, each with its time."""
        path = f"workspaces/{_part(namespace)}/{_part(name)}/podtemplate/logs/batch"
        async with self._request("GET", path, query={"tailLines": str(tail), "follow": "true"}, silence=None) as answer:
            async for line in _lines(answer.content):
                yield line

    # Kinds, claims, the server

    async def kinds(self) -> Objects:
        found: Objects = await self._data("GET", "workspacekinds")
        return found

    async def claims(self, namespace: str | None = None) -> Objects:
        found: Objects = await self._data("GET", f"persistentvolumeclaims/{_part(namespace or await self.usual_namespace())}")
        return found

    async def create_claim(self, namespace: str, name: str, size: str = "1Gi", storage_class: str | None = None) -> None:
        """A claim for one writer; without a class the first that may be used."""
        if storage_class is None:
            usable = [found["name"] for found in await self.storage_classes() if found["canUse"]]
            if not usable:
                raise WorkspaceError(
                    "No storage class of this cluster may be used for new claims.", "Ask whoever manages the cluster for one."
                )
            storage_class = usable[0]
        body = {"name": name, "accessModes": ["ReadWriteOnce"], "storageClassName": storage_class, "requests": {"storage": size}}
        await self._data("POST", f"persistentvolumeclaims/{_part(namespace)}", {"data": body})

    async def delete_claim(self, namespace: str, name: str) -> None:
        await self._data("DELETE", f"persistentvolumeclaims/{_part(namespace)}/{_part(name)}")

    async def storage_classes(self) -> Objects:
        found: Objects = await self._data("GET", "storageclasses")
        return found

    async def namespaces(self) -> Names:
        return [found["name"] for found in await self._data("GET", "namespaces")]

    async def cluster(self) -> Object:
        found: Object = await self._data("GET", "cluster")
        return found

    async def picture(self, url: str) -> tuple[str, bytes]:
        """Media type and bytes of a kind's logo; only from the server itself, because the credential goes along."""
        server = await self.connect()
        path = urlsplit(url)
        ours = urlsplit(server.api)
        if path.netloc or path.scheme or not path.path.startswith(ours.path):
            raise WorkspaceError("This picture is not served by the server itself.")
        target = path.path.removeprefix(ours.path).lstrip("/")
        async with self._request("GET", target, query=dict([path.query.split("=", 1)]) if "=" in path.query else None) as answer:
            return answer.content_type, await answer.read()

    # Live changes

    async def changes(self, namespace: str | None) -> AsyncIterator[ServerEvent]:
        """One connection's events: a snapshot, then changes. Ends or raises when the connection is lost."""
        async for event in self._events(namespace, None):
            yield event

    async def stream(self, namespace: str | None = None, last_event_id: str | None = None) -> AsyncIterator[ServerEvent]:
        """Events for ever: a lost connection is taken up again where it was, with growing pauses."""
        pause = 0.2
        while True:
            try:
                async for event in self._events(namespace, last_event_id):
                    pause = 0.2
                    last_event_id = None if event.event == "resync" else event.id or last_event_id
                    if event.event != "resync":
                        yield event
            except WorkspaceError as error:
                if error.status in (400, 401, 403, 404, 422):
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, 10.0)

    async def _events(self, namespace: str | None, last_event_id: str | None) -> AsyncIterator[ServerEvent]:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_event_id} if last_event_id else {})
        query = {"namespace": namespace} if namespace else None
        async with self._request("GET", "events", query=query, headers=headers, silence=STREAM_SILENCE_SECONDS) as answer:
            kind, data, ident = "message", "", ""
            async for line in _lines(answer.content, limit=256 * 2**20):
                if line == "":
                    if data:
                        yield ServerEvent(kind, json.loads(data), ident)
                    kind, data = "message", ""
                    continue
                field, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if field == "event":
                    kind = value
                elif field == "data":
                    data = f"{data}\n{value}" if data else value
                elif field == "id":
                    ident = value

    # Into a workspace

    async def connect_request(self, method: str, path: str, body: Any = None) -> tuple[int, str, bytes]:
        """A request into a workspace by its connect path, through the server. Status, media type and body; JSON goes in for `body`."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data is not None else None
        target = quote(path.lstrip("/"), safe=_IN_A_TARGET)
        async with self._request(method, target, data=data, headers=headers, into_workspace=True) as answer:
            return answer.status, answer.content_type, await answer.read()

    # How it asks

    async def _data(self, method: str, path: str, body: Any = None, *, media: str = "application/json") -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": media} if data is not None else None
        async with self._request(method, path, data=data, headers=headers) as answer:
            raw = await answer.read()
        try:
            return json.loads(raw)["data"] if raw else None
        except (ValueError, KeyError, TypeError) as error:
            raise WorkspaceError(
                f"The server's answer to {method} {path} cannot be understood.", "Is it a server of workspaces?"
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
        """The answer to a request to the API, or into a workspace. Raises `WorkspaceError` for what the API refuses."""
        import aiohttp

        async def ask(server: Server) -> aiohttp.ClientResponse:
            url = server.root + path if into_workspace else f"{server.api}/{path}"
            return await self._ask(server, method, url, data=data, query=query, headers=headers, silence=silence)

        try:
            answer = await ask(await self.connect())
        except NotReached:
            # Nothing was asked yet. A `serve` that ended is started again, and may stand at another address.
            answer = await ask(await self.connect())
        async with answer:
            try:
                if answer.status >= 300 and not into_workspace:
                    raise _refused(answer.status, await answer.read(), str(answer.url.origin()))
                yield answer
            except (aiohttp.ClientError, asyncio.TimeoutError) as error:
                raise _silent(error) from error

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
        """Raises `NotReached` when nothing can have been asked, `Unreachable` when the answer was lost."""
        import aiohttp

        sent = dict(headers or {}) | ({"Authorization": f"token {server.token}"} if server.token else {})
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_SECONDS, sock_read=silence)
        try:
            return await self._open().request(
                method, as_written(url), data=data, params=query, headers=sent, timeout=timeout, allow_redirects=False
            )
        except (aiohttp.ClientError, asyncio.TimeoutError) as error:
            self._server = None  # it may come back elsewhere
            if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)):
                raise NotReached(_silent(error).message, _silent(error).hint) from error
            raise _silent(error) from error

    def _open(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._session is None or self._session.closed:
            # Cookies would make a token's request a browser's one, which XSRF rules then refuse.
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), read_bufsize=2**20)
        return self._session


async def _lines(content: aiohttp.StreamReader, limit: int = LOG_LINE_BYTES) -> AsyncIterator[str]:
    rest = bytearray()
    async for chunk in content.iter_any():
        *whole, tail = chunk.split(b"\n")
        for line in whole:
            rest += line
            yield rest.decode("utf-8", errors="replace").rstrip("\r")
            rest.clear()
        rest += tail
        if len(rest) > limit:
            raise WorkspaceError(f"The server sent a line of more than {limit} bytes.")
    if rest:
        yield rest.decode("utf-8", errors="replace")


def _refused(status: int, body: bytes, root: str) -> WorkspaceError:
    fields: dict[str, str] = {}
    message = f"The server answered {status}."
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
            message, status = f"The server at {root} asks you to sign in.", 401
    kind = Unreachable if status == 503 else WorkspaceError
    return kind(message, HINTS.get(status, ""), fields, status)


def _silent(error: Exception) -> Unreachable:
    return Unreachable(f"The server of workspaces does not answer: {str(error) or type(error).__name__}.", "Try again in a moment.")


def _part(text: str) -> str:
    return quote(text, safe="")
