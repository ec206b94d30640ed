"""Aggregated ClusterRoles: their rules are those of the roles that their rule selects.

Source: Kubernetes docs, “Using RBAC Authorization”, aggregated ClusterRoles.
"""

from __future__ import annotations

from jupyter_workspaces.kube.catalog import CLUSTER_ROLES
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import NotFound
from jupyter_workspaces.kube.reflector import Key, key_of
from jupyter_workspaces.kube.selectors import matches
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.kube.work_queue import WorkQueue

from .informers import Informers, wait_listed


class AggregatedRoles:
    """The controller that writes the rules of aggregated ClusterRoles.

    It does so for readers of a role. The API server evaluates aggregations itself when it
    authorizes a request, and does not wait for this controller.
    """

    def __init__(self, cluster: Cluster, informers: Informers) -> None:
        """Create the controller; `run` starts it."""
        self._cluster = cluster
        self._roles = informers.of(CLUSTER_ROLES)
        self._queue: WorkQueue[Key] = WorkQueue("aggregated roles")

    async def run(self) -> None:
        """Run until cancelled."""
        stop = self._roles.listen(lambda change, obj, previous: self._requeue_all())
        try:
            await wait_listed(self._roles)
            self._requeue_all()
            await self._queue.run(self._reconcile, workers=1)
        finally:
            stop()

    def _requeue_all(self) -> None:
        for role in self._roles.items():
            if role.get("aggregationRule"):
                self._queue.add(key_of(role))

    async def _reconcile(self, key: Key) -> float | None:
        role = self._roles.get(key[1])
        if role is None or not role.get("aggregationRule"):
            return None
        rules: list[Object] = []
        selectors = role["aggregationRule"].get("clusterRoleSelectors") or ()
        for other in sorted(self._roles.items(), key=key_of):
            labels = other["metadata"].get("labels") or {}
            if other["metadata"]["name"] != key[1] and any(
                matches(selector, labels) for selector in selectors
            ):
                rules += [rule for rule in other.get("rules") or () if rule not in rules]
        if rules != (role.get("rules") or []):
            try:
                self._roles.apply(
                    await self._cluster.patch(CLUSTER_ROLES, key[1], {"rules": rules})
                )
            except NotFound:
                return None
        return None
