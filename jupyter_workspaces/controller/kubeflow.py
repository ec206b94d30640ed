"""Is Kubeflow's own controller at work in this cluster? Then ours stands back (contracts/kubeflow-workspaces.md §4.10)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.catalog import DEPLOYMENTS, LEASES
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.reflector import Reflector

Object = dict[str, Any]

DEPLOYMENT = "workspaces-controller"
LEASE = "kubeflow-workspace-controller"
LOOK_SECONDS = 5.0
SYNC_SECONDS = 60.0


def at_work(
    deployments: Iterable[Object], leases: Iterable[Object], now: datetime | None = None
) -> str | None:
    """Where it runs, for people; None when it does not. A Deployment counts when it wants pods, a lease when its holder still renews it."""
    now = now or datetime.now(timezone.utc)
    for deployment in deployments:
        if deployment["spec"].get("replicas", 1) > 0:
            return (
                f"Deployment {deployment['metadata']['namespace']}/{deployment['metadata']['name']}"
            )
    for lease in leases:
        spec = lease.get("spec") or {}
        if not spec.get("holderIdentity") or not spec.get("renewTime"):
            continue
        try:
            age = (
                now - datetime.fromisoformat(spec["renewTime"].replace("Z", "+00:00"))
            ).total_seconds()
        except ValueError:
            continue  # no component of Kubernetes writes such a time
        if age < 2 * float(spec.get("leaseDurationSeconds") or 15):
            return f"{spec['holderIdentity']}, who holds the lease {lease['metadata']['namespace']}/{lease['metadata']['name']}"
    return None


class Kubeflow:
    """Watches for it. `place` is where it runs, None when it does not."""

    def __init__(self, cluster: Cluster) -> None:
        self._deployments = Reflector(
            cluster, DEPLOYMENTS, field_selector=f"metadata.name={DEPLOYMENT}"
        )
        self._leases = Reflector(cluster, LEASES, field_selector=f"metadata.name={LEASE}")
        self._changed = asyncio.Event()

    @property
    def place(self) -> str | None:
        return at_work(self._deployments.items(), self._leases.items())

    async def start(self) -> None:
        """Raises `ClusterError` when it may not look, `TimeoutError`."""
        for reflector in (self._deployments, self._leases):
            reflector.listen(lambda change, obj, previous: self._changed.set())
            reflector.start()
        await asyncio.gather(
            *(reflector.synced(SYNC_SECONDS) for reflector in (self._deployments, self._leases))
        )

    async def stop(self) -> None:
        await asyncio.gather(self._deployments.stop(), self._leases.stop())

    async def until(self, runs: bool) -> None:
        """Return once it runs, or does not."""
        while (self.place is not None) != runs:
            self._changed.clear()
            with suppress(asyncio.TimeoutError):
                # A lease that nobody renews brings no event when it is over.
                async with timeout(LOOK_SECONDS):
                    await self._changed.wait()
