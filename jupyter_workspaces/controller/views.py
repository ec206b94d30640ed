"""What the controller sees of the cluster: one cache for each resource, and the look-ups between them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Any

from ..cluster.client import Cluster
from ..cluster.reflector import Key, Reflector, key_of
from ..resources import names
from ..resources.catalog import (
    CONFIG_MAPS,
    NAMESPACES,
    PODS,
    ROLE_BINDINGS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    STATEFUL_SETS,
    WORKSPACE_KINDS,
    WORKSPACES,
)

Object = dict[str, Any]


class View:
    """Caches of all that belongs to workspaces. Only labelled objects are watched, so a busy cluster's others cost nothing."""

    def __init__(self, cluster: Cluster) -> None:
        ours = names.WORKSPACE_NAME
        self.workspaces = Reflector(cluster, WORKSPACES)
        self.kinds = Reflector(cluster, WORKSPACE_KINDS)
        self.namespaces = Reflector(cluster, NAMESPACES)
        self.pods = Reflector(cluster, PODS, label_selector=ours)
        self.stateful_sets = Reflector(cluster, STATEFUL_SETS, label_selector=ours)
        self.services = Reflector(cluster, SERVICES, label_selector=ours)
        self.secrets = Reflector(cluster, SECRETS, label_selector=ours)
        self.accounts = Reflector(cluster, SERVICE_ACCOUNTS, label_selector=ours)
        self.bindings = Reflector(cluster, ROLE_BINDINGS, label_selector=ours)
        self.pictures = Reflector(cluster, CONFIG_MAPS, label_selector=f"{names.IMAGE_SOURCE}=true")
        self._of_kind: dict[str, set[Key]] = {}
        self._owned: dict[tuple[str, str], dict[Key, Object]] = {}
        self.workspaces.listen(self._index_kind)
        for owned in (self.stateful_sets, self.services, self.secrets, self.accounts, self.bindings):
            owned.listen(partial(self._index_owner, owned.resource.plural))

    @property
    def all(self) -> list[Reflector]:
        return [found for found in vars(self).values() if isinstance(found, Reflector)]

    async def start(self, seconds: float = 60) -> None:
        """Start all caches and wait until each has its first list. Raises `ClusterError`, `TimeoutError`."""
        for reflector in self.all:
            reflector.start()
        await asyncio.gather(*(reflector.synced(seconds) for reflector in self.all))

    async def stop(self) -> None:
        await asyncio.gather(*(reflector.stop() for reflector in self.all))

    def pod_of(self, workspace: Object) -> Object | None:
        """The pod of the workspace's StatefulSet."""
        for held in self.owned(self.stateful_sets, workspace):
            pod = self.pods.get(f"{held['metadata']['name']}-0", workspace["metadata"]["namespace"])
            if pod is not None:
                return pod
        return None

    def owned(self, reflector: Reflector, workspace: Object) -> list[Object]:
        """Objects of a resource that the workspace controls."""
        return list(self._owned.get((reflector.resource.plural, workspace["metadata"]["uid"]), {}).values())

    def of_kind(self, kind: str) -> Iterable[Object]:
        """Workspaces of a kind, without looking at the others."""
        for namespace, name in list(self._of_kind.get(kind, ())):
            if (found := self.workspaces.get(name, namespace)) is not None:
                yield found

    def _index_kind(self, change: str, obj: Object, previous: Object | None) -> None:
        if previous is not None:
            self._of_kind.get(kind_of(previous), set()).discard(key_of(previous))
        if change != "DELETED":
            self._of_kind.setdefault(kind_of(obj), set()).add(key_of(obj))

    def _index_owner(self, plural: str, change: str, obj: Object, previous: Object | None) -> None:
        key = key_of(obj)
        for owner in _controllers(previous or obj):
            held = self._owned.get((plural, owner), {})
            held.pop(key, None)
            if not held:
                self._owned.pop((plural, owner), None)
        if change != "DELETED":
            for owner in _controllers(obj):
                self._owned.setdefault((plural, owner), {})[key] = obj


def kind_of(workspace: Object) -> str:
    """The name of its kind; empty for an object without spec, which no admission kept out."""
    return (workspace.get("spec") or {}).get("kind") or ""


def _controllers(obj: Object) -> list[str]:
    return [owner["uid"] for owner in obj["metadata"].get("ownerReferences") or () if owner.get("controller")]
