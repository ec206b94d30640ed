"""Cache of one resource type, kept in sync by list and watch.

It follows client-go's reflector: list, then watch from the revision of the list; list again if the
revision has expired. The official Python client has only the single watch request.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timezone

from jupyter_workspaces.common.supervision import Backoff, SupervisedTask, TaskHealth

from .catalog import Resource
from .client import Cluster
from .errors import (
    ClusterError,
    Expired,
    Forbidden,
    InvalidResponse,
    Unauthorized,
    Unreachable,
)
from .object_store import (
    Key,
    Listener,
    ObjectStore,
    key_of,
)
from .responses import Listing, WatchEvent

__all__ = ["Key", "Listener", "Reflector", "Times", "WatchEnded", "key_of"]

log = logging.getLogger(__name__)

DENIED_PAUSE = 60.0
"""Seconds between two requests while the list is forbidden: the permission may be granted later."""
TOO_NEW = "ResourceVersionTooLarge"
"""Cause of a refused revision from the future: the server was restored or replaced."""


@dataclass(frozen=True)
class Times:
    """Seconds of a reflector's pauses and limits.

    `first_pause` and `longest_pause` bound the backoff. A watch counts as alive once it is open for
    `settled`, and as failed if it ends before `steady`. Its timeout is `first_watch` until the
    server has ended one in time, then up to `longest_watch`. After a 410, a list waits `page` for
    each of its pages, so that long lists keep to the request limit. A cache is stale
    `stale_after_error` after the last response if a request failed, else `stale_after`. After
    `check_after` without a response, a check of the cluster has the timeout `check_timeout`, and is
    repeated after `check_pause`.
    """

    first_pause: float = 0.5
    longest_pause: float = 8.0
    settled: float = 0.25
    steady: float = 10.0
    first_watch: int = 15
    longest_watch: int = 290
    page: float = 3.0
    stale_after_error: float = 3.0
    stale_after: float = 12.0
    check_after: float = 10.0
    check_timeout: float = 6.0
    check_pause: float = 4.0


class WatchEnded(Exception):
    """A watch ended too early or expired at once, although the cluster answers."""


class Reflector(ObjectStore):
    """Cache of all objects of a resource type.

    Lists in pages and watches from there; lists again on 410. A failure is logged once per kind,
    counted in `health` and retried with backoff up to 8 s with jitter, reset by an event or a
    bookmark. At most 40 requests a minute are sent, however the API server fails. One task runs
    from `start` to `stop`.

    `error` is the latest failure, None after the next successful response. `stale_since` is set
    while the cached objects may be out of date.
    """

    def __init__(
        self,
        cluster: Cluster,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        times: Times | None = None,
    ) -> None:
        """Make an empty cache, of one namespace or of all. It sends requests after `start`."""
        super().__init__(resource)
        self.namespace = namespace
        self.error: ClusterError | None = None
        self.times = times or Times()
        self._cluster = cluster
        self._labels, self._fields = label_selector, field_selector
        self._synced = asyncio.Event()
        self._answered = asyncio.Event()
        self._listed_at, self._pages = float("-inf"), 1
        self._period = self.times.first_watch
        self._opened_at: float | None = None
        self._settling: asyncio.TimerHandle | None = None
        self._open = self._doubted = False
        self._heard, self._heard_at = time.monotonic(), datetime.now(timezone.utc)
        self._task = SupervisedTask(
            f"watch of {resource.plural}",
            self._attempt,
            backoff=Backoff(self.times.first_pause, self.times.longest_pause),
            describe=_describe,
            expected=(ClusterError, WatchEnded),
            reports_progress=True,
            pause=self._pause,
            log=log,
        )

    def start(self) -> None:
        """Start to list and watch. Does nothing if it is running."""
        if not self._task.running:
            self._hear()
            self._task.start()

    async def stop(self) -> None:
        """Stop watching; keep the cached objects."""
        await self._task.stop()

    async def synced(self, seconds: float = 30) -> None:
        """Wait for the first list.

        Raises:
            ClusterError: no list within `seconds`; this is the latest error.
            TimeoutError: no list within `seconds`, and no error either.
        """
        await self._wait(self._synced, seconds)

    async def answered(self, seconds: float = 30) -> None:
        """Wait for the first list or its refusal (`denied`). Raises the same as `synced`."""
        await self._wait(self._answered, seconds)

    async def _wait(self, event: asyncio.Event, seconds: float) -> None:
        waiter = asyncio.ensure_future(event.wait())
        try:
            done, _ = await asyncio.wait({waiter}, timeout=seconds)
        finally:
            waiter.cancel()
        if not done:
            raise self.error or TimeoutError(
                f"{self.resource.plural} were not listed within {seconds:g} s"
            )

    def wake(self) -> None:
        """End the pause after a failure, because the server probably answers again."""
        self._task.wake()

    @property
    def ready(self) -> bool:
        """Whether the first list has arrived."""
        return self._synced.is_set()

    @property
    def denied(self) -> Forbidden | None:
        """The cluster's error response while the list is forbidden, else None."""
        return self._refusal

    @property
    def _refusal(self) -> Forbidden | None:
        return (
            self.error if isinstance(self.error, Forbidden) and not self._synced.is_set() else None
        )

    @property
    def health(self) -> list[TaskHealth]:
        """Health of its task. A forbidden list is a response, not a failure."""
        return [] if self._refusal else [self._task.health]

    # Liveness of the cluster

    @property
    def stale_since(self) -> datetime | None:
        """Time of the last response of the cluster (UTC); None while the cache is in sync."""
        if (
            not self._task.running
            or self._refusal is not None
            or (self._open and not self._doubted)
        ):
            return None
        times = self.times
        bound = times.stale_after if self.error is None else times.stale_after_error
        return self._heard_at if time.monotonic() - self._heard > bound else None

    def silent(self, seconds: float) -> bool:
        """Whether its running task has received nothing for `seconds`."""
        return (
            self._task.running
            and self._refusal is None
            and time.monotonic() - self._heard > seconds
        )

    def doubt(self, error: ClusterError) -> None:
        """Record that the cluster does not answer: a silent open watch may be dead."""
        if self._open and not self._doubted:
            self._doubted, self.error = True, error

    def confirm(self) -> None:
        """Record that the cluster answers: an open watch is silent because nothing changes."""
        if self._open and not self._doubted:
            self._hear()

    async def renew(self) -> None:
        """Retry at once after the cluster recovered: end the pause and cancel pending requests."""
        if self._task.running and self._refusal is None and (self._doubted or not self._open):
            await self._task.stop()
            self._task.start()

    def _hear(self) -> None:
        self._heard, self._heard_at = time.monotonic(), datetime.now(timezone.utc)

    # Its task

    async def _attempt(self) -> None:
        """List and watch until something fails."""
        try:
            while True:
                if not self.resource_version:
                    await self._list()
                await self._watch()
        except ClusterError as error:
            self.error = error
            if (refusal := self._refusal) is not None:
                await self._refused(refusal)
            raise

    async def _refused(self, error: Forbidden) -> None:
        """Handle the refusal of the first list."""
        self._answered.set()

    def _pause(self, error: Exception | None, seconds: float) -> float:
        """Return the pause: `Retry-After` with a bound, longer only after a list of many pages."""
        if self._refusal is not None:
            return DENIED_PAUSE
        if isinstance(error, ClusterError):
            asked = min(error.retry_after, self.times.longest_pause)
            return max(seconds, asked, (error.requests - 1) * self.times.page / 2)
        return seconds

    async def _list(self) -> None:
        listing = await self._cluster.list(
            self.resource, self.namespace, label_selector=self._labels, field_selector=self._fields
        )
        self._listed(listing)
        self._listed_at, self._pages, self.error = time.monotonic(), listing.pages, None
        self._hear()
        self._synced.set()
        self._answered.set()

    def _listed(self, listing: Listing) -> None:
        self._take(listing.items, listing.resource_version)

    async def _watch(self) -> None:
        """Watch until the server ends it or the revision expires.

        Raises `ClusterError`, `WatchEnded`.
        """
        began, events = time.monotonic(), 0
        self._opened_at = None
        watch = self._cluster.watch(
            self.resource,
            self.namespace,
            resource_version=self.resource_version,
            label_selector=self._labels,
            field_selector=self._fields,
            seconds=self._period,
            opened=self._opened,
        )
        try:
            async with aclosing(watch) as stream:
                async for event in stream:
                    events += 1
                    self._event(event)
        except ClusterError as error:
            if self._open and not (isinstance(error, Unreachable) and error.timed_out):
                self._hear()  # the watch was alive until now
            self._period = self.times.first_watch
            if not isinstance(error, Expired) and all(
                cause.reason != TOO_NEW for cause in error.causes
            ):
                raise
            self._expired()
        else:
            self._ended(time.monotonic() - (self._opened_at or began))
        finally:
            self._open = self._doubted = False
            if self._settling is not None:
                self._settling.cancel()
            if events and time.monotonic() - began >= self.times.steady:
                self._task.progressed()

    def _opened(self) -> None:
        self._opened_at = time.monotonic()
        self._settling = asyncio.get_running_loop().call_later(self.times.settled, self._settled)

    def _settled(self) -> None:
        """Record that the watch stays open, so the cluster is alive. Silence is normal."""
        self._open, self._doubted, self.error = True, False, None
        self._hear()
        self._task.recovered()

    def _event(self, event: WatchEvent) -> None:
        self._seen(event.type, event.object)
        self._settled()
        if self._opened_at is not None and time.monotonic() - self._opened_at >= self.times.steady:
            self._task.progressed()

    def _expired(self) -> None:
        """Drop the expired revision. Raises `WatchEnded`, to pause, if it has just been listed."""
        age = time.monotonic() - self._listed_at
        if age >= self._pages * self.times.page:
            self.resource_version = ""
            if age >= self.times.steady:
                return
        raise WatchEnded("the cluster reports that the revision of its latest list is too old")

    def _ended(self, seconds: float) -> None:
        """Handle a watch that the server ended after `seconds`. Raises `WatchEnded` if too soon."""
        # Only an API server ends a watch at its timeoutSeconds.
        if seconds >= self._period * 0.8:
            self._hear()
            self._period = min(self._period * 2, self.times.longest_watch)
            self._task.progressed()
        elif seconds >= self.times.steady:  # a proxy may end long watches
            self._hear()
        else:
            raise WatchEnded("watches end at once")


def _describe(error: Exception) -> str:
    """Describe a failure without foreign texts, which may hold secrets."""
    if isinstance(error, (InvalidResponse, WatchEnded)) or (
        isinstance(error, Unreachable) and not error.answered
    ):
        return str(error)  # our own text
    if isinstance(error, Unauthorized):
        return "the cluster does not accept this server's credentials"
    if isinstance(error, ClusterError):
        return f"the cluster answered {error.status} ({error.reason})"
    return type(error).__name__
