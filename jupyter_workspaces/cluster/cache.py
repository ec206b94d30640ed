"""What the server knows of the cluster without asking: one shared cache for each resource."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from ..resources import names
from ..resources.catalog import (
    CONFIG_MAPS,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    SERVICES,
    STATEFUL_SETS,
    STORAGE_CLASSES,
    WORKSPACE_KINDS,
    WORKSPACES,
    Resource,
)
from ..resources.ownership import age, controller, controls, is_named_pod, is_pod_of, is_workspace_service
from .client import Cluster
from .errors import ClusterError, Forbidden
from .reflector import Key, key_of
from .scoped import Namespaces, Scoped

Object = dict[str, Any]

MOST_NAMESPACES = 50
"""Each costs a watch for each kind of object."""


class Cache:
    """Shared reflectors, and the client behind them for everything else. Secrets and events are read when asked for, never watched."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.endpoint = cluster.endpoint
        here = [cluster.endpoint.namespace]
        self.workspaces = Scoped(cluster, WORKSPACES, here, strict=True)
        self.kinds = Scoped(cluster, WORKSPACE_KINDS, here, strict=True)
        self.pods = Scoped(cluster, PODS, here)
        self.stateful_sets = Scoped(cluster, STATEFUL_SETS, here)
        self.services = Scoped(cluster, SERVICES, here, label_selector=names.WORKSPACE_NAME)
        self.claims = Scoped(cluster, PERSISTENT_VOLUME_CLAIMS, here, strict=True)
        self.volumes = Scoped(cluster, PERSISTENT_VOLUMES, here)
        self.storage_classes = Scoped(cluster, STORAGE_CLASSES, here, strict=True)
        self.namespaces = Namespaces(cluster, here)
        self.pictures = Scoped(cluster, CONFIG_MAPS, here, label_selector=f"{names.IMAGE_SOURCE}=true")
        self.reflectors: dict[Resource, Scoped] = {found.resource: found for found in vars(self).values() if isinstance(found, Scoped)}
        self._pods_of: dict[Key, set[Key]] = {}
        self._services_of: dict[Key, set[Key]] = {}
        self._sets_of: dict[Key, set[Key]] = {}
        self._reached: set[str] = set()
        self._reaching: dict[str, asyncio.Task[None]] = {}
        self.pods.listen(partial(_index, _labelled, self._pods_of))
        self.services.listen(partial(_index, _labelled, self._services_of))
        self.stateful_sets.listen(partial(_index, _controlled, self._sets_of))

    async def start(self, seconds: float = 20) -> None:
        """Start all caches and wait until each has its first list, or the cluster's refusal, which is fatal for workspaces only.

        Raises `ClusterError`, `TimeoutError`.
        """
        for reflector in self.reflectors.values():
            reflector.start()
        await asyncio.gather(*(reflector.answered(seconds) for reflector in self.reflectors.values()))
        if (denied := self.workspaces.denied) is not None:
            raise denied

    async def reach(self, namespace: str) -> None:
        """What is in this namespace can be read from now on, also by somebody who may not see all of them.

        Raises `Forbidden`, in the cluster's own words, when its workspaces may not be seen, and `ClusterError`, `TimeoutError`.
        Who gives up waiting does not stop the others: one task reaches a namespace for all.
        """
        parts = self.workspaces.parts
        if not parts or namespace in self._reached:
            return
        if namespace not in parts and len(parts) >= MOST_NAMESPACES:
            raise Forbidden(f"{MOST_NAMESPACES} namespaces are watched one by one already; only who may list all of them can see more")
        reaching = self._reaching.get(namespace)
        if reaching is None:
            reaching = asyncio.create_task(self._reach(namespace, namespace in parts), name=f"reach namespace {namespace}")
            self._reaching[namespace] = reaching
            reaching.add_done_callback(lambda task: self._reach_ended(namespace, task))
        await asyncio.shield(reaching)

    async def _reach(self, namespace: str, watched: bool) -> None:
        try:
            await self.workspaces.add(namespace)
        except (ClusterError, TimeoutError, asyncio.TimeoutError):
            if not watched:
                await self.workspaces.drop(namespace)
            raise
        rest = [found for found in self.reflectors.values() if found.parts and found.resource.namespaced and found is not self.workspaces]
        await asyncio.gather(*(found.add(namespace) for found in rest), return_exceptions=True)
        await self.namespaces.learn(namespace)
        self._reached.add(namespace)

    def _reach_ended(self, namespace: str, task: asyncio.Task[None]) -> None:
        del self._reaching[namespace]
        if not task.cancelled():
            task.exception()  # raised to those who waited; the next who ask try again

    async def stop(self) -> None:
        reaching = list(self._reaching.values())
        for task in reaching:
            task.cancel()
        await asyncio.gather(*reaching, return_exceptions=True)
        await asyncio.gather(*(reflector.stop() for reflector in self.reflectors.values()))
        await self.cluster.close()

    @property
    def ready(self) -> bool:
        return all(reflector.ready or reflector.denied for reflector in self.reflectors.values())

    def workspace(self, namespace: str, name: str) -> Object | None:
        return self.workspaces.get(name, namespace)

    def kind_of(self, workspace: Object) -> Object | None:
        spec = workspace.get("spec")
        name = spec.get("kind") if isinstance(spec, dict) else None
        return self.kinds.get(name) if isinstance(name, str) else None

    def pods_of(self, workspace: Object) -> list[Object]:
        """The workspace's pods: two while one goes and another comes."""
        keys = self._pods_of.get(_of(workspace), ())
        return [pod for key in keys if (pod := self.pods.get(key[1], key[0])) is not None and self.owns_pod(workspace, pod)]

    def owns_pod(self, workspace: Object, pod: Object) -> bool:
        """Whether a StatefulSet that the workspace controls controls the pod; a label proves nothing.

        Who may not see StatefulSets relies on the pod's name in the workspace's status.
        """
        metadata = workspace["metadata"]
        if not self.stateful_sets.sees(metadata["namespace"]):
            return is_named_pod(workspace, pod)
        keys = self._sets_of.get((metadata["namespace"], metadata["uid"]), ())
        held = [found for key in keys if (found := self.stateful_sets.get(key[1], key[0])) is not None]
        return any(controls(workspace, one) and is_pod_of(one, pod) for one in held)

    def strangers_of(self, workspace: Object, service: Object) -> list[Object]:
        """Pods that a Service of the workspace leads to and that are not the workspace's: anybody may write a label."""
        selector = service["spec"].get("selector") or {}
        keys = self._pods_of.get(_of(workspace), ())
        labelled = [pod for key in keys if (pod := self.pods.get(key[1], key[0])) is not None]
        return [
            pod
            for pod in labelled
            if selector.items() <= (pod["metadata"].get("labels") or {}).items() and not self.owns_pod(workspace, pod)
        ]

    def services_of(self, workspace: Object) -> list[Object]:
        """Services that the workspace controls and that lead to its pods only, the oldest first."""
        keys, headless = self._services_of.get(_of(workspace), ()), self.endpoint.embedded
        found = [held for key in keys if (held := self.services.get(key[1], key[0])) is not None]
        return sorted((held for held in found if is_workspace_service(workspace, held, headless=headless)), key=age)

    def pod_of(self, workspace: Object) -> Object | None:
        """The workspace's pod: the one that its status names, else one that is not being deleted, else the youngest."""
        named = ((workspace.get("status") or {}).get("podTemplatePod") or {}).get("name")

        def rank(pod: Object) -> tuple[bool, bool, str]:
            metadata = pod["metadata"]
            return not metadata.get("deletionTimestamp"), metadata["name"] == named, str(metadata["creationTimestamp"])

        return max(self.pods_of(workspace), key=rank, default=None)

    def service_of(self, workspace: Object) -> Object | None:
        """The Service of the workspace; of several the oldest, which the controller made."""
        return next(iter(self.services_of(workspace)), None)


def _index(by: Callable[[Object], Key], index: dict[Key, set[Key]], change: str, obj: Object, previous: Object | None) -> None:
    for known in (previous, obj):
        if known is not None and (held := index.get(by(known))) is not None:
            held.discard(key_of(known))
            if not held:
                del index[by(known)]
    if change != "DELETED" and by(obj)[1]:
        index.setdefault(by(obj), set()).add(key_of(obj))


def _of(workspace: Object) -> Key:
    return workspace["metadata"]["namespace"], workspace["metadata"]["name"]


def _labelled(obj: Object) -> Key:
    """Namespace and name of the workspace that an object says it is of."""
    return obj["metadata"]["namespace"], (obj["metadata"].get("labels") or {}).get(names.WORKSPACE_NAME) or ""


def _controlled(obj: Object) -> Key:
    """Namespace of an object and uid of its controller."""
    return obj["metadata"]["namespace"], controller(obj).get("uid") or ""
