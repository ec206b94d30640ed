"""Leader election with a Lease: of several instances, only one works at a time.

See https://kubernetes.io/docs/concepts/architecture/leases/#leader-election. The leader renews the
Lease; another instance takes it over if it has not changed for its duration. The times in the Lease
are never compared with the local clock, because clocks of other machines may be wrong. The leader
stops writing before the others may take over, so that two never write at once.

Hand-written: `kubernetes.leaderelection` is built on threads and a synchronous client, and cannot
stop the work after the Lease is lost.
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
from jupyter_workspaces.kube.types import Object

log = logging.getLogger(__name__)


class StillWorking(Exception):
    """The Lease is lost and the work does not stop, so the process must exit."""


@dataclass(frozen=True)
class Times:
    """Durations in seconds.

    Attributes:
        lease: after this time without a renewal, another instance may take over.
        deadline: after this time without a renewal, the leader may not write; shorter than `lease`.
        renew: interval of renewals and of attempts to take over.
        stop: time that the work may take to stop before the process has to exit.
    """

    lease: float = 30
    deadline: float = 20
    renew: float = 10
    stop: float = 8


class Leadership:
    """Runs the work of an instance while it is the leader."""

    def __init__(
        self, cluster: Cluster, namespace: str, name: str, identity: str, times: Times | None = None
    ) -> None:
        """Prepare an election; `lead` takes part in it.

        Args:
            cluster: API server with the Lease.
            namespace: namespace of the Lease.
            name: name of the Lease.
            identity: name of this instance, which no other one has.
            times: durations.
        """
        self.identity, self.times = identity, times or Times()
        self.on_change: Callable[[bool], None] = lambda leading: None
        """Called with True when this instance becomes the leader, and with False when it ends."""
        self._cluster, self._namespace, self._name = cluster, namespace, name
        self._last_seen: tuple[Any, ...] = ()
        self._unchanged_since = 0.0
        self._may_write_until = 0.0

    @property
    def leading(self) -> bool:
        """Whether this instance may write now."""
        return time.monotonic() < self._may_write_until

    async def lead(self, work: Callable[[], Awaitable[None]]) -> None:
        """Wait for the Lease, work, and start again after its loss, until cancelled.

        Args:
            work: runs until it is cancelled. Its exceptions are propagated.

        Raises:
            StillWorking: the work did not stop in time.
        """
        while True:
            await self._acquire()
            log.info(
                "This instance is the leader",
                extra={"lease": f"{self._namespace}/{self._name}", "identity": self.identity},
            )
            self.on_change(True)
            try:
                await self._work(work)
            finally:
                held, self._may_write_until = self.leading, 0.0
                self.on_change(False)
                if held:
                    await self._release()
            log.warning(
                "The lease was lost; this instance stopped working and waits for it",
                extra={"identity": self.identity},
            )

    async def _work(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run the work; returns after the Lease is lost and the work has stopped."""
        working = asyncio.ensure_future(work())
        keeping = asyncio.create_task(self._keep_renewing(), name="lease")
        try:
            await asyncio.wait({working, keeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            keeping.cancel()
            working.cancel()
            await asyncio.wait({working, keeping}, timeout=self.times.stop)
        if not working.done():
            raise StillWorking(
                f"The work did not stop within {self.times.stop:g} s after the lease was lost."
            )
        if not working.cancelled():
            working.result()
            raise RuntimeError("the work ended before the lease was lost")
        if keeping.done() and not keeping.cancelled():
            keeping.result()  # the loss of the Lease is normal; other errors are propagated

    async def _acquire(self) -> None:
        trouble = ""
        while True:
            try:
                async with timeout(self.times.renew):
                    if await self._try_to_hold():
                        return
                trouble = ""
            except (ClusterError, asyncio.TimeoutError) as error:
                if str(error) != trouble:
                    log.warning("The lease cannot be acquired: %s", error)
                trouble = str(error)
            await asyncio.sleep(self.times.renew * random.uniform(0.4, 0.6))

    async def _keep_renewing(self) -> None:
        """Renew the Lease; returns when it is lost or could not be renewed in time."""
        while True:
            await asyncio.sleep(
                min(self.times.renew, max(0.0, self._may_write_until - time.monotonic()))
            )
            try:
                async with timeout(max(0.01, self._may_write_until - time.monotonic())):
                    if not await self._try_to_hold():
                        return
                continue
            except (ClusterError, asyncio.TimeoutError) as error:
                log.warning("The lease could not be renewed: %s", error)
            if not self.leading:
                return
            await asyncio.sleep(min(1.0, self.times.renew / 4))

    async def _try_to_hold(self) -> bool:
        """Acquire or renew the Lease if this instance holds it, or its holder has gone.

        Returns whether this instance holds it then. Raises `ClusterError`.
        """
        started = time.monotonic()
        try:
            held = await self._cluster.get(LEASES, self._name, self._namespace)
        except NotFound:
            body = {
                "apiVersion": LEASES.api_version,
                "kind": LEASES.kind,
                "metadata": {"name": self._name},
                "spec": self._renewed(None),
            }
            try:
                await self._cluster.create(LEASES, body, self._namespace)
            except AlreadyExists:
                return False
            self._may_write_until = started + self.times.deadline
            return True
        spec = held.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if holder not in ("", self.identity) and not self._is_expired(spec):
            return False
        try:
            await self._cluster.replace(LEASES, held | {"spec": self._renewed(spec)})
        except Conflict:
            if holder == self.identity:
                raise
            return False
        self._may_write_until = started + self.times.deadline
        return True

    def _is_expired(self, spec: Object) -> bool:
        """Return whether the Lease has not changed for its duration."""
        seen = (spec.get("holderIdentity"), spec.get("renewTime"), spec.get("leaseTransitions"))
        if seen != self._last_seen:
            self._last_seen, self._unchanged_since = seen, time.monotonic()
        return time.monotonic() - self._unchanged_since > float(
            spec.get("leaseDurationSeconds") or self.times.lease
        )

    def _renewed(self, before: Object | None) -> Object:
        """Return the spec of the Lease with this instance as its holder.

        `before` is the present spec; None for a new Lease.
        """
        spec = before or {}
        is_ours = spec.get("holderIdentity") == self.identity
        is_transition = before is not None and not is_ours
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, round(self.times.lease)),
            "acquireTime": (spec.get("acquireTime") if is_ours else None) or now,
            "renewTime": now,
            "leaseTransitions": (spec.get("leaseTransitions") or 0) + int(is_transition),
        }

    async def _release(self) -> None:
        """Release the Lease, so that another instance need not wait until it expires."""
        try:
            async with timeout(self.times.stop):
                held = await self._cluster.get(LEASES, self._name, self._namespace)
                spec = held.get("spec") or {}
                if spec.get("holderIdentity") == self.identity:
                    spec = {**spec, "holderIdentity": "", "leaseDurationSeconds": 1}
                    await self._cluster.replace(LEASES, held | {"spec": spec})
        except (ClusterError, asyncio.TimeoutError) as error:
            log.info("The lease was not released and will expire: %s", error)
