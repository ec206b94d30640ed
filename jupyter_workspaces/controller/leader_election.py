"""Leader election by a Lease: of many instances one works, and stops in time when it can no longer say that it is the one.

https://kubernetes.io/docs/concepts/architecture/leases/ . Times of other instances are not trusted: what counts is for how long we have
seen a lease unchanged by our own clock.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.catalog import LEASES
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import (
    AlreadyExists,
    ClusterError,
    Conflict,
    NotFound,
)

log = logging.getLogger(__name__)

Object = dict[str, Any]


class StillWorking(Exception):
    """The lease is lost and the work does not end: only the end of the process helps."""


@dataclass(frozen=True)
class Times:
    """Seconds. Others wait `lease` after our last renewal; we stop working `deadline` after it, so that nobody overlaps."""

    lease: float = 30
    deadline: float = 20
    renew: float = 10
    stop: float = 8


class Leadership:
    """`lead` runs the work while this instance holds the lease. `leading` tells by the clock whether it still may write."""

    def __init__(
        self, cluster: Cluster, namespace: str, name: str, identity: str, times: Times | None = None
    ) -> None:
        self.identity, self.times = identity, times or Times()
        self.changed: Callable[[bool], None] = lambda leading: None
        self._cluster, self._namespace, self._name = cluster, namespace, name
        self._seen: tuple[Any, ...] = ()
        self._since = 0.0
        self._until = 0.0

    @property
    def leading(self) -> bool:
        return time.monotonic() < self._until

    async def lead(self, work: Callable[[], Awaitable[None]]) -> None:
        """Until cancelled: wait for the lease, work, and begin again when it was lost. Raises what `work` raises, and `StillWorking`."""
        while True:
            await self._acquire()
            log.info(
                "This instance leads",
                extra={"lease": f"{self._namespace}/{self._name}", "identity": self.identity},
            )
            self.changed(True)
            try:
                await self._work(work)
            finally:
                held, self._until = self.leading, 0.0
                self.changed(False)
                if held:
                    await self._release()
            log.warning(
                "The lease was lost; this instance stopped working and waits",
                extra={"identity": self.identity},
            )

    async def _work(self, work: Callable[[], Awaitable[None]]) -> None:
        """Returns when the lease is lost."""
        working = asyncio.ensure_future(work())
        keeping = asyncio.create_task(self._keep(), name="lease")
        try:
            await asyncio.wait({working, keeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            keeping.cancel()
            working.cancel()
            await asyncio.wait({working, keeping}, timeout=self.times.stop)
        if not working.done():
            raise StillWorking(
                f"The work did not end within {self.times.stop:g} s after the lease was lost."
            )
        if not working.cancelled():
            working.result()
            raise RuntimeError("the work ended by itself")
        if keeping.done() and not keeping.cancelled():
            keeping.result()  # losing the lease is normal; other errors propagate

    async def _acquire(self) -> None:
        trouble = ""
        while True:
            try:
                async with timeout(self.times.renew):
                    if await self._try():
                        return
                trouble = ""
            except (ClusterError, asyncio.TimeoutError) as error:
                if str(error) != trouble:
                    log.warning("The lease cannot be asked for: %s", error)
                trouble = str(error)
            await asyncio.sleep(self.times.renew * random.uniform(0.4, 0.6))

    async def _keep(self) -> None:
        """Returns when the lease is lost or could not be renewed in time."""
        while True:
            await asyncio.sleep(min(self.times.renew, max(0.0, self._until - time.monotonic())))
            try:
                async with timeout(max(0.01, self._until - time.monotonic())):
                    if not await self._try():
                        return
                continue
            except (ClusterError, asyncio.TimeoutError) as error:
                log.warning("The lease could not be renewed: %s", error)
            if not self.leading:
                return
            await asyncio.sleep(min(1.0, self.times.renew / 4))

    async def _try(self) -> bool:
        """Take or renew the lease if it is ours, free, or has been left. Raises `ClusterError`."""
        asked = time.monotonic()
        try:
            held = await self._cluster.get(LEASES, self._name, self._namespace)
        except NotFound:
            spec = self._spec(None, 0)
            body = {
                "apiVersion": LEASES.api_version,
                "kind": LEASES.kind,
                "metadata": {"name": self._name},
                "spec": spec,
            }
            try:
                await self._cluster.create(LEASES, body, self._namespace)
            except AlreadyExists:
                return False
            self._until = asked + self.times.deadline
            return True
        spec = held.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if holder not in ("", self.identity) and not self._left(spec):
            return False
        try:
            await self._cluster.replace(
                LEASES, held | {"spec": self._spec(spec, spec.get("leaseTransitions") or 0)}
            )
        except Conflict:
            if holder == self.identity:
                raise
            return False
        self._until = asked + self.times.deadline
        return True

    def _left(self, spec: Object) -> bool:
        """Whether its holder has not renewed it for as long as it said."""
        seen = (spec.get("holderIdentity"), spec.get("renewTime"), spec.get("leaseTransitions"))
        if seen != self._seen:
            self._seen, self._since = seen, time.monotonic()
        return time.monotonic() - self._since > float(
            spec.get("leaseDurationSeconds") or self.times.lease
        )

    def _spec(self, before: Object | None, transitions: int) -> Object:
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        mine = before is not None and before.get("holderIdentity") == self.identity
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, round(self.times.lease)),
            "acquireTime": before["acquireTime"]
            if before is not None and mine and before.get("acquireTime")
            else now,
            "renewTime": now,
            "leaseTransitions": transitions + (0 if mine or before is None else 1),
        }

    async def _release(self) -> None:
        """So that another instance need not wait. What fails here is only a longer wait for it."""
        try:
            async with timeout(self.times.stop):
                held = await self._cluster.get(LEASES, self._name, self._namespace)
                if (held.get("spec") or {}).get("holderIdentity") == self.identity:
                    await self._cluster.replace(
                        LEASES,
                        held
                        | {
                            "spec": {
                                **held["spec"],
                                "holderIdentity": "",
                                "leaseDurationSeconds": 1,
                            }
                        },
                    )
        except (ClusterError, asyncio.TimeoutError) as error:
            log.info("The lease was not given back: %s", error)
