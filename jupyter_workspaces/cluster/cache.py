"""What the server knows of the cluster without asking: one shared cache for each resource."""

from __future__ import annotations

import asyncio
from typing import Any

from ..resources import names
from ..resources.catalog import (
    CONFIG_MAPS,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    SERVICES,
    STORAGE_CLASSES,
    WORKSPACE_KINDS,
    WORKSPACES,
    Resource,
)
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
        self.services = Scoped(cluster, SERVICES, here, label_selector=names.WORKSPACE_NAME)
        self.claims = Scoped(cluster, PERSISTENT_VOLUME_CLAIMS, here, strict=True)
        self.volumes = Scoped(cluster, PERSISTENT_VOLUMES, here)
        self.storage_classes = Scoped(cluster, STORAGE_CLASSES, here, strict=True)
        self.namespaces = Namespaces(cluster, here)
        self.pictures = Scoped(cluster, CONFIG_MAPS, here, label_selector=f"{names.IMAGE_SOURCE}=true")
        self.reflectors: dict[Resource, Scoped] = {found.resource: found for found in vars(self).values() if isinstance(found, Scoped)}
        self._pods_of: dict[Key, set[Key]] = {}
        self._service_of: dict[str, Key] = {}
        self._reached: set[str] = set()
        self._reaching: dict[str, asyncio.Task[None]] = {}
        self.pods.listen(self._index_pod)
        self.services.listen(self._index_service)

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
        return self.kinds.get(workspace["spec"]["kind"])

    def pod_of(self, workspace: Object) -> Object | None:
        """The workspace's pod; while one goes and another comes, the younger."""
        metadata = workspace["metadata"]
        found = [pod for key in self._pods_of.get((metadata["namespace"], metadata["name"]), ()) if (pod := self.pods.get(key[1], key[0]))]
        return max(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), default=None)

    def service_of(self, workspace: Object) -> Object | None:
        """The Service that the workspace controls."""
        key = self._service_of.get(workspace["metadata"]["uid"])
        return self.services.get(key[1], key[0]) if key is not None else None

    def _index_service(self, change: str, service: Object, previous: Object | None) -> None:
        for owner in service["metadata"].get("ownerReferences") or ():
            if not owner.get("controller"):
                continue
            if change != "DELETED":
                self._service_of[owner["uid"]] = key_of(service)
            elif self._service_of.get(owner["uid"]) == key_of(service):
                del self._service_of[owner["uid"]]

    def _index_pod(self, change: str, pod: Object, previous: Object | None) -> None:
        name = (pod["metadata"].get("labels") or {}).get(names.WORKSPACE_NAME)
        if name is None:
            return
        held = self._pods_of.setdefault((pod["metadata"]["namespace"], name), set())
        if change == "DELETED":
            held.discard(key_of(pod))
        else:
            held.add(key_of(pod))
