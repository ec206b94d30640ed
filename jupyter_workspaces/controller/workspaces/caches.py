"""Caches of the objects that the controller reads, and the look-ups between them.

There is one cache for each resource type. A workspace's objects are found by their owner
references, never by labels alone, because any user can set labels.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

from jupyter_workspaces.common.supervision import TaskHealth
from jupyter_workspaces.kube.catalog import (
    CONFIG_MAPS,
    NAMESPACES,
    PODS,
    ROLE_BINDINGS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    STATEFUL_SETS,
)
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.cluster_check import ClusterCheck
from jupyter_workspaces.kube.ownership import controller
from jupyter_workspaces.kube.reflector import (
    Key,
    Listener,
    Reflector,
    key_of,
)
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources import metadata_keys
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS, WORKSPACES
from jupyter_workspaces.resources.views import MetadataView, WorkspaceView
from jupyter_workspaces.resources.workspace_objects import (
    belongs,
    current_pod,
    is_workspace_pod,
)


class WorkspacesByKind:
    """Index of a cache of workspaces by the name of their kind."""

    def __init__(self, workspaces: Reflector) -> None:
        """Index the cache and keep the index in sync with it until `stop` is called."""
        self._workspaces = workspaces
        self._keys: dict[str, set[Key]] = {}
        for workspace in workspaces.items():
            self._update("ADDED", workspace, None)
        self.stop = workspaces.listen(self._update)

    def of(self, kind: str) -> Iterable[Object]:
        """Yield the workspaces of a kind."""
        for namespace, name in list(self._keys.get(kind, ())):
            if (found := self._workspaces.get(name, namespace)) is not None:
                yield found

    def _update(self, change: str, obj: Object, previous: Object | None) -> None:
        if previous is not None:
            kind = WorkspaceView(previous).kind_name
            self._keys.get(kind, set()).discard(key_of(previous))
        if change != "DELETED":
            self._keys.setdefault(WorkspaceView(obj).kind_name, set()).add(key_of(obj))


class Caches:
    """One cache for each resource type that belongs to workspaces.

    Only objects with the label of a workspace are watched, where the type allows it, so other
    objects of a busy cluster cost nothing.
    """

    def __init__(self, cluster: Cluster, shared: tuple[Reflector, Reflector] | None = None) -> None:
        """Create the caches; `start` fills them.

        Args:
            cluster: API server to watch.
            shared: running caches of workspaces and kinds, which `stop` leaves running.
        """
        label = metadata_keys.WORKSPACE_NAME
        self._shared = shared or ()
        self.workspaces, self.kinds = shared or (
            Reflector(cluster, WORKSPACES),
            Reflector(cluster, WORKSPACE_KINDS),
        )
        self.namespaces = Reflector(cluster, NAMESPACES)
        self.pods = Reflector(cluster, PODS, label_selector=label)
        self.stateful_sets = Reflector(cluster, STATEFUL_SETS, label_selector=label)
        self.services = Reflector(cluster, SERVICES, label_selector=label)
        self.secrets = Reflector(cluster, SECRETS, label_selector=label)
        self.accounts = Reflector(cluster, SERVICE_ACCOUNTS, label_selector=label)
        self.bindings = Reflector(cluster, ROLE_BINDINGS, label_selector=label)
        self.pictures = Reflector(
            cluster, CONFIG_MAPS, label_selector=f"{metadata_keys.IMAGE_SOURCE}=true"
        )
        self._check = ClusterCheck(cluster, lambda: self._own)
        self._by_kind = WorkspacesByKind(self.workspaces)
        self._unsubscribe: list[Callable[[], None]] = [self._by_kind.stop]
        self._by_owner: dict[tuple[str, str, str], dict[Key, Object]] = {}
        for reflector in (
            self.stateful_sets,
            self.services,
            self.secrets,
            self.accounts,
            self.bindings,
        ):
            reflector.listen(partial(self._index_owner, reflector.resource.plural))

    @property
    def all(self) -> list[Reflector]:
        """All caches."""
        return [found for found in vars(self).values() if isinstance(found, Reflector)]

    @property
    def _own(self) -> list[Reflector]:
        return [found for found in self.all if found not in self._shared]

    @property
    def health(self) -> list[TaskHealth]:
        """Health of the tasks that keep these caches in sync, without the shared ones."""
        return [
            self._check.task.health,
            *(health for reflector in self._own for health in reflector.health),
        ]

    async def start(self, seconds: float = 60) -> None:
        """Start all caches and wait until each has its first list.

        Raises:
            ClusterError: the API server refuses a list.
            TimeoutError: a list did not arrive in `seconds`.
        """
        for reflector in self.all:
            reflector.start()
        self._check.start()
        await asyncio.gather(*(reflector.synced(seconds) for reflector in self.all))

    async def stop(self) -> None:
        """Stop all caches except the shared ones, and unsubscribe the listeners."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        await self._check.stop()
        await asyncio.gather(*(reflector.stop() for reflector in self._own))

    def listen(self, reflector: Reflector, listener: Listener) -> None:
        """Register a listener for existing objects and all changes, until `stop` is called."""
        for obj in reflector.items():
            listener("ADDED", obj, None)
        self._unsubscribe.append(reflector.listen(listener))

    def pod_of(self, workspace: Object) -> Object | None:
        """Return the pod that the workspace's StatefulSet controls, or None."""
        stateful_sets = self.owned(self.stateful_sets, workspace)
        namespace = MetadataView(workspace).namespace
        candidates = (
            self.pods.get(f"{MetadataView(held).name}-0", namespace) for held in stateful_sets
        )
        return current_pod(
            workspace,
            [
                pod
                for pod in candidates
                if pod is not None and is_workspace_pod(workspace, pod, stateful_sets)
            ],
        )

    def owned(self, reflector: Reflector, workspace: Object) -> list[Object]:
        """Return the objects of one cache that the workspace controls."""
        view = WorkspaceView(workspace)
        candidates = self._by_owner.get((reflector.resource.plural, view.namespace, view.uid), {})
        return [obj for obj in candidates.values() if belongs(workspace, obj)]

    def of_kind(self, kind: str) -> Iterable[Object]:
        """Yield the workspaces of a kind."""
        return self._by_kind.of(kind)

    def _index_owner(self, plural: str, change: str, obj: Object, previous: Object | None) -> None:
        key = key_of(obj)
        if (before := _owner(plural, previous or obj)) in self._by_owner:
            self._by_owner[before].pop(key, None)
            if not self._by_owner[before]:
                del self._by_owner[before]
        if change != "DELETED" and (owner := _owner(plural, obj))[2]:
            self._by_owner.setdefault(owner, {})[key] = obj


def _owner(plural: str, obj: Object) -> tuple[str, str, str]:
    """Return resource, namespace and uid of the controller; the uid is empty without one."""
    return plural, obj["metadata"].get("namespace") or "", controller(obj).get("uid") or ""
