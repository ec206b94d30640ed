"""The client's core: one method for each thing that the server can do, plain dicts in the shapes of the API (docs/api.md)."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from .errors import WorkspaceError
from .transport import Transport

if TYPE_CHECKING:
    import aiohttp

Object = dict[str, Any]
Objects = list[Object]  # `list` is a method of the clients
Names = list[str]

STREAM_SILENCE_SECONDS = 45.0
_NAME = re.compile(r"[A-Za-z0-9.-]+")
STALE_SINCE = "Jupyter-Workspaces-Stale-Since"
"""Header of answers from a stale cache: time of its last contact with the cluster."""
CREATE_ATTEMPTS = 3
LOG_LINE_BYTES = 2**20
_IN_A_TARGET = (
    "/%?#=&:@+,;~!$'()*[]"  # what people write escaped stays so, what they forgot to escape is
)


@dataclass(frozen=True)
class ServerEvent:
    """One event of the live stream with its decoded data and its id.

    `snapshot`, `workspace`, `workspacekind`, `stale` (docs/api.md), `resync`, and `alive` for a comment that keeps the stream open.
    """

    event: str
    data: Any
    id: str


class AsyncClient(Transport):
    """Asks one server. Made anywhere, used on one event loop. Every method raises `WorkspaceError`.

    Without `url` the server is found on the first request: JUPYTER_WORKSPACES_URL, JupyterHub, the Jupyter server of this kernel, else a local one.
    """

    # Workspaces

    async def list(self, namespace: str | None = None) -> Objects:
        """List items (contract §1.5 operation 4); of all namespaces with `"*"`."""
        where = "" if namespace == "*" else f"/{_part(namespace or await self.usual_namespace())}"
        found: Objects = await self._data("GET", f"workspaces{where}")
        return found

    async def get(self, namespace: str, name: str) -> Object:
        """Return the list item of one workspace. Only that is sent, except by servers of the original kind, which send the list."""
        query = {"filter": f"name={name}"} if _NAME.fullmatch(name) else None
        where = "" if namespace == "*" else f"/{_part(namespace)}"
        found: Objects = await self._data("GET", f"workspaces{where}", query=query)
        for item in found:
            if item["name"] == name:
                return item
        raise WorkspaceError(
            f"There is no workspace {name} in {namespace}.",
            "jw.list() shows what there is.",
            status=404,
        )

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
        held, wanted = (
            (await self.model(namespace, body["name"]))["podTemplate"],
            body["podTemplate"],
        )
        same_home = held["volumes"].get("home", "") == wanted["volumes"].get("home", "")
        return bool(
            same_home
            and held["options"] == wanted["options"]
            and held["podMetadata"]["labels"] == wanted["podMetadata"]["labels"]
        )

    async def pause(self, namespace: str, name: str, paused: bool = True) -> None:
        await self._data(
            "POST",
            f"workspaces/{_part(namespace)}/{_part(name)}/actions/pause",
            {"data": {"paused": paused}},
        )

    async def restart(self, namespace: str, name: str) -> None:
        await self._data(
            "POST", f"workspaces/{_part(namespace)}/{_part(name)}/actions/restart", {"data": {}}
        )

    async def stop_now(self, namespace: str, name: str) -> None:
        """End the pod of a stopping workspace without the rest of its grace period."""
        await self._data(
            "POST", f"workspaces/{_part(namespace)}/{_part(name)}/actions/stop", {"data": {}}
        )

    async def delete(self, namespace: str, name: str) -> None:
        await self._data("DELETE", f"workspaces/{_part(namespace)}/{_part(name)}")

    async def patch(
        self, namespace: str, name: str, patch: Mapping[str, Any] | Sequence[Mapping[str, Any]]
    ) -> Object:
        """Change the update model by a merge patch (mapping) or a JSON patch (sequence)."""
        media = (
            "application/merge-patch+json"
            if isinstance(patch, Mapping)
            else "application/json-patch+json"
        )
        found: Object = await self._data(
            "PATCH", f"workspaces/{_part(namespace)}/{_part(name)}", patch, media=media
        )
        return found

    async def progress(self, namespace: str, name: str) -> Object:
        found: Object = await self._data(
            "GET", f"workspaces/{_part(namespace)}/{_part(name)}/progress"
        )
        return found

    async def events(self, namespace: str, name: str) -> Objects:
        found: Objects = await self._data(
            "GET", f"workspaces/{_part(namespace)}/{_part(name)}/events"
        )
        return found

    async def details(self, namespace: str, name: str) -> Object:
        found: Object = await self._data(
            "GET", f"workspaces/{_part(namespace)}/{_part(name)}/podtemplate/details"
        )
        return found

    async def log(self, namespace: str, name: str, tail: int = 1000, previous: bool = False) -> str:
        """The last lines of the log, each with its time."""
        query = {"tailLines": str(tail), "previous": str(previous).lower()}
        async with self._request(
            "GET",
            f"workspaces/{_part(namespace)}/{_part(name)}/podtemplate/logs/batch",
            query=query,
        ) as answer:
            return await answer.text(errors="replace")

    async def logs(self, namespace: str, name: str, tail: int = 100) -> AsyncIterator[str]:
        """The last lines, then the new ones as they come, each with its time."""
        path = f"workspaces/{_part(namespace)}/{_part(name)}/podtemplate/logs/batch"
        async with self._request(
            "GET", path, query={"tailLines": str(tail), "follow": "true"}, silence=None
        ) as answer:
            async for line in _lines(answer.content):
                yield line

    # Kinds, claims, the server

    async def kinds(self) -> Objects:
        found: Objects = await self._data("GET", "workspacekinds")
        return found

    async def claims(self, namespace: str | None = None) -> Objects:
        found: Objects = await self._data(
            "GET", f"persistentvolumeclaims/{_part(namespace or await self.usual_namespace())}"
        )
        return found

    async def create_claim(
        self, namespace: str, name: str, size: str = "1Gi", storage_class: str | None = None
    ) -> None:
        """A claim for one writer; without a class the first that may be used."""
        if storage_class is None:
            usable = [found["name"] for found in await self.storage_classes() if found["canUse"]]
            if not usable:
                raise WorkspaceError(
                    "No storage class of this cluster may be used for new claims.",
                    "Ask whoever manages the cluster for one.",
                )
            storage_class = usable[0]
        body = {
            "name": name,
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage_class,
            "requests": {"storage": size},
        }
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

    async def stale_since(self) -> str | None:
        """Return since when the server's cache is stale (RFC 3339), None if it is live."""
        async with self._request("GET", "namespaces") as answer:
            return answer.headers.get(STALE_SINCE)

    async def picture(self, url: str) -> tuple[str, bytes]:
        """Media type and bytes of a kind's logo; only from the server itself, because the credential goes along."""
        server = await self.connect()
        path = urlsplit(url)
        ours = urlsplit(server.api)
        if path.netloc or path.scheme or not path.path.startswith(ours.path):
            raise WorkspaceError("This picture is not served by the server itself.")
        target = path.path.removeprefix(ours.path).lstrip("/")
        async with self._request(
            "GET", target, query=dict([path.query.split("=", 1)]) if "=" in path.query else None
        ) as answer:
            return answer.content_type, await answer.read()

    # Live changes

    async def changes(self, namespace: str | None) -> AsyncIterator[ServerEvent]:
        """One connection's events: a snapshot, then changes. Ends or raises when the connection is lost."""
        async for event in self._events(namespace, None):
            yield event

    async def stream(
        self, namespace: str | None = None, last_event_id: str | None = None
    ) -> AsyncIterator[ServerEvent]:
        """Yield events, except `alive` and `resync`. Resumes a lost connection with backoff."""
        pause = 0.2
        while True:
            try:
                async for event in self._events(namespace, last_event_id):
                    pause = 0.2 if event.event != "resync" else pause
                    last_event_id = None if event.event == "resync" else event.id or last_event_id
                    if event.event not in ("resync", "alive"):
                        yield event
            except WorkspaceError as error:
                if error.status in (400, 401, 403, 404, 422):
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, 10.0)

    async def _events(
        self, namespace: str | None, last_event_id: str | None
    ) -> AsyncIterator[ServerEvent]:
        headers = {"Accept": "text/event-stream"} | (
            {"Last-Event-ID": last_event_id} if last_event_id else {}
        )
        query = {"namespace": namespace} if namespace else None
        async with self._request(
            "GET", "events", query=query, headers=headers, silence=STREAM_SILENCE_SECONDS
        ) as answer:
            kind, data, ident = "message", "", ""
            async for line in _lines(answer.content, limit=256 * 2**20):
                if line == "":
                    if data:
                        yield ServerEvent(kind, json.loads(data), ident)
                    kind, data = "message", ""
                    continue
                if line.startswith(":"):
                    yield ServerEvent("alive", None, ident)
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

    async def connect_request(
        self, method: str, path: str, body: Any = None
    ) -> tuple[int, str, bytes]:
        """A request into a workspace by its connect path, through the server. Status, media type and body; JSON goes in for `body`."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data is not None else None
        target = quote(path.lstrip("/"), safe=_IN_A_TARGET)
        async with self._request(
            method, target, data=data, headers=headers, into_workspace=True
        ) as answer:
            return answer.status, answer.content_type, await answer.read()


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


def _part(text: str) -> str:
    return quote(text, safe="")
