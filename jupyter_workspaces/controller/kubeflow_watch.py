"""Watches whether Kubeflow's own workspace controller runs in the cluster.

While it does, ours does not compete for the lease and its webhook allows every write.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.catalog import DEPLOYMENTS, LEASES
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.reflector import Reflector
from jupyter_workspaces.resources.kubeflow_controller import DEPLOYMENT, LEASE, find_running

CHECK_SECONDS = 5.0
"""An expired lease causes no event, so the state is also checked at this interval."""

SYNC_SECONDS = 60.0


class KubeflowWatch:
    """Caches of the Deployment and the Lease of Kubeflow's controller."""

    def __init__(self, cluster: Cluster) -> None:
        """Create the caches; `start` fills them."""
        self._deployments = Reflector(
            cluster, DEPLOYMENTS, field_selector=f"metadata.name={DEPLOYMENT}"
        )
        self._leases = Reflector(cluster, LEASES, field_selector=f"metadata.name={LEASE}")
        self._changed = asyncio.Event()

    @property
    def running_at(self) -> str | None:
        """Where Kubeflow's controller runs, for people; None if it does not run."""
        return find_running(self._deployments.items(), self._leases.items())

    async def start(self) -> None:
        """Start the caches and wait until they are in sync.

        Raises:
            ClusterError: listing is not permitted.
            TimeoutError: the API server did not answer in `SYNC_SECONDS`.
        """
        for reflector in (self._deployments, self._leases):
            reflector.listen(lambda change, obj, previous: self._changed.set())
            reflector.start()
        await asyncio.gather(
            *(reflector.synced(SYNC_SECONDS) for reflector in (self._deployments, self._leases))
        )

    async def stop(self) -> None:
        """Stop the caches."""
        await asyncio.gather(self._deployments.stop(), self._leases.stop())

    async def wait_until(self, *, running: bool) -> None:
        """Wait until Kubeflow's controller runs, or until it does not."""
        while (self.running_at is not None) != running:
            self._changed.clear()
            with suppress(asyncio.TimeoutError):
                async with timeout(CHECK_SECONDS):
                    await self._changed.wait()
