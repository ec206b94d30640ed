"""Live changes as Server-Sent Events: each change is encoded once for all who listen, and can be taken up again where one left off.

Source: WHATWG HTML, “Server-sent events”. The wire is described in docs/api.md.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from jupyter_workspaces.common.supervision import Health, Supervisor
from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.reflector import Key, key_of
from jupyter_workspaces.server.cache import Cache
from jupyter_workspaces.server.http.times import rfc3339

from .kinds.service import Kinds
from .workspaces.service import Workspaces

log = logging.getLogger(__name__)

Object = dict[str, Any]

COALESCE_SECONDS = 0.02
KEEP_ALIVE_SECONDS = 15.0
STALE_CHECK_SECONDS = 1.0
KEPT_EVENTS = 2_000
QUEUE = 1_000
SUBSCRIBERS = 2_000


class TooManySubscribers(Exception):
    """The bound on open streams is reached."""


@dataclass(frozen=True)
class Told:
    """One encoded event; the namespace is empty if every subscriber may receive it.

    An event without a number is sent to all subscribers and is not kept for reconnects.
    """

    number: int | None
    namespace: str
    body: bytes


class Feed:
    """Turns changes of the caches into events, a burst of changes of one object into one."""

    def __init__(
        self,
        cache: Cache,
        workspaces: Workspaces,
        kinds: Kinds,
        prefix: str,
        hint: Callable[[Object], None] | None = None,
    ) -> None:
        self.epoch = secrets.token_hex(4)
        self.revision = 0
        self._cache, self._workspaces, self._kinds, self._prefix, self._hint = (
            cache,
            workspaces,
            kinds,
            prefix,
            hint,
        )
        self._dirty: OrderedDict[tuple[str, Key], tuple[str, Object]] = OrderedDict()
        self._kept: deque[Told] = deque(maxlen=KEPT_EVENTS)
        self._queues: set[asyncio.Queue[Told | None]] = set()
        self._changed = asyncio.Event()
        self._stale = cache.stale_since
        self._tasks = Supervisor(log)
        self._changes = self._tasks.start("feed of changes", self._tell_changes)
        self._tasks.start("feed of staleness", self._tell_staleness)
        self._stops = [
            cache.workspaces.listen(self._workspace_changed),
            cache.kinds.listen(self._kind_changed),
        ]

    @property
    def listeners(self) -> int:
        """How many streams are open."""
        return len(self._queues)

    @property
    def pending(self) -> bool:
        """Whether there are changes that are not published, so that `revision` does not include them."""
        return bool(self._dirty)

    @property
    def health(self) -> list[Health]:
        """Health of its tasks."""
        return self._tasks.health

    async def stop(self) -> None:
        """Stop publishing and close all streams."""
        for stop in self._stops:
            stop()
        await self._tasks.stop()
        for queue in list(self._queues):
            _end(queue)

    async def subscribe(
        self, namespace: str | None, last: str | None, *, kinds: bool = True
    ) -> AsyncGenerator[bytes, None]:
        """Encoded events for one listener: a snapshot (unless `last` can be taken up), then changes, with comments to keep it alive.

        `kinds` is false for who may not see them. Raises `TooManySubscribers`.
        A listener that is too slow gets `resync` and the end; it comes back without an id.
        """
        if len(self._queues) >= SUBSCRIBERS:
            raise TooManySubscribers(f"{SUBSCRIBERS} streams are open already; close some.")
        queue: asyncio.Queue[Told | None] = asyncio.Queue(QUEUE)
        self._flush()  # do not publish objects of the snapshot again as changes
        self._queues.add(queue)
        try:
            number = self.revision
            missed = self._missed(last)
            if missed is None:
                yield self._snapshot(namespace, kinds)
            else:
                for told in missed:
                    if _concerns(told, namespace, kinds):
                        yield told.body
            if (since := self._cache.stale_since) is not None:
                yield self._staleness(since)
            while True:
                try:
                    async with timeout(KEEP_ALIVE_SECONDS):
                        next_told = await queue.get()
                except asyncio.TimeoutError:
                    yield b": still here\n\n"
                    continue
                if next_told is None:
                    yield b"event: resync\ndata: {}\n\n"
                    return
                if next_told.number is None or (
                    next_told.number > number and _concerns(next_told, namespace, kinds)
                ):
                    yield next_told.body
        finally:
            self._queues.discard(queue)

    def _snapshot(self, namespace: str | None, with_kinds: bool) -> bytes:
        items = b",".join(self._workspaces.list(namespace))
        kinds = msgspec.json.encode(self._kinds.list() if with_kinds else [])
        head = f"id: {self.epoch}-{self.revision}\nevent: snapshot\ndata: ".encode()
        return head + b'{"workspaces":[' + items + b'],"workspaceKinds":' + kinds + b"}\n\n"

    def _missed(self, last: str | None) -> list[Told] | None:
        """What was told after an id; None when it is not one of ours or too old."""
        epoch, _, text = (last or "").rpartition("-")
        if epoch != self.epoch or not text.isascii() or not text.isdigit() or len(text) > 18:
            return None
        number = int(text)
        oldest = self.revision + 1 - len(self._kept)
        if number > self.revision or number < oldest - 1:
            return None
        return [told for told in self._kept if told.number is not None and told.number > number]

    def _workspace_changed(self, change: str, obj: Object, previous: Object | None) -> None:
        self._mark("workspace", change, obj)

    def _kind_changed(self, change: str, obj: Object, previous: Object | None) -> None:
        self._mark("workspacekind", change, obj)
        if (
            previous is not None
            and change == "MODIFIED"
            and previous["metadata"].get("generation") == obj["metadata"].get("generation")
        ):
            return  # its counts changed, not what workspaces show of it
        for workspace in self._cache.workspaces.items():
            spec = workspace.get("spec")
            if isinstance(spec, dict) and spec.get("kind") == obj["metadata"]["name"]:
                self._mark("workspace", "MODIFIED", workspace)

    def _mark(self, what: str, change: str, obj: Object) -> None:
        key = (what, key_of(obj))
        known = self._dirty.get(key)
        if known is not None and known[0] == "ADDED" and change == "MODIFIED":
            change = "ADDED"
        self._dirty[key] = (change, obj)
        self._changed.set()

    async def _tell_changes(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(COALESCE_SECONDS)
            self._flush()
            self._changes.progressed()

    async def _tell_staleness(self) -> None:
        while True:
            await asyncio.sleep(STALE_CHECK_SECONDS)
            since = self._cache.stale_since
            if (since is None) != (self._stale is None):
                self._send(Told(None, "", self._staleness(since)))
            self._stale = since

    def _staleness(self, since: datetime | None) -> bytes:
        data = {
            "since": rfc3339(since) if since else None,
            "reason": self._cache.stale_reason if since else "",
        }
        return b"event: stale\ndata: " + msgspec.json.encode(data) + b"\n\n"

    def _flush(self) -> None:
        """Publish all changes. Drops and raises one that fails; the next call publishes the rest."""
        while self._dirty:
            (what, key), (change, obj) = self._dirty.popitem(last=False)
            item = self._encoded(what, obj)
            self.revision += 1
            head = f'id: {self.epoch}-{self.revision}\nevent: {what}\ndata: {{"type":"{change}","object":'.encode()
            told = Told(self.revision, key[0], head + item + b"}\n\n")
            self._kept.append(told)
            self._send(told)
            if self._hint is not None:
                self._hint({"change": change, "kind": what, "namespace": key[0], "name": key[1]})
        self._changed.clear()

    def _send(self, told: Told) -> None:
        for queue in list(self._queues):
            if queue.full():
                _end(queue)
                self._queues.discard(queue)
            else:
                queue.put_nowait(told)

    def _encoded(self, what: str, obj: Object) -> bytes:
        return (
            self._workspaces.encoded(obj)
            if what == "workspace"
            else msgspec.json.encode(self._kinds.item(obj))
        )


def _concerns(told: Told, namespace: str | None, kinds: bool) -> bool:
    return kinds if not told.namespace else namespace in (None, told.namespace)


def _end(queue: asyncio.Queue[Told | None]) -> None:
    while not queue.empty():
        queue.get_nowait()
    queue.put_nowait(None)
