"""Connection of the server to its cluster: found in the background, awaited by the first request.

It reconnects when the local cluster is restarted, and gets a new cache when the kubeconfig files
name another cluster. Each HTTP API has services that read this cache (`ApiConnection`).
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from jupyter_workspaces.common.errors import PlainError, code_location, public_text
from jupyter_workspaces.common.supervision import (
    STOP_SECONDS,
    Backoff,
    Supervisor,
    TaskHealth,
)
from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import Endpoint
from jupyter_workspaces.kube.errors import ClusterError, NoEndpoint, Unreachable
from jupyter_workspaces.kube.kubeconfig.sources import EndpointSource, FileState

from .access_reviews import Access
from .cache import Cache

log = logging.getLogger(__name__)

READY_SECONDS = 20.0
AGAIN_SECONDS = 5.0
LOOK_SECONDS = 0.5
"""Interval of the checks of the kubeconfig files: a stat of two or three files, in a thread."""
WAKE_SECONDS = 0.5


def _no_files(endpoint: Endpoint) -> EndpointSource | None:
    return None


class NotReady(PlainError):
    """The cluster cannot be used now. The message says why."""


class ApiServices(Protocol):
    """Services of one HTTP API for the cache of one cluster."""

    @property
    def health(self) -> list[TaskHealth]:
        """Health of its long-lived tasks."""
        ...

    @property
    def streams(self) -> int:
        """Number of open streams of live changes."""
        ...

    async def prepare(self) -> None:
        """Read from the cluster what the services need. Raises `ClusterError`."""
        ...

    def start(self) -> None:
        """Start its tasks: requests use the services from now on."""
        ...

    async def stop(self) -> None:
        """Close its streams and stop its tasks."""
        ...


Services = TypeVar("Services", bound=ApiServices)


class ClusterConnection:
    """The cache of the cluster that the settings name, and the services of all APIs for it.

    Every request passes `ready`.

    Args:
        choose: Finds the endpoint, and may start the local cluster. Runs in a thread.
        source: Returns the files that define an endpoint. They are watched; if they name another
            cluster, cache and services are replaced.
    """

    def __init__(
        self,
        choose: Callable[[], Endpoint],
        source: Callable[[Endpoint], EndpointSource | None] = _no_files,
    ) -> None:
        self.workspaces_url = ""
        self._choose, self._source_of = choose, source
        self._apis: list[ApiConnection[Any]] = []
        self._tasks = Supervisor(log)
        self._starting: asyncio.Task[None] | None = None
        self._starts: set[asyncio.Task[None]] = set()
        self._not_before = 0.0
        self._up = False
        self._moved = False
        self._source: EndpointSource | None = None
        self._look: FileState | None = None
        self._ending: asyncio.Task[None] | None = None
        self._excused: ClusterError | None = None

    cluster: Cache
    access: Access
    workspaces_url: str
    """Origin where workspaces open; empty if it is the server's own."""

    def add(self, api: ApiConnection[Any]) -> None:
        """Add an API, before the start."""
        self._apis.append(api)

    def start(self) -> None:
        """Start everything in the background; requests wait for it in `ready`."""
        if self._starting is None:
            self._start_again()

    async def stop(self) -> None:
        """Stop everything and wait for it."""
        await self._cancel_starts()
        if self._ending is not None:  # not cancelled, so that the cache is stopped completely
            await asyncio.wait([self._ending], timeout=STOP_SECONDS)
        await self._tasks.stop()
        await self._cancel_starts()  # the watch of the files may have begun one in the meantime
        if self._up:
            self._up = False
            await _end([api.services for api in self._apis], self.access, self.cluster)

    async def _cancel_starts(self) -> None:
        """Cancel all starts, also one that a newer start waits for."""
        self._starting = None
        starts = [*self._starts]
        for start in starts:
            start.cancel()
        await asyncio.gather(*starts, return_exceptions=True)

    async def ready(self, seconds: float = READY_SECONDS, *, stale: bool = False) -> None:
        """Wait until the caches are in sync.

        Raises `NotReady` with the reason if they are not in sync within `seconds`. With `stale`,
        caches that were in sync before suffice; a dead local cluster restarts in the background.
        """
        if self._up and not self._moved and not self._is_down():
            return
        if self._starting is None or (self._starting.done() and await self._is_worth_a_try()):
            self._start_again()
        assert self._starting is not None
        if self._up and stale and not self._moved:
            return
        try:
            async with timeout(seconds):
                await self._started()
        except asyncio.TimeoutError:
            raise NotReady("The cluster is not ready yet. Try again in a moment.") from None
        except NotReady:
            raise
        except Exception as error:  # any failure of the start is the answer to the request
            raise NotReady(public_text(error)) from error

    @property
    def stale_since(self) -> datetime | None:
        """Since when the cache is stale (UTC); None while it is live, or not started."""
        return self.cluster.stale_since if self._up else None

    @property
    def health(self) -> list[TaskHealth]:
        """Health of the long-lived tasks: caches and services."""
        if not self._up:
            return []
        return [*self.cluster.health, *(one for api in self._apis for one in api.services.health)]

    @property
    def streams(self) -> int:
        """Number of open streams of live changes."""
        return sum(api.services.streams for api in self._apis) if self._up else 0

    def _is_down(self) -> bool:
        error = self.cluster.workspaces.error
        return (
            self.cluster.endpoint.embedded
            and isinstance(error, Unreachable)
            and error is not self._excused
        )

    async def _started(self) -> None:
        """Wait for the current start, or for one that replaces it. Raises its exception."""
        while (starting := self._starting) is not None:
            await asyncio.wait([starting])
            if not starting.cancelled():
                return starting.result()
            if starting is self._starting:
                break
        raise NotReady("This server is being stopped.")

    async def _is_worth_a_try(self) -> bool:
        """Return whether to retry: after a pause, or if the cluster started in the meantime."""
        if asyncio.get_running_loop().time() >= self._not_before:
            return True
        source, look = self._source, self._look
        return (
            source is not None
            and look is not None
            and await asyncio.to_thread(_has_come_up, source, look)
        )

    @property
    def _is_starting(self) -> bool:
        return self._starting is not None and not self._starting.done()

    def _start_again(self) -> None:
        """Start with a new endpoint. Cancels a current start, because the files have changed."""
        before = self._starting if self._is_starting else None
        self._starting = asyncio.create_task(self._start(before), name="connection to the cluster")
        self._starts.add(self._starting)
        self._starting.add_done_callback(self._starts.discard)
        self._starting.add_done_callback(_retrieve)

    async def _start(self, before: asyncio.Task[None] | None) -> None:
        try:
            if before is not None:
                before.cancel()
                await asyncio.wait([before], timeout=STOP_SECONDS)
            look = None if self._source is None else await asyncio.to_thread(self._source.read)
            endpoint = await asyncio.to_thread(self._choose)
            # It takes 0.1 s, so not on the event loop.
            await asyncio.to_thread(importlib.import_module, "aiohttp")
            if self._up and not self._names_another(look, endpoint):
                self._look, self._moved = look, False
                await self._wait_for_events()
                return
            self._moved = self._up
            source = self._source_of(endpoint)
            if source is not None and (look is None or look.fingerprint is None):
                look = await asyncio.to_thread(source.read)
            await self._fill(Cache(Cluster(endpoint)))
            self._source, self._look = source, look
        except BaseException as error:
            self._not_before = asyncio.get_running_loop().time() + AGAIN_SECONDS
            if isinstance(error, Exception) and not isinstance(error, PlainError):
                log.error(
                    "The cluster of the workspaces could not be reached: %s", code_location(error)
                )
            elif not isinstance(error, (asyncio.CancelledError, ClusterError, NoEndpoint)):
                log.warning("The cluster of the workspaces could not be reached: %s", error)
            raise

    def _names_another(self, look: FileState | None, endpoint: Endpoint) -> bool:
        if look is None or self._look is None:
            return endpoint.url != self.cluster.endpoint.url
        return not look.has_same_endpoint_as(self._look)

    async def _fill(self, cache: Cache) -> None:
        """Replace the cache by a new one that is in sync. Raises `ClusterError`, `TimeoutError`."""
        try:
            await cache.start()
            access = Access(cache.cluster)
            new = [api.build(cache, access) for api in self._apis]
            for services in new:
                await services.prepare()
        except BaseException:
            await cache.stop()
            raise
        before = None
        if self._up:
            before = ([api.services for api in self._apis], self.access, self.cluster)
        self.cluster, self.access = cache, access
        for api, services in zip(self._apis, new, strict=True):
            api.services = services
            services.start()
        if before is None:
            self._tasks.start("watch of the files that name the cluster", self._watch_files)
        else:
            self._ending = self._tasks.run_once("end of the former cluster's cache", _end(*before))
        self._up, self._moved = True, False
        log.info("Workspaces of %s at %s", cache.endpoint.name, cache.endpoint.url)

    async def _watch_files(self) -> None:
        """Restart if the files name another cluster; wake the caches if the local one restarted."""
        pauses, not_before, tried = Backoff(), 0.0, None
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            source, known = self._source, self._look
            if (
                source is None
                or known is None
                or not await asyncio.to_thread(_has_come_up, source, known)
            ):
                continue
            look = await asyncio.to_thread(source.read)
            if look.fingerprint is None:
                log.warning(
                    "The changed kubeconfig cannot be used; still using %s. Correct it.",
                    self.cluster.endpoint.name,
                )
                self._look = look.with_endpoint_of(known)
                continue
            if look.stamp != tried:
                pauses.reset()
            elif loop.time() < not_before or self._is_starting:
                continue
            tried, not_before = look.stamp, loop.time() + pauses.next()
            self._start_again()

    async def _wait_for_events(self) -> None:
        """Reconnect the caches to a restarted cluster, and wait for them briefly.

        Earlier errors are ignored, even if the watches have received no event since.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + WAKE_SECONDS
        while self._is_down() and loop.time() < end:
            for reflector in self.cluster.reflectors.values():
                reflector.wake()
            await asyncio.sleep(WAKE_SECONDS / 5)
        self._excused = self.cluster.workspaces.error


def _has_come_up(source: EndpointSource, known: FileState) -> bool:
    """Whether the files have changed and their cluster answers. Blocks."""
    return source.has_changed(known) and source.answers()


async def _end(services: Iterable[ApiServices], access: Access, cache: Cache) -> None:
    """Stop services, whose clients reconnect and get a new snapshot, then their cache."""
    for one in services:
        await one.stop()
    await access.stop()
    await cache.stop()


def _retrieve(start: asyncio.Task[None]) -> None:
    """Retrieve the exception of a start: `_start` logs it, and the next `ready` raises it."""
    if not start.cancelled():
        start.exception()


class ApiConnection(Generic[Services]):
    """The services of one HTTP API, for whatever cluster the server is connected to.

    Args:
        connection: The server's connection to its cluster.
        prefix: Path at which the API is served.
        build: Makes the services for a cache that is in sync.
    """

    services: Services

    def __init__(
        self,
        connection: ClusterConnection,
        prefix: str,
        build: Callable[[Cache, Access], Services],
    ) -> None:
        self.connection, self.prefix, self.build = connection, prefix, build
        connection.add(self)

    async def ready(self, seconds: float = READY_SECONDS, *, stale: bool = False) -> Services:
        """Wait until the caches are in sync, and return the services.

        Raises `NotReady` with the reason if they are not in sync within `seconds`. With `stale`,
        caches that were in sync before suffice; a dead local cluster restarts in the background.
        """
        await self.connection.ready(seconds, stale=stale)
        return self.services
