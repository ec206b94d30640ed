"""Live changes as Server-Sent Events: each change is encoded once for all subscribers.

A subscriber that reconnects with `Last-Event-ID` continues where it stopped. Source: WHATWG HTML,
"Server-sent events". docs/api.md describes the events.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import msgspec

from jupyter_workspaces.common.supervision import Supervisor, TaskHealth
from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.reflector import Key, key_of
from jupyter_workspaces.kube.types import Object

from .times import rfc3339

log = logging.getLogger(__name__)


COALESCE_SECONDS = 0.02
"""Changes of one object within this time become one event."""

KEEP_ALIVE_SECONDS = 15.0
STALE_CHECK_SECONDS = 1.0
KEPT_EVENTS = 2_000
QUEUE = 1_000
SUBSCRIBERS = 2_000


class TooManySubscribers(Exception):
    """The limit of open streams is reached."""


class Staleness(Protocol):
    """Cache whose staleness is published."""

    @property
    def stale_since(self) -> datetime | None:
        """Since when the cache is stale; None while it is live."""
        ...

    @property
    def stale_reason(self) -> str:
        """Why the cache is stale."""
        ...


@dataclass(frozen=True)
class Event:
    """One encoded event.

    `namespace` is empty for cluster-scoped objects. An event without a number goes to all
    subscribers and is not kept for those that reconnect.
    """

    number: int | None
    namespace: str
    body: bytes


class EventFeed(ABC):
    """Publishes changes of objects to subscribers with bounded queues.

    Args:
        cache: Its staleness is published as `stale` events.
        publish: Called with each change, without the object.
    """

    def __init__(self, cache: Staleness, publish: Callable[[Object], None] | None = None) -> None:
        self.epoch = secrets.token_hex(4)
        self.revision = 0
        self._staleness_of, self._publish = cache, publish
        self._changes: OrderedDict[tuple[str, Key], tuple[str, Object]] = OrderedDict()
        self._kept: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self._queues: set[asyncio.Queue[Event | None]] = set()
        self._changed = asyncio.Event()
        self._stale = cache.stale_since
        self._tasks = Supervisor(log)

    @abstractmethod
    def snapshot(self, namespace: str | None, cluster_scoped: bool) -> bytes:
        """Encode all objects that a new subscriber may see, as JSON."""

    @abstractmethod
    def encode(self, kind: str, obj: Object) -> bytes:
        """Encode an object as JSON, as its event shows it."""

    def start(self) -> None:
        """Start publishing."""
        self._publishing = self._tasks.start("feed of changes", self._publish_changes)
        self._tasks.start("feed of staleness", self._publish_staleness)

    async def stop(self) -> None:
        """Stop publishing and close all streams."""
        await self._tasks.stop()
        for queue in list(self._queues):
            _close(queue)

    @property
    def subscribers(self) -> int:
        """Number of open streams."""
        return len(self._queues)

    @property
    def pending(self) -> bool:
        """Whether there are changes that are not published: `revision` does not include them."""
        return bool(self._changes)

    @property
    def health(self) -> list[TaskHealth]:
        """Health of its tasks."""
        return self._tasks.health

    async def subscribe(
        self, namespace: str | None, last: str | None, *, cluster_scoped: bool = True
    ) -> AsyncGenerator[bytes, None]:
        """Yield encoded events: a snapshot, then changes, with comments that keep the stream alive.

        With `last`, an id of this feed that is not too old, the missed events replace the snapshot.
        A subscriber that is too slow gets `resync` and the end; it reconnects without an id.

        Args:
            namespace: Only objects of this namespace; None for all.
            last: `Last-Event-ID` of the request.
            cluster_scoped: Whether the subscriber may see cluster-scoped objects.

        Raises:
            TooManySubscribers: Too many streams are open.
        """
        if len(self._queues) >= SUBSCRIBERS:
            raise TooManySubscribers(f"{SUBSCRIBERS} streams are open already; close some.")
        queue: asyncio.Queue[Event | None] = asyncio.Queue(QUEUE)
        self._flush()  # do not publish objects of the snapshot again as changes
        self._queues.add(queue)
        try:
            number = self.revision
            missed = self._missed(last)
            if missed is None:
                head = f"id: {self.epoch}-{self.revision}\nevent: snapshot\ndata: ".encode()
                yield head + self.snapshot(namespace, cluster_scoped) + b"\n\n"
            else:
                for event in missed:
                    if _concerns(event, namespace, cluster_scoped):
                        yield event.body
            if (since := self._staleness_of.stale_since) is not None:
                yield self._encoded_staleness(since)
            while True:
                try:
                    async with timeout(KEEP_ALIVE_SECONDS):
                        following = await queue.get()
                except asyncio.TimeoutError:
                    yield b": still here\n\n"
                    continue
                if following is None:
                    yield b"event: resync\ndata: {}\n\n"
                    return
                if following.number is None or (
                    following.number > number and _concerns(following, namespace, cluster_scoped)
                ):
                    yield following.body
        finally:
            self._queues.discard(queue)

    def mark(self, kind: str, change: str, obj: Object) -> None:
        """Publish a change (`ADDED`, `MODIFIED`, `DELETED`) of an object soon."""
        key = (kind, key_of(obj))
        known = self._changes.get(key)
        if known is not None and known[0] == "ADDED" and change == "MODIFIED":
            change = "ADDED"
        self._changes[key] = (change, obj)
        self._changed.set()

    def _missed(self, last: str | None) -> list[Event] | None:
        """Events after an id; None if the id is not of this feed, or too old."""
        epoch, _, text = (last or "").rpartition("-")
        if epoch != self.epoch or not text.isascii() or not text.isdigit() or len(text) > 18:
            return None
        number = int(text)
        oldest = self.revision + 1 - len(self._kept)
        if number > self.revision or number < oldest - 1:
            return None
        return [event for event in self._kept if event.number is not None and event.number > number]

    async def _publish_changes(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(COALESCE_SECONDS)
            self._flush()
            self._publishing.progressed()

    async def _publish_staleness(self) -> None:
        while True:
            await asyncio.sleep(STALE_CHECK_SECONDS)
            since = self._staleness_of.stale_since
            if (since is None) != (self._stale is None):
                self._send(Event(None, "", self._encoded_staleness(since)))
            self._stale = since

    def _encoded_staleness(self, since: datetime | None) -> bytes:
        data = {
            "since": rfc3339(since) if since else None,
            "reason": self._staleness_of.stale_reason if since else "",
        }
        return b"event: stale\ndata: " + msgspec.json.encode(data) + b"\n\n"

    def _flush(self) -> None:
        """Publish all changes.

        Raises, and drops, a change that cannot be encoded; the next call publishes the rest.
        """
        while self._changes:
            (kind, key), (change, obj) = self._changes.popitem(last=False)
            item = self.encode(kind, obj)
            self.revision += 1
            head = f"id: {self.epoch}-{self.revision}\nevent: {kind}\n"
            data = f'data: {{"type":"{change}","object":'
            event = Event(self.revision, key[0], (head + data).encode() + item + b"}\n\n")
            self._kept.append(event)
            self._send(event)
            if self._publish is not None:
                self._publish({"change": change, "kind": kind, "namespace": key[0], "name": key[1]})
        self._changed.clear()

    def _send(self, event: Event) -> None:
        for queue in list(self._queues):
            if queue.full():
                _close(queue)
                self._queues.discard(queue)
            else:
                queue.put_nowait(event)


def _concerns(event: Event, namespace: str | None, cluster_scoped: bool) -> bool:
    return cluster_scoped if not event.namespace else namespace in (None, event.namespace)


def _close(queue: asyncio.Queue[Event | None]) -> None:
    while not queue.empty():
        queue.get_nowait()
    queue.put_nowait(None)
