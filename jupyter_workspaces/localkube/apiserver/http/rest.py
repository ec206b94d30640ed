"""REST of all resources: which method does what to which path."""

from __future__ import annotations

import asyncio

import msgspec
from aiohttp import web

from jupyter_workspaces.common.documents.threads import read_in_thread
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects import (
    eviction,
    field_selectors,
    patches,
    scale,
)
from jupyter_workspaces.localkube.apiserver.objects.engine import Engine
from jupyter_workspaces.localkube.apiserver.objects.rows import Row
from jupyter_workspaces.localkube.apiserver.pods.subresources import CONNECTIONS, PodSubresources
from jupyter_workspaces.localkube.apiserver.store.pages import Page, Pages
from jupyter_workspaces.localkube.apiserver.store.store import Stored

from . import (
    forms,
    list_options,
    replies,
    request_options,
    requests,
    status,
)
from .forms import Form
from .list_options import ListOptions
from .options import WriteOptions
from .requests import Target
from .streams import Streams

FLUSH_OBJECTS = 250
UNMANAGED = WriteOptions(manager=None)


class Rest:
    """Responds to requests for the objects of all kinds."""

    def __init__(self, engine: Engine) -> None:
        """Create it for the objects of an engine."""
        self.streams = Streams()
        self.pods = PodSubresources(engine, self.streams)
        self._engine = engine
        self._pages = Pages()

    async def answer(self, request: web.Request, row: Row, target: Target) -> web.StreamResponse:
        """Respond to a request for a resource.

        Raises:
            Refusal: if the request is rejected.
        """
        method = request.method
        forms.requested_form(request)  # do nothing if the response has no acceptable form
        if target.namespace is not None and not row.resource.namespaced:
            raise status.page_not_found()
        if target.subresource is not None:
            if target.subresource not in row.subresources:
                raise status.page_not_found(row.resource if row.custom else None, target.name or "")
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
        match method:
            case "GET" | "HEAD":
                return replies.one(
                    request, row, self._engine.get(row, _namespace(row, target), target.name)
                )
            case "PUT" | "PATCH":
                return await self._change(request, row, target, None)
            case "DELETE":
                return await self._delete(request, row, target)
        raise status.method_not_allowed()

    # One object

    async def _create(self, request: web.Request, row: Row, target: Target) -> web.Response:
        namespace = _namespace(row, target)
        options = request_options.write_options(request)
        data = await request.read()
        body = await requests.read_body(data, request.headers.get("Content-Type"))
        warnings = await _repeated(request, data, options)
        return replies.written(
            request, row, self._engine.create(row, namespace, body, options), warnings
        )

    async def _change(
        self, request: web.Request, row: Row, target: Target, subresource: str | None
    ) -> web.Response:
        namespace, name = _namespace(row, target), target.name or ""
        media = request.headers.get("Content-Type")
        if request.method not in ("PUT", "PATCH"):
            raise status.method_not_allowed(row.resource if row.custom else None)
        options = request_options.write_options(request)
        data = await request.read()
        if request.method == "PUT":
            body = await requests.read_body(data, media)
            warnings = await _repeated(request, data, options)
            return replies.written(
                request,
                row,
                self._engine.update(row, namespace, name, body, subresource, options),
                warnings,
            )
        if requests.media_type(media) == patches.APPLY:
            outcome = self._engine.apply(
                row,
                namespace,
                name,
                await read_in_thread(data, requests.decode_apply),
                subresource,
                options,
            )
            return replies.written(request, row, outcome, [])
        change = requests.decode_patch(data, media, row)
        return replies.written(
            request, row, self._engine.patch(row, namespace, name, change, subresource, options), []
        )

    async def _delete(self, request: web.Request, row: Row, target: Target) -> web.Response:
        namespace, name = _namespace(row, target), target.name or ""
        options = request_options.delete_options(
            request.query, await request.read(), request.headers.get("Content-Type")
        )
        outcome = self._engine.delete(row, namespace, name, options)
        if outcome.removed and not row.strategy.returns_deleted:
            return replies.answer(
                status.success(row.resource, name, outcome.object["metadata"]["uid"]),
                warnings=outcome.warnings,
            )
        return replies.answer(outcome.object, warnings=outcome.warnings)

    async def _subresource(
        self, request: web.Request, row: Row, target: Target
    ) -> web.StreamResponse:
        namespace, name = _namespace(row, target), target.name or ""
        match target.subresource, request.method:
            case "status", "GET" | "HEAD":
                return replies.one(request, row, self._engine.get(row, namespace, name))
            case "status", _:
                return await self._change(request, row, target, "status")
            case "scale", "GET" | "HEAD":
                return replies.answer(scale.read(row, self._engine.get(row, namespace, name)))
            case "scale", "PUT" | "PATCH":
                return await self._scale(request, row, namespace, name)
            case "log", "GET":
                return await self.pods.log(request, row, namespace, name)
            case subresource, "GET" | "POST" if subresource in CONNECTIONS:
                return await self.pods.connect(request, row, namespace, name, subresource)
            case "finalize", "PUT":
                return replies.answer(
                    self._engine.finalize_namespace(name, await _body(request)).object
                )
            case "eviction", "POST":
                return replies.answer(
                    await eviction.evict(request, self._engine, row, namespace, name), 201
                )
            case "binding", "POST":
                return self._bind(row, namespace, name, await _body(request))
        raise status.method_not_allowed()

    async def _scale(
        self, request: web.Request, row: Row, namespace: str, name: str
    ) -> web.Response:
        options = request_options.write_options(request)
        data, media = await request.read(), request.headers.get("Content-Type")
        if request.method == "PATCH" and requests.media_type(media) == patches.APPLY:
            outcome = scale.apply(
                self._engine,
                row,
                namespace,
                name,
                await read_in_thread(data, requests.decode_apply),
                options,
            )
            return replies.answer(outcome.object, warnings=outcome.warnings)
        if request.method == "PATCH":
            stored = self._engine.get(row, namespace, name)
            body = requests.decode_patch(data, media, row)(scale.document(row, row.decode(stored)))
        else:
            body = await requests.read_body(data, media)
        outcome = scale.replace(self._engine, row, namespace, name, body, options)
        return replies.answer(outcome.object, warnings=outcome.warnings)

    def _bind(self, row: Row, namespace: str, name: str, body: Object) -> web.Response:
        wanted = body.get("target")
        node = wanted.get("name") if isinstance(wanted, dict) else None
        if not isinstance(node, str) or not node:
            raise status.bad_request("target.name must name a node")
        pod = self._engine.get(row, namespace, name).decode()
        if pod["spec"].get("nodeName"):
            raise status.conflict(
                row.resource,
                name,
                f"pod {name} is already assigned to node {pod['spec']['nodeName']}",
            )
        self._engine.patch(
            row,
            namespace,
            name,
            lambda held: patches.merge(held, {"spec": {"nodeName": node}}),
            options=UNMANAGED,
        )
        return replies.answer(
            {
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Success",
                "code": 201,
            },
            201,
        )

    # Collections

    async def _collection(
        self, request: web.Request, row: Row, target: Target
    ) -> web.StreamResponse:
        query = request.query
        predicate = field_selectors.predicate(
            query.get("labelSelector"), query.get("fieldSelector"), row.resource.plural
        )
        if requests.flag(query, "watch"):
            return await self.streams.watch(request, self._engine, row, target, predicate)
        selection = f"{query.get('labelSelector', '')}&{query.get('fieldSelector', '')}"
        collection = f"{row.name}/{target.namespace or ''}?{selection}"
        options = list_options.of_list(query)
        if options.token:
            page = self._pages.next(collection, options.token, options.limit)
        else:
            items, revision = self._state(row, target.namespace, options)
            if predicate is not None:
                items = [stored for stored in items if predicate(stored)]
            page = self._pages.first(collection, items, revision, options.limit)
        metadata: Object = {"resourceVersion": str(page.revision)}
        if row.custom:
            metadata["continue"] = ""
        if page.token is not None:
            metadata["continue"] = page.token
            if predicate is None:
                metadata["remainingItemCount"] = page.remaining
        return await _list(request, row, page, metadata)

    def _state(
        self, row: Row, namespace: str | None, options: ListOptions
    ) -> tuple[list[Stored], int]:
        """Return all objects of a kind as old as requested, and their revision.

        Raises:
            Refusal: 410 if that revision is too old, 504 if it is in the future.
        """
        store = self._engine.store
        if options.revision is not None and options.revision > store.revision:
            raise status.too_new(options.revision, store.revision)
        if not options.exact or options.revision is None:
            return store.list(row.name, namespace), store.revision
        found = store.at(row.name, options.revision, namespace)
        if found is None:
            raise status.gone(options.revision, store.oldest)
        return list(found), options.revision

    async def _delete_collection(
        self, request: web.Request, row: Row, target: Target
    ) -> web.StreamResponse:
        options = request_options.delete_options(
            request.query, await request.read(), request.headers.get("Content-Type")
        )
        namespace = _namespace(row, target) if row.resource.namespaced else None
        predicate = field_selectors.predicate(
            request.query.get("labelSelector"),
            request.query.get("fieldSelector"),
            row.resource.plural,
        )
        items = [
            stored
            for stored in self._engine.store.list(row.name, namespace)
            if predicate is None or predicate(stored)
        ]
        for number, stored in enumerate(items):
            if self._engine.store.get(row.name, stored.namespace, stored.name) is not None:
                self._engine.delete(row, stored.namespace, stored.name, options)
            if number % 100 == 99:
                await asyncio.sleep(0)
        metadata = {
            "resourceVersion": str(self._engine.store.revision),
            **({"continue": ""} if row.custom else {}),
        }
        return await _list(
            request, row, Page(items, self._engine.store.revision, None, 0), metadata
        )


async def _list(request: web.Request, row: Row, page: Page, metadata: Object) -> web.StreamResponse:
    form = forms.requested_form(request)
    if form != Form():
        return replies.listed(
            request, row, [row.decode(stored) for stored in page.items], metadata, form
        )
    head = msgspec.json.encode(
        {
            "kind": f"{row.resource.kind}List",
            "apiVersion": row.resource.api_version,
            "metadata": metadata,
        }
    )
    head = head[:-1] + b',"items":['
    if len(page.items) <= FLUSH_OBJECTS:
        return web.Response(
            body=head + b",".join([row.item(stored) for stored in page.items]) + b"]}",
            content_type=forms.JSON,
        )
    response = web.StreamResponse(headers={"Content-Type": forms.JSON})
    await response.prepare(request)
    for start in range(0, len(page.items), FLUSH_OBJECTS):
        chunk = b",".join(
            [row.item(stored) for stored in page.items[start : start + FLUSH_OBJECTS]]
        )
        await response.write((head if start == 0 else b",") + chunk)
        await asyncio.sleep(0)  # serve other requests between two chunks of a long list
    await response.write(b"]}")
    await response.write_eof()
    return response


def _namespace(row: Row, target: Target) -> str:
    if row.resource.namespaced and target.namespace is None:
        raise (
            status.method_not_allowed()
            if target.name is None and not row.custom
            else status.page_not_found()
        )
    return target.namespace or ""


async def _body(request: web.Request) -> Object:
    return await requests.read_body(await request.read(), request.headers.get("Content-Type"))


async def _repeated(request: web.Request, data: bytes, options: WriteOptions) -> list[str]:
    """Return messages for duplicate fields, if validation is requested explicitly.

    Raises:
        Refusal: 400 if it is strict.
    """
    if "fieldValidation" not in request.query or options.field_validation == "Ignore":
        return []
    found = await read_in_thread(data, requests.duplicate_fields)
    if found and options.field_validation == "Strict":
        raise status.bad_request("strict decoding error: " + ", ".join(found))
    return found
