"""Watches: the changes of a resource from any revision that the log has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.localkube.apiserver.http import status
from jupyter_workspaces.localkube.apiserver.objects.field_selectors import Predicate
from jupyter_workspaces.localkube.apiserver.objects.rows import Row

from .store import Change, Store, Stored

QUEUE = 2_000
BOOKMARK_SECONDS = 60.0


@dataclass(frozen=True)
class Event:
    """An event of a watch. A BOOKMARK has no object, but the revision up to which all is sent."""

    type: str
    object: Stored | None
    revision: int
    initial_end: bool = False


@dataclass(frozen=True)
class _Selection:
    """The objects that a watcher sees."""

    namespace: str | None
    predicate: Predicate | None

    def matches(self, stored: Stored | None) -> bool:
        return (
            stored is not None
            and (self.namespace is None or stored.namespace == self.namespace)
            and (self.predicate is None or self.predicate(stored))
        )

    def event(self, change: Change) -> Event | None:
        """Return the event of a change for this watcher, or None."""
        before = self.matches(change.old)
        after = not change.deleted and self.matches(change.new)
        if change.old is not None and before and not after:
            last = change.new if change.deleted else change.old.at(change.revision)
            return Event("DELETED", last, change.revision)
        if after:
            return Event("MODIFIED" if before else "ADDED", change.new, change.revision)
        return None


async def watch(
    store: Store,
    row: Row,
    namespace: str | None,
    predicate: Predicate | None,
    *,
    revision: int | None,
    seconds: float,
    bookmarks: bool,
    initial_events: bool,
    overflowed: Callable[[], None] = lambda: None,
) -> AsyncGenerator[Event, None]:
    """Yield events until `seconds` are over or the watcher is too slow for its queue.

    Without a revision (or with 0 or `initial_events`), the existing objects are sent first as
    ADDED, oldest revision first. An object that starts or ceases to match the selectors is ADDED or
    DELETED. `overflowed` is called when the queue is full.

    Raises:
        Refusal: 410 if the revision is too old.
    """
    queue: asyncio.Queue[Change | None] = asyncio.Queue(QUEUE)

    def enqueue(change: Change) -> None:
        if queue.full():
            while not queue.empty():
                queue.get_nowait()
            queue.put_nowait(None)  # ends the stream; the client resumes it from its last event
            overflowed()
        else:
            queue.put_nowait(change)

    selection = _Selection(namespace, predicate)
    known = store.revision
    from_start = initial_events or not revision
    missed: Sequence[Change] = ()
    if not from_start and revision is not None:
        found = store.since(row.name, revision)
        if found is None:
            raise status.gone(revision, store.oldest)
        missed = found
    stop = store.listen(row.name, enqueue)
    try:
        if from_start:
            present = [
                stored for stored in store.list(row.name, namespace) if selection.matches(stored)
            ]
            for stored in sorted(present, key=lambda held: held.revision):
                yield Event("ADDED", stored, stored.revision)
            if initial_events and bookmarks:
                yield Event("BOOKMARK", None, known, initial_end=True)
        for change in missed:
            if (event := selection.event(change)) is not None:
                yield event
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        next_bookmark = loop.time() + BOOKMARK_SECONDS
        while (left := end - loop.time()) > 0:
            wait = min(left, next_bookmark - loop.time()) if bookmarks else left
            try:
                async with timeout(max(wait, 0.001)):
                    change_or_end = await queue.get()
            except asyncio.TimeoutError:
                # A change may have arrived at the timeout, so the queue is checked.
                if bookmarks and loop.time() >= next_bookmark and queue.empty():
                    next_bookmark = loop.time() + BOOKMARK_SECONDS
                    yield Event("BOOKMARK", None, store.revision)
                continue
            if change_or_end is None:
                return
            if (event := selection.event(change_or_end)) is not None:
                yield event
        if bookmarks and queue.empty():
            yield Event("BOOKMARK", None, store.revision)
    finally:
        stop()
