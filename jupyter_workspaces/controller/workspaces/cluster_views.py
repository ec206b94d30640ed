"""What the controller sees of the cluster: one cache for each resource, and the look-ups between them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from jupyter_workspaces.common.supervision import Health
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
from jupyter_workspaces.kube.ownership import controller, controls
from jupyter_workspaces.kube.pulse import Pulse
from jupyter_workspaces.kube.reflector import (
    Key,
    Listener,
    Reflector,
    key_of,
)
from jupyter_workspaces.resources import metadata_keys
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS, WORKSPACES
from jupyter_workspaces.resources.unreadable import mapping, text
from jupyter_workspaces.resources.workspace_objects import belongs

Object = dict[str, Any]


class ByKind:
    """Which workspaces are of a kind, without looking at the others; `stop` forgets to listen."""

    def __init__(self, workspaces: Reflector) -> None:
        self._workspaces = workspaces
        self._keys: dict[str, set[Key]] = {}
        for workspace in workspaces.items():
            self._changed("ADDED", workspace, None)
        self.stop = workspaces.listen(self._changed)

    def of(self, kind: str) -> Iterable[Object]:
        for namespace, name in list(self._keys.get(kind, ())):
            if (found := self._workspaces.get(name, namespace)) is not None:
                yield found

    def _changed(self, change: str, obj: Object, previous: Object | None) -> None:
        if previous is not None:
            self._keys.get(kind_of(previous), set()).discard(key_of(previous))
        if change != "DELETED":
            self._keys.setdefault(kind_of(obj), set()).add(key_of(obj))


class View:
    """Caches of all that belongs to workspaces. Only labelled objects are watched, so a busy cluster's others cost nothing.

    `shared` are the caches of workspaces and kinds of somebody who goes on with them when this view stops.
    """

    def __init__(self, cluster: Cluster, shared: tuple[Reflector, Reflector] | None = None) -> None:
        ours = metadata_keys.WORKSPACE_NAME
        self._shared = shared or ()
        self.workspaces, self.kinds = shared or (
            Reflector(cluster, WORKSPACES),
            Reflector(cluster, WORKSPACE_KINDS),
        )
        self.namespaces = Reflector(cluster, NAMESPACES)
        self.pods = Reflector(cluster, PODS, label_selector=ours)
        self.stateful_sets = Reflector(cluster, STATEFUL_SETS, label_selector=ours)
        self.services = Reflector(cluster, SERVICES, label_selector=ours)
        self.secrets = Reflector(cluster, SECRETS, label_selector=ours)
        self.accounts = Reflector(cluster, SERVICE_ACCOUNTS, label_selector=ours)
        self.bindings = Reflector(cluster, ROLE_BINDINGS, label_selector=ours)
        self.pictures = Reflector(
            cluster, CONFIG_MAPS, label_selector=f"{metadata_keys.IMAGE_SOURCE}=true"
        )
        self._pulse = Pulse(cluster, lambda: self._own)
        self._by_kind = ByKind(self.workspaces)
        self._silence: list[Callable[[], None]] = [self._by_kind.stop]
        self._owned: dict[tuple[str, str, str], dict[Key, Object]] = {}
        for owned in (
            self.stateful_sets,
            self.services,
            self.secrets,
            self.accounts,
            self.bindings,
        ):
            owned.listen(partial(self._index_owner, owned.resource.plural))

    @property
    def all(self) -> list[Reflector]:
        return [found for found in vars(self).values() if isinstance(found, Reflector)]

    @property
    def _own(self) -> list[Reflector]:
        return [found for found in self.all if found not in self._shared]

    @property
    def health(self) -> list[Health]:
        """Health of the tasks that keep these caches in sync, without the shared ones."""
        return [
            self._pulse.task.health,
            *(health for reflector in self._own for health in reflector.health),
        ]

    async def start(self, seconds: float = 60) -> None:
        """Start all caches and wait until each has its first list. Raises `ClusterError`, `TimeoutError`."""
        for reflector in self.all:
            reflector.start()
        self._pulse.start()
        await asyncio.gather(*(reflector.synced(seconds) for reflector in self.all))

    async def stop(self) -> None:
        for silence in self._silence:
            silence()
        await self._pulse.stop()
        await asyncio.gather(*(reflector.stop() for reflector in self._own))

    def listen(self, reflector: Reflector, listener: Listener) -> None:
        """Register a listener for existing objects and all changes, until this view stops."""
        for obj in reflector.items():
            listener("ADDED", obj, None)
        self._silence.append(reflector.listen(listener))

    def pod_of(self, workspace: Object) -> Object | None:
        """The pod that the workspace's StatefulSet controls."""
        for held in self.owned(self.stateful_sets, workspace):
            pod = self.pods.get(f"{held['metadata']['name']}-0", workspace["metadata"]["namespace"])
            if pod is not None and controls(held, pod):
                return pod
        return None

    def owned(self, reflector: Reflector, workspace: Object) -> list[Object]:
        """Objects of a resource that the workspace controls: in its namespace, with its label, and naming it in every respect."""
        metadata = workspace["metadata"]
        held = self._owned.get(
            (reflector.resource.plural, metadata["namespace"], metadata["uid"]), {}
        )
        return [obj for obj in held.values() if belongs(workspace, obj)]

    def of_kind(self, kind: str) -> Iterable[Object]:
        """Workspaces of a kind, without looking at the others."""
        return self._by_kind.of(kind)

    def _index_owner(self, plural: str, change: str, obj: Object, previous: Object | None) -> None:
        key = key_of(obj)
        if (before := _owner(plural, previous or obj)) in self._owned:
            self._owned[before].pop(key, None)
            if not self._owned[before]:
                del self._owned[before]
        if change != "DELETED" and (owner := _owner(plural, obj))[2]:
            self._owned.setdefault(owner, {})[key] = obj


def kind_of(workspace: Object) -> str:
    """The name of its kind; empty for an object without a usable spec, which no admission kept out."""
    return text(mapping(workspace.get("spec")).get("kind"))


def _owner(plural: str, obj: Object) -> tuple[str, str, str]:
    """Resource, namespace and the uid of the controller; the last is empty where there is none."""
    return plural, obj["metadata"].get("namespace") or "", controller(obj).get("uid") or ""
