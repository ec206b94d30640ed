"""The engine over HTTP(S): one handler for every resource, discovery and health beside it."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import socket
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import msgspec
from aiohttp import web

from . import discovery, patches, requests, reviews, selectors, status, tables
from .engine import Admission, Engine, WriteOptions, Written
from .logs import LogsUnavailable, PodLogReader, log_options
from .pages import Page, Pages
from .requests import Target
from .rows import Row
from .status import Refusal
from .store import Store, Stored
from .watch import Event, watch

log = logging.getLogger(__name__)

Object = dict[str, Any]

FLUSH_OBJECTS = 250
WATCH_SECONDS = 1800.0
STOP_SECONDS = 2.0
_HEALTH = ("/healthz", "/livez", "/readyz")
_OPENAPI_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_OPENAPI_V2_ASKED = "com.github.proto-openapi.spec.v2"
_AGGREGATED = re.compile(r"application/json;\s*g=apidiscovery\.k8s\.io;\s*v=(v2|v2beta1);\s*as=APIGroupDiscoveryList", re.IGNORECASE)
_TABLE = re.compile(r"application/json;[^,]*\bas=Table\b")


class ApiServer:
    """A Kubernetes API over a store.

    Everybody needs the token; whoever has it is `user` and may everything. `logs` answers for pods' logs once a node has set it.
    """

    def __init__(self, store: Store, token: str, admission: Admission | None = None, user: str = "local-admin") -> None:
        self.engine = Engine(store, admission)
        self.logs: PodLogReader | None = None
        self.address = ""
        self._authorization = f"Bearer {token}".encode()
        self._user = user
        self._pages = Pages()
        self._runner: web.AppRunner | None = None
        self._streams: set[asyncio.Task[Any]] = set()

    async def start(self, host: str, port: int, ssl_context: ssl.SSLContext | None = None) -> int:
        """Listen; port 0 chooses a free one. The port that it is. Raises `OSError`."""
        application = web.Application(
            client_max_size=requests.BODY_LIMIT, handler_args={"max_line_size": 16 * 2**10, "max_field_size": 16 * 2**10}
        )
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=STOP_SECONDS)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, ssl_context=ssl_context, backlog=512)
        await site.start()
        bound: int = self._runner.addresses[0][1]
        self.address = f"{host}:{bound}"
        return bound

    async def stop(self) -> None:
        """End all watches and stop listening."""
        for task in list(self._streams):
            task.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def apply_manifest(self, manifest: Object) -> Object:
        """Create the object, or replace what differs of it, in process. Raises `Refusal`."""
        row = self.engine.registry.by_kind(manifest["apiVersion"], manifest["kind"])
        if row is None:
            raise status.bad_request(f"no kind {manifest['kind']} in {manifest['apiVersion']}")
        body = msgspec.json.decode(msgspec.json.encode(manifest), type=dict[str, Any])
        namespace = body.get("metadata", {}).get("namespace", "default") if row.resource.namespaced else ""
        name = body["metadata"]["name"]
        if self.engine.store.get(row.name, namespace, name) is None:
            return self.engine.create(row, namespace, body).object
        return self.engine.patch(row, namespace, name, lambda held: patches.merge(held, body)).object

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except Refusal as refusal:
            return _json(refusal.document(), refusal.code)
        except web.HTTPRequestEntityTooLarge:
            refusal = status.too_large(requests.BODY_LIMIT)
            return _json(refusal.document(), refusal.code)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.rel_url.raw_path
        if path.rstrip("/") in _HEALTH:
            return web.Response(text="ok")
        given = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(given, self._authorization):
            raise status.unauthorized()
        parts = [unquote(part, errors="strict") if "%" in part else part for part in path.strip("/").split("/")] if _decodes(path) else []
        if not parts or any("\0" in part for part in parts):
            raise status.bad_request("the path cannot be read")
        if (parts[0] == "api" and len(parts) >= 3) or (parts[0] == "apis" and len(parts) >= 4):
            target = requests.target(parts)
            row = None if target is None else self.engine.registry.get(target.group, target.version, target.plural)
            if target is None or row is None:
                raise status.page_not_found()
            return await self._resource(request, row, target)
        return self._about(request, parts)

    # The server itself

    def _about(self, request: web.Request, parts: list[str]) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            raise status.method_not_allowed()
        accept, registry = request.headers.get("Accept", ""), self.engine.registry
        aggregated = _AGGREGATED.search(accept)
        match parts:
            case ["version"]:
                return _json(discovery.VERSION)
            case ["api"] | ["apis"] if aggregated:
                document = discovery.aggregated(registry, parts[0] == "api", aggregated[1])
                media = f"application/json;g=apidiscovery.k8s.io;v={aggregated[1]};as=APIGroupDiscoveryList"
                return _tagged(request, document, media)
            case ["api"]:
                return _json(discovery.api_versions(self.address))
            case ["apis"]:
                return _json(discovery.group_list(registry))
            case ["api", "v1"]:
                return _json(discovery.resource_list(registry, "", "v1"))
            case ["apis", group] if group in registry.group_versions():
                return _json(discovery.group(registry, group))
            case ["apis", group, version] if version in registry.group_versions().get(group, ()):
                return _json(discovery.resource_list(registry, group, version))
            case ["openapi", "v2"] if _OPENAPI_V2_ASKED in accept:
                # An empty protobuf document is a valid one; kubectl asks for it before it applies and needs nothing in it.
                return web.Response(body=b"", content_type=_OPENAPI_V2)
            case ["openapi", "v2"]:
                return _json({"swagger": "2.0", "info": {"title": "jupyter-workspaces", "version": "v1"}, "paths": {}, "definitions": {}})
        raise status.page_not_found()

    # Resources

    async def _resource(self, request: web.Request, row: Row, target: Target) -> web.StreamResponse:
        method = request.method
        if row.verbs == ("create",):
            if method != "POST" or target.name:
                raise status.method_not_allowed()
            return _json(reviews.answer(row, requests.body(await request.read(), request.content_type), self._user), 201)
        if target.namespace is not None and not row.resource.namespaced:
            raise status.page_not_found()
        if target.subresource is not None:
            if target.subresource not in row.subresources:
                raise status.page_not_found()
            return await self._subresource(request, row, target)
        if target.name is None:
            match method:
                case "GET" | "HEAD":
                    return await self._collection(request, row, target)
                case "POST":
                    return await self._create(request, row, target)
                case "DELETE" if "deletecollection" in row.verbs:
                    return await self._delete_collection(request, row, target)
            raise status.method_not_allowed()
        namespace = self._namespace(row, target)
        match method:
            case "GET" | "HEAD":
                return self._one(request, row, self.engine.get(row, namespace, target.name))
            case "PUT" | "PATCH":
                return await self._change(request, row, target, None)
            case "DELETE":
                options = requests.delete_options(request.query, await request.read(), request.content_type)
                written = self.engine.delete(row, namespace, target.name, options)
                if written.removed and not row.strategy.returns_deleted:
                    return _json(status.success(row.resource, target.name, written.object["metadata"]["uid"]), warnings=written.warnings)
                return _json(written.object, warnings=written.warnings)
        raise status.method_not_allowed()

    def _namespace(self, row: Row, target: Target) -> str:
        if row.resource.namespaced and target.namespace is None:
            raise status.page_not_found()
        return target.namespace or ""

    def _one(self, request: web.Request, row: Row, stored: Stored) -> web.Response:
        if _TABLE.search(request.headers.get("Accept", "")):
            metadata = {"resourceVersion": str(stored.revision)}
            return _json(tables.table(row, [stored.decode()], metadata, request.query.get("includeObject", "Metadata")))
        return web.Response(body=stored.body, content_type="application/json")

    async def _create(self, request: web.Request, row: Row, target: Target) -> web.Response:
        namespace = self._namespace(row, target)
        data, options = await request.read(), requests.write_options(request.query)
        body = requests.body(data, request.content_type)
        warnings = _repeated(request, row, data, options)
        written = self.engine.create(row, namespace, body, options)
        return self._written(request, row, written, warnings)

    def _written(self, request: web.Request, row: Row, written: Written, warnings: list[str]) -> web.Response:
        code = 201 if written.created else 200
        if _TABLE.search(request.headers.get("Accept", "")):
            metadata = {"resourceVersion": written.object["metadata"].get("resourceVersion", "")}
            document = tables.table(row, [written.object], metadata, request.query.get("includeObject", "Metadata"))
            return _json(document, code, warnings + written.warnings)
        return _json(written.object, code, warnings + written.warnings)

    async def _change(self, request: web.Request, row: Row, target: Target, subresource: str | None) -> web.Response:
        namespace, name = self._namespace(row, target), target.name or ""
        data, options = await request.read(), requests.write_options(request.query)
        if request.method == "PUT":
            body = requests.body(data, request.content_type)
            warnings = _repeated(request, row, data, options)
            return self._written(request, row, self.engine.update(row, namespace, name, body, subresource, options), warnings)
        if request.method != "PATCH":
            raise status.method_not_allowed()
        media = requests.media_type(request.headers.get("Content-Type"))
        accepted = [kind for kind in requests.PATCH_TYPES if not (row.custom and kind == patches.STRATEGIC)]
        if media not in accepted:
            raise status.unsupported_media(accepted)
        try:
            patch = msgspec.json.decode(data)
        except (msgspec.DecodeError, RecursionError) as error:
            raise status.bad_request(f"the patch cannot be read: {error}") from error
        if media != patches.JSON and not isinstance(patch, dict):
            raise status.bad_request("the patch must be an object")

        def change(held: Object) -> Object:
            if media == patches.JSON:
                return patches.apply_operations(held, patch)
            merged: Object = patches.merge(held, patch) if media == patches.MERGE else patches.strategic(held, patch)
            return merged

        return self._written(request, row, self.engine.patch(row, namespace, name, change, subresource, options), [])

    async def _subresource(self, request: web.Request, row: Row, target: Target) -> web.StreamResponse:
        namespace, name = self._namespace(row, target), target.name or ""
        match target.subresource, request.method:
            case "status", "GET" | "HEAD":
                return self._one(request, row, self.engine.get(row, namespace, name))
            case "status", _:
                return await self._change(request, row, target, "status")
            case "log", "GET":
                return await self._log(request, self.engine.get(row, namespace, name).decode())
            case "finalize", "PUT":
                written = self.engine.finalize_namespace(name, requests.body(await request.read(), request.content_type))
                return _json(written.object)
            case "binding", "POST":
                body = requests.body(await request.read(), request.content_type)
                return self._bind(row, namespace, name, body)
        raise status.method_not_allowed()

    def _bind(self, row: Row, namespace: str, name: str, body: Object) -> web.Response:
        node = (body.get("target") or {}).get("name") if isinstance(body.get("target"), dict) else None
        if not isinstance(node, str) or not node:
            raise status.bad_request("target.name must name a node")
        pod = self.engine.get(row, namespace, name).decode()
        if pod["spec"].get("nodeName"):
            raise status.conflict(row.resource, name, f"pod {name} is already assigned to node {pod['spec']['nodeName']}")
        self.engine.patch(row, namespace, name, lambda held: patches.merge(held, {"spec": {"nodeName": node}}))
        return _json({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201)

    async def _log(self, request: web.Request, pod: Object) -> web.StreamResponse:
        options = log_options(request.query)
        containers = [container["name"] for container in pod["spec"]["containers"]]
        container = request.query.get("container") or containers[0]
        known = [*containers, *(found["name"] for found in pod["spec"].get("initContainers") or ())]
        if container not in known:
            raise status.bad_request(f"container {container} is not valid for pod {pod['metadata']['name']}; it has {', '.join(known)}")
        if self.logs is None:
            raise status.bad_request(f'container "{container}" in pod "{pod["metadata"]["name"]}" has no log yet: no node runs here')
        pieces = self.logs(pod, container, options)
        response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
        try:
            first = await anext(pieces, None)
        except LogsUnavailable as error:
            raise status.bad_request(str(error)) from error
        async with self._streaming():
            await response.prepare(request)
            if first is not None:
                await response.write(first)
                async for piece in pieces:
                    await response.write(piece)
            await response.write_eof()
        return response

    # Collections

    async def _collection(self, request: web.Request, row: Row, target: Target) -> web.StreamResponse:
        query = request.query
        predicate = selectors.both(query.get("labelSelector"), query.get("fieldSelector"), row.resource.plural)
        if requests.flag(query, "watch"):
            return await self._watch(request, row, target, predicate)
        collection = f"{row.name}/{target.namespace or ''}?{query.get('labelSelector', '')}&{query.get('fieldSelector', '')}"
        limit = requests.number(query, "limit")
        if token := query.get("continue"):
            page = self._pages.next(collection, token, limit)
        else:
            items = self.engine.store.list(row.name, target.namespace)
            if predicate is not None:
                items = [stored for stored in items if predicate(stored)]
            page = self._pages.first(collection, items, self.engine.store.revision, limit)
        metadata: Object = {"resourceVersion": str(page.revision)}
        if page.token is not None:
            metadata |= {"continue": page.token, "remainingItemCount": page.remaining}
        if _TABLE.search(request.headers.get("Accept", "")):
            objects = [stored.decode() for stored in page.items]
            return _json(tables.table(row, objects, metadata, query.get("includeObject", "Metadata")))
        return await self._list(request, row, page, metadata)

    async def _list(self, request: web.Request, row: Row, page: Page, metadata: Object) -> web.StreamResponse:
        head = msgspec.json.encode({"kind": f"{row.resource.kind}List", "apiVersion": row.resource.api_version, "metadata": metadata})
        head = head[:-1] + b',"items":['
        if len(page.items) <= FLUSH_OBJECTS:
            return web.Response(body=head + b",".join([stored.body for stored in page.items]) + b"]}", content_type="application/json")
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for start in range(0, len(page.items), FLUSH_OBJECTS):
            chunk = b",".join([stored.body for stored in page.items[start : start + FLUSH_OBJECTS]])
            await response.write((head if start == 0 else b",") + chunk)
            await asyncio.sleep(0)  # others want their turn between two pieces of a long list
        await response.write(b"]}")
        await response.write_eof()
        return response

    async def _delete_collection(self, request: web.Request, row: Row, target: Target) -> web.Response:
        options = requests.delete_options(request.query, await request.read(), request.content_type)
        namespace = self._namespace(row, target) if row.resource.namespaced else None
        predicate = selectors.both(request.query.get("labelSelector"), request.query.get("fieldSelector"), row.resource.plural)
        items = [stored for stored in self.engine.store.list(row.name, namespace) if predicate is None or predicate(stored)]
        for number, stored in enumerate(items):
            if self.engine.store.get(row.name, stored.namespace, stored.name) is not None:
                self.engine.delete(row, stored.namespace, stored.name, options)
            if number % 100 == 99:
                await asyncio.sleep(0)
        metadata = {"resourceVersion": str(self.engine.store.revision)}
        kind = f"{row.resource.kind}List"
        return _json(
            {"kind": kind, "apiVersion": row.resource.api_version, "metadata": metadata, "items": [stored.decode() for stored in items]}
        )

    async def _watch(self, request: web.Request, row: Row, target: Target, predicate: selectors.Predicate | None) -> web.StreamResponse:
        query = request.query
        as_table = bool(_TABLE.search(request.headers.get("Accept", "")))
        include = query.get("includeObject", "Metadata")
        events = watch(
            self.engine.store,
            row,
            target.namespace if row.resource.namespaced else None,
            predicate,
            revision=requests.number(query, "resourceVersion"),
            seconds=float(requests.number(query, "timeoutSeconds") or WATCH_SECONDS),
            bookmarks=requests.flag(query, "allowWatchBookmarks"),
            initial_events=requests.flag(query, "sendInitialEvents"),
        )
        _no_delay(request)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        async with self._streaming():
            await response.prepare(request)
            await response.write(b"")
            first = True
            try:
                async for event in events:
                    await response.write(_line(row, event, as_table, include, first))
                    first = False
            except Refusal as refusal:
                await response.write(msgspec.json.encode({"type": "ERROR", "object": refusal.document()}) + b"\n")
            finally:
                await events.aclose()  # type: ignore[attr-defined]
            await response.write_eof()
        return response

    def _streaming(self) -> _Stream:
        return _Stream(self._streams)


class _Stream:
    """Marks the running request as one that `stop` ends; a client that left ends it as well."""

    def __init__(self, streams: set[asyncio.Task[Any]]) -> None:
        self._streams = streams
        self._task: asyncio.Task[Any] | None = None

    async def __aenter__(self) -> None:
        self._task = asyncio.current_task()
        if self._task is not None:
            self._streams.add(self._task)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        if self._task is not None:
            self._streams.discard(self._task)
        return isinstance(error, ConnectionError)


def _decodes(path: str) -> bool:
    try:
        unquote(path, errors="strict")
    except UnicodeDecodeError:
        return False
    return True


def _line(row: Row, event: Event, as_table: bool, include: str, first: bool) -> bytes:
    if event.object is None:
        metadata: Object = {"resourceVersion": str(event.revision)}
        if event.initial_end:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        if as_table:
            bookmark = tables.table(row, [], metadata, include, definitions=first)
        else:
            bookmark = {"kind": row.resource.kind, "apiVersion": row.resource.api_version, "metadata": metadata}
        return msgspec.json.encode({"type": "BOOKMARK", "object": bookmark}) + b"\n"
    if as_table:
        document = tables.table(row, [event.object.decode()], {"resourceVersion": str(event.revision)}, include, definitions=first)
        return msgspec.json.encode({"type": event.type, "object": document}) + b"\n"
    return b'{"type":"' + event.type.encode() + b'","object":' + event.object.body + b"}\n"


def _repeated(request: web.Request, row: Row, data: bytes, options: WriteOptions) -> list[str]:
    """Fields that stand twice, for those who asked for strict or warning validation by name."""
    if "fieldValidation" not in request.query or options.field_validation == "Ignore":
        return []
    found = requests.duplicates(data)
    if found and options.field_validation == "Strict":
        raise status.bad_request("strict decoding error: " + ", ".join(found))
    return found


def _json(document: Object, code: int = 200, warnings: list[str] | None = None) -> web.Response:
    response = web.Response(body=msgspec.json.encode(document), status=code, content_type="application/json")
    for warning in warnings or ():
        printable = "".join(
            letter if letter.isprintable() and letter not in '"\\' else " " if letter not in '"' else "'" for letter in warning
        )
        response.headers.add("Warning", f'299 - "{printable}"')
    return response


def _tagged(request: web.Request, document: Mapping[str, Any], media: str) -> web.Response:
    tag = discovery.etag(dict(document))
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers={"ETag": tag})
    return web.Response(body=msgspec.json.encode(document), headers={"ETag": tag, "Content-Type": media, "Vary": "Accept"})


def _no_delay(request: web.Request) -> None:
    """A watch's small pieces must not wait for each other (39 ms by Nagle's algorithm)."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
