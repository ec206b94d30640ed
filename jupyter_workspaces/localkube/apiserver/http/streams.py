"""Long responses: watches, logs and connections into pods.

They are tracked, so that stopping the server ends them all. A client that disconnects ends its own.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import AbstractAsyncContextManager, aclosing
from types import TracebackType
from typing import Any

import msgspec
from aiohttp import web

from jupyter_workspaces.common.transports import abort
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects.engine import Engine
from jupyter_workspaces.localkube.apiserver.objects.field_selectors import Predicate
from jupyter_workspaces.localkube.apiserver.objects.rows import Row
from jupyter_workspaces.localkube.apiserver.store.watch import Event, watch
from jupyter_workspaces.localkube.apiserver.tables import tables

from . import forms, list_options, status
from .forms import Form
from .requests import Target
from .status import Refusal

WATCH_SECONDS = 1800.0
STALL_SECONDS = 10.0
MAX_STREAMS = 2_000
"""Streams at once. The servers, kernels and controllers of one user need some dozens."""


class Streams:
    """The streams that are open."""

    def __init__(self) -> None:
        """Create it without streams."""
        self._running: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        """Return the number of open streams."""
        return len(self._running)

    def end(self) -> None:
        """End all streams."""
        for task in list(self._running):
            task.cancel()

    async def watch(
        self,
        request: web.Request,
        engine: Engine,
        row: Row,
        target: Target,
        predicate: Predicate | None,
    ) -> web.StreamResponse:
        """Respond with changes as lines of JSON.

        A revision that is too old is reported in the stream, as by Kubernetes.

        Raises:
            Refusal: 400 for invalid options, 429 if too many streams are open.
        """
        options = list_options.of_watch(request.query)
        form, include = forms.requested_form(request), forms.include_object(request)
        stall = _StallTimer(request)
        events = watch(
            engine.store,
            row,
            target.namespace if row.resource.namespaced else None,
            predicate,
            revision=options.revision,
            seconds=float(options.seconds or WATCH_SECONDS),
            bookmarks=options.bookmarks,
            initial_events=options.initial_events,
            overflowed=stall.begin,
        )
        no_delay(request)
        response = web.StreamResponse(headers={"Content-Type": forms.JSON})
        async with self.track(), aclosing(events), stall:
            await response.prepare(request)
            first = True
            try:
                async for event in events:
                    await response.write(_line(row, event, form, include, first))
                    first = False
            except Refusal as refusal:
                await response.write(
                    msgspec.json.encode({"type": "ERROR", "object": refusal.document()}) + b"\n"
                )
            await response.write_eof()
        return response

    def track(self) -> AbstractAsyncContextManager[None]:
        """Return a context that marks the current request as a stream.

        Raises:
            Refusal: 429 if too many are open.
        """
        if len(self._running) >= MAX_STREAMS:
            raise status.too_many_requests(MAX_STREAMS)
        return _Stream(self._running)


class _Stream(AbstractAsyncContextManager[None]):
    """Marks the current request as a stream, and ignores broken connections."""

    def __init__(self, streams: set[asyncio.Task[Any]]) -> None:
        self._streams = streams
        self._task: asyncio.Task[Any] | None = None

    async def __aenter__(self) -> None:
        self._task = asyncio.current_task()
        if self._task is not None:
            self._streams.add(self._task)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if self._task is not None:
            self._streams.discard(self._task)
        return isinstance(error, ConnectionError)


class _StallTimer(AbstractAsyncContextManager[None]):
    """Aborts the connection of a watcher that fell behind and still does not read."""

    def __init__(self, request: web.Request) -> None:
        self._transport = request.transport
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        if self._timer is None and self._transport is not None:
            self._timer = asyncio.get_running_loop().call_later(
                STALL_SECONDS, abort, self._transport
            )

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _line(row: Row, event: Event, form: Form, include: str, first: bool) -> bytes:
    if event.object is None:
        metadata: Object = {"resourceVersion": str(event.revision)}
        if event.initial_end:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        bookmark = {
            "kind": row.resource.kind,
            "apiVersion": row.resource.api_version,
            "metadata": metadata,
        }
        return _encoded("BOOKMARK", _shaped(row, bookmark, form, include, first) or bookmark)
    if form == Form():
        return b'{"type":"' + event.type.encode() + b'","object":' + row.body(event.object) + b"}\n"
    obj = row.decode(event.object)
    return _encoded(event.type, _shaped(row, obj, form, include, first) or obj)


def _encoded(kind: str, document: Object) -> bytes:
    return msgspec.json.encode({"type": kind, "object": document}) + b"\n"


def _shaped(row: Row, obj: Object, form: Form, include: str, first: bool) -> Object | None:
    """Return an object in the requested form; None if that is the object itself."""
    if form.kind == forms.TABLE:
        metadata = {"resourceVersion": obj["metadata"]["resourceVersion"]}
        return tables.table(row, [obj], metadata, include, definitions=first, version=form.version)
    return tables.partial(obj, form.version) if form.kind == forms.PARTIAL else None


def no_delay(request: web.Request) -> None:
    """Disable Nagle's algorithm, which would delay small chunks by about 40 ms."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
