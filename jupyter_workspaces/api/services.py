"""All services over one cluster: brought up in the background, waited for by the first request, brought up again when the cluster went away."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from ..cluster.cache import Cache
from ..cluster.client import Cluster
from ..cluster.endpoint import Endpoint, NoEndpoint
from ..cluster.errors import ClusterError, Unreachable
from ..errors import PlainError, place, shown
from .events import Feed
from .identity import Access
from .problems import Problem
from .workspaces.about.service import About
from .workspaces.kinds.service import Kinds
from .workspaces.pods.service import Pods
from .workspaces.secrets.service import Secrets
from .workspaces.volumes.service import Volumes
from .workspaces.workspaces.service import Workspaces

log = logging.getLogger(__name__)

READY_SECONDS = 20.0
AGAIN_SECONDS = 5.0


class Services:
    """What handlers ask.

    `choose` finds the endpoint and may start the embedded cluster; it blocks, so it runs in a thread. `prefix` is where the API is served,
    `workspaces_url` the origin where workspaces open, empty when that is the server's own.
    Every request passes `ready`: it waits for the first start, and starts a dead embedded cluster again, once for all who wait.
    """

    def __init__(self, choose: Callable[[], Endpoint], prefix: str, hint: Callable[[dict[str, Any]], None] | None = None) -> None:
        self.prefix = prefix
        self.workspaces_url = ""
        self._choose, self._hint = choose, hint
        self._starting: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self._up = False

    cluster: Cache
    access: Access
    workspaces: Workspaces
    kinds: Kinds
    volumes: Volumes
    secrets: Secrets
    pods: Pods
    about: About
    feed: Feed

    def start(self) -> None:
        """Bring everything up in the background; who needs it waits in `ready`."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start(), name="workspaces services")

    async def stop(self) -> None:
        task, self._starting = self._starting, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if self._up:
            self._up = False
            self.feed.stop()
            await self.workspaces.stop()
            await self.access.stop()
            await self.cluster.stop()

    async def ready(self, seconds: float = READY_SECONDS, *, stale: bool = False) -> Services:
        """Return itself once the caches are filled. Raises `Problem` 503 saying why not.

        With `stale` caches that were filled before are enough; a dead local cluster is started again in the background.
        """
        if self._up and not self._is_down():
            return self
        if self._starting is None or (self._starting.done() and asyncio.get_running_loop().time() >= self._not_before):
            self._starting = asyncio.create_task(self._start(), name="workspaces services")
            self._starting.add_done_callback(_retrieve)
        if self._up and stale:
            return self
        try:
            await asyncio.wait_for(asyncio.shield(self._starting), seconds)
        except asyncio.TimeoutError:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "The cluster is not ready yet. Try again in a moment.") from None
        except Exception as error:  # whatever kept the cluster from starting is told to the one who asked
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, shown(error)) from error
        return self

    def writer(self, user: str | None) -> str | None:
        """Who is written down as the one who changed an object: a vouched-for user, else the name by which the cluster knows us."""
        return user or self.about.user

    def _is_down(self) -> bool:
        return self.cluster.endpoint.embedded and isinstance(self.cluster.workspaces.error, Unreachable)

    async def _start(self) -> None:
        try:
            endpoint = await asyncio.to_thread(self._choose)
            await asyncio.to_thread(importlib.import_module, "aiohttp")  # a tenth of a second that the event loop need not stand still
            if self._up:
                # The embedded cluster came back: same address, same token, perhaps with a new authority; the caches take up by themselves.
                self.cluster.endpoint.trust_also(endpoint)
                await self._heard_again()
                return
            await self._fill(Cache(Cluster(endpoint)))
        except BaseException as error:
            self._not_before = asyncio.get_running_loop().time() + AGAIN_SECONDS
            if isinstance(error, Exception) and not isinstance(error, PlainError):
                log.error("The cluster of the workspaces could not be reached: %s", place(error))
            elif not isinstance(error, (asyncio.CancelledError, ClusterError, NoEndpoint)):
                log.warning("The cluster of the workspaces could not be reached: %s", error)
            raise

    async def _fill(self, cache: Cache) -> None:
        try:
            await cache.start()
        except BaseException:
            await cache.stop()
            raise
        self.cluster = cache
        self.access = Access(cache.cluster)
        self.workspaces = Workspaces(cache, self.prefix)
        self.kinds = Kinds(cache, self.prefix)
        self.volumes = Volumes(cache)
        self.secrets = Secrets(cache)
        self.pods = Pods(cache, self.workspaces)
        self.about = About(cache)
        await self.about.identify()
        self.feed = Feed(cache, self.workspaces, self.kinds, self.prefix, self._hint)
        self._up = True
        log.info("Workspaces of %s at %s", cache.endpoint.name, cache.endpoint.url)

    async def _heard_again(self) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + READY_SECONDS
        while self._is_down() and loop.time() < end:
            self.cluster.workspaces.wake()
            await asyncio.sleep(0.05)
        for reflector in self.cluster.reflectors.values():
            reflector.wake()


def _retrieve(start: asyncio.Task[None]) -> None:
    """A failed start is logged by `_start` and raised by the next `ready`; nobody has to wait for this one."""
    if not start.cancelled():
        start.exception()
