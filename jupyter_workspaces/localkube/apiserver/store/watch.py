"""Watches: changes of a resource as a stream of lines, from any revision that the log still holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.localkube.apiserver.http import status
from jupyter_workspaces.localkube.apiserver.objects.rows import Row
from jupyter_workspaces.localkube.apiserver.objects.selectors import Predicate

from .store import Change, Store, Stored

QUEUE = 2_000
BOOKMARK_SECONDS = 60.0


@dataclass(frozen=True)
class Event:
    """What a watcher is told. A BOOKMARK has no object, only the revision up to which the watcher knows everything."""

    type: str
    object: Stored | None
    revision: int
    initial_end: bool = False


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
    """Events until `seconds` are over or the watcher is too slow for its queue.

    Without a revision (or 0, or with `initial_events`) the present objects come first, oldest revision first, as ADDED.
    An object that begins or ceases to match the selectors is ADDED or DELETED. `overflowed` is called when the queue was full.
    Raises `Refusal` 410 when the revision is too old.
    """
    queue: asyncio.Queue[Change | None] = asyncio.Queue(QUEUE)

    def take(change: Change) -> None:
        if queue.full():
            while not queue.empty():
                queue.get_nowait()
            queue.put_nowait(
                None
            )  # the stream ends; the client takes up again from what it has seen
            overflowed()
        else:
            queue.put_nowait(change)

    def fits(stored: Stored | None) -> bool:
        return (
            stored is not None
            and (namespace is None or stored.namespace == namespace)
            and (predicate is None or predicate(stored))
        )

    def told(change: Change) -> Event | None:
        before, after = fits(change.old), not change.deleted and fits(change.new)
        if change.old is not None and before and not after:
            return Event(
                "DELETED",
                change.new if change.deleted else change.old.at(change.revision),
                change.revision,
            )
        if after:
            return Event("MODIFIED" if before else "ADDED", change.new, change.revision)
        return None

    known = store.revision
    from_start = initial_events or not revision
    missed: Sequence[Change] = ()
    if not from_start and revision is not None:
        found = store.since(row.name, revision)
        if found is None:
            raise status.gone(revision, store.oldest)
        missed = found
    stop = store.listen(row.name, take)
    try:
        if from_start:
            present = [stored for stored in store.list(row.name, namespace) if fits(stored)]
            for stored in sorted(present, key=lambda held: held.revision):
                yield Event("ADDED", stored, stored.revision)
            if initial_events and bookmarks:
                yield Event("BOOKMARK", None, known, initial_end=True)
        for change in missed:
            if (event := told(change)) is not None:
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
                if (
                    bookmarks and loop.time() >= next_bookmark and queue.empty()
                ):  # a change may have come as the time ran out
                    next_bookmark = loop.time() + BOOKMARK_SECONDS
                    yield Event("BOOKMARK", None, store.revision)
                continue
            if change_or_end is None:
                return
            if (event := told(change_or_end)) is not None:
                yield event
        if bookmarks and queue.empty():
            yield Event("BOOKMARK", None, store.revision)
    finally:
        stop()
