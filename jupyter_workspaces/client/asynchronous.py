"""The asynchronous client: one method per API operation, with plain dicts as in docs/api.md.

`Client` and the panel are built on it.
"""

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
# Characters that stay as given in a request target: existing escapes are kept, others are escaped.
_TARGET_SAFE = "/%?#=&:@+,;~!$'()*[]"


@dataclass(frozen=True)
class ServerEvent:
    """An event of the stream, with its decoded data and its id (docs/api.md).

    Events: `snapshot`, `workspace`, `workspacekind`, `stale`, `resync` (reload everything), and
    `alive` for a comment that keeps the connection open.
    """

    event: str
    data: Any
    id: str


class AsyncClient(Transport):
    """Client of one server. Create it anywhere, use it on one event loop.

    Without `url` the server is discovered on the first request: JUPYTER_WORKSPACES_URL, the Jupyter
    server of this kernel, JupyterHub, else a shared local server. Every method raises
    `WorkspaceError`.
    """

    # Workspaces

    async def list(self, namespace: str | None = None) -> Objects:
        """Return the list items of a namespace; of all namespaces for `"*"`."""
        where = "" if namespace == "*" else f"/{_part(namespace or await self.usual_namespace())}"
        found: Objects = await self._data("GET", f"workspaces{where}")
        return found

    async def get(self, namespace: str, name: str) -> Object:
        """Return the list item of one workspace. Raises `WorkspaceError` 404.

        Kubeflow's own server ignores the filter and sends the whole list.
        """
        query = {"filter": f"name={name}"} if _NAME.fullmatch(name) else None
        where = "" if namespace == "*" else f"/{_part(namespace)}"
        found: Objects = await self._data("GET", f"workspaces{where}", query=query)
        for item in found:
            if item["name"] == name:
                return item
        raise WorkspaceError(
            f"Workspace '{name}' not found in namespace '{namespace}'.",
            "jw.list() shows all workspaces.",
            status=404,
        )

    async def model(self, namespace: str, name: str) -> Object:
        """Return the update model of a workspace (docs/api.md)."""
        found: Object = await self._data("GET", f"workspaces/{_part(namespace)}/{_part(name)}")
        return found

    async def create(self, namespace: str, body: Mapping[str, Any]) -> None:
        """Create a workspace from a create model (docs/api.md).

        If the response was lost, retries without creating the workspace twice.
        """
        for attempt in range(CREATE_ATTEMPTS):
            try:
                await self._data("POST", f"workspaces/{_part(namespace)}", {"data": body})
                return
            except WorkspaceError as error:
                if error.status == 409 and attempt > 0 and await self._was_created(namespace, body):
                    return
                if error.status is not None or attempt == CREATE_ATTEMPTS - 1:
                    raise
                await asyncio.sleep(0.3)

    async def _was_created(self, namespace: str, body: Mapping[str, Any]) -> bool:
        """Return whether the existing workspace is the one that an earlier attempt created."""
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
        """Pause a workspace, or resume it."""
        await self._data(
            "POST",
            f"workspaces/{_part(namespace)}/{_part(name)}/actions/pause",
            {"data": {"paused": paused}},
        )

    async def restart(self, namespace: str, name: str) -> None:
        """Stop a workspace and start it again."""
        await self._data(
            "POST", f"workspaces/{_part(namespace)}/{_part(name)}/actions/restart", {"data": {}}
        )

    async def stop_now(self, namespace: str, name: str) -> None:
        """Stop the pod of a stopping workspace without the rest of its grace period."""
        await self._data(
            "POST", f"workspaces/{_part(namespace)}/{_part(name)}/actions/stop", {"data": {}}
        )

    async def delete(self, namespace: str, name: str) -> None:
        """Delete a workspace. Its volumes are kept."""
        await self._data("DELETE", f"workspaces/{_part(namespace)}/{_part(name)}")

    async def patch(
        self, namespace: str, name: str, patch: Mapping[str, Any] | Sequence[Mapping[str, Any]]
    ) -> Object:
        """Change the update model with a merge patch (mapping) or a JSON patch (sequence)."""
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
        """Return the state and the steps of the start of a workspace."""
        found: Object = await self._data(
            "GET", f"workspaces/{_part(namespace)}/{_part(name)}/progress"
        )
        return found

    async def events(self, namespace: str, name: str) -> Objects:
        """Return the Kubernetes events of a workspace, newest last."""
        found: Objects = await self._data(
            "GET", f"workspaces/{_part(namespace)}/{_part(name)}/events"
        )
        return found

    async def details(self, namespace: str, name: str) -> Object:
        """Return pod and volumes of a workspace."""
        found: Object = await self._data(
            "GET", f"workspaces/{_part(namespace)}/{_part(name)}/podtemplate/details"
        )
        return found

    async def log(self, namespace: str, name: str, tail: int = 1000, previous: bool = False) -> str:
        """Return the last `tail` lines of the log, each with a timestamp."""
        query = {"tailLines": str(tail), "previous": str(previous).lower()}
        async with self._request(
            "GET",
            f"workspaces/{_part(namespace)}/{_part(name)}/podtemplate/logs/batch",
            query=query,
        ) as answer:
            return await answer.text(errors="replace")

    async def logs(self, namespace: str, name: str, tail: int = 100) -> AsyncIterator[str]:
        """Yield the last `tail` lines of the log, then new ones, each with a timestamp."""
        path = f"workspaces/{_part(namespace)}/{_part(name)}/podtemplate/logs/batch"
        async with self._request(
            "GET", path, query={"tailLines": str(tail), "follow": "true"}, silence=None
        ) as answer:
            async for line in _lines(answer.content):
                yield line

    # Kinds, claims, the server

    async def kinds(self) -> Objects:
        """Return the workspace kinds."""
        found: Objects = await self._data("GET", "workspacekinds")
        return found

    async def claims(self, namespace: str | None = None) -> Objects:
        """Return the volumes of a namespace, with the workspaces that use them."""
        found: Objects = await self._data(
            "GET", f"persistentvolumeclaims/{_part(namespace or await self.usual_namespace())}"
        )
        return found

    async def create_claim(
        self, namespace: str, name: str, size: str = "1Gi", storage_class: str | None = None
    ) -> None:
        """Create a ReadWriteOnce claim; by default with the first storage class that is allowed."""
        if storage_class is None:
            usable = [found["name"] for found in await self.storage_classes() if found["canUse"]]
            if not usable:
                raise WorkspaceError(
                    "The cluster has no storage class for new volumes.",
                    "Ask your cluster's administrator for one.",
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
        """Delete a claim and its files."""
        await self._data("DELETE", f"persistentvolumeclaims/{_part(namespace)}/{_part(name)}")

    async def storage_classes(self) -> Objects:
        """Return the storage classes, with whether they can be used."""
        found: Objects = await self._data("GET", "storageclasses")
        return found

    async def namespaces(self) -> Names:
        """Return the names of the namespaces."""
        return [found["name"] for found in await self._data("GET", "namespaces")]

    async def cluster(self) -> Object:
        """Return name, version and namespace of the cluster, and the user."""
        found: Object = await self._data("GET", "cluster")
        return found

    async def stale_since(self) -> str | None:
        """Return since when the server's cache is stale (RFC 3339), None if it is live."""
        async with self._request("GET", "namespaces") as answer:
            return answer.headers.get(STALE_SINCE)

    async def picture(self, url: str) -> tuple[str, bytes]:
        """Return media type and bytes of a kind's logo.

        Only from the server itself, because the request contains the credential.
        """
        server = await self.connect()
        path = urlsplit(url)
        ours = urlsplit(server.api)
        if path.netloc or path.scheme or not path.path.startswith(ours.path):
            raise WorkspaceError("The picture is not on the workspaces server.")
        target = path.path.removeprefix(ours.path).lstrip("/")
        async with self._request(
            "GET", target, query=dict([path.query.split("=", 1)]) if "=" in path.query else None
        ) as answer:
            return answer.content_type, await answer.read()

    # Live changes

    async def changes(self, namespace: str | None) -> AsyncIterator[ServerEvent]:
        """Yield a snapshot, then changes. Ends or raises if the connection is lost."""
        async for event in self._events(namespace, None):
            yield event

    async def stream(
        self, namespace: str | None = None, last_event_id: str | None = None
    ) -> AsyncIterator[ServerEvent]:
        """Yield events except `alive` and `resync`. Reconnects with backoff."""
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
        """Yield the events of one connection.

        Parsed here, because the SSE libraries for aiohttp are unmaintained or hide comments, which
        show that a quiet connection is alive.
        """
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
        """Send a request to a program in a workspace, through the server's proxy.

        Args:
            method: HTTP method.
            path: Connect path of the workspace, with the program's own path appended.
            body: JSON value to send.

        Returns:
            Status, media type and body.
        """
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data is not None else None
        target = quote(path.lstrip("/"), safe=_TARGET_SAFE)
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
            raise WorkspaceError(f"The server sent a line that is longer than {limit} bytes.")
    if rest:
        yield rest.decode("utf-8", errors="replace")


def _part(text: str) -> str:
    return quote(text, safe="")
