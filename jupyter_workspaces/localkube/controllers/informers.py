"""One reflector a resource, shared by all built-in controllers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from jupyter_workspaces.common.supervision import TaskHealth
from jupyter_workspaces.kube.catalog import Resource
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import ClusterError
from jupyter_workspaces.kube.reflector import Reflector

Object = dict[str, Any]


class Informers:
    """Reflectors by resource, started when first asked for and stopped together."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._reflectors: dict[Resource, Reflector] = {}

    def of(self, resource: Resource) -> Reflector:
        reflector = self._reflectors.get(resource)
        if reflector is None:
            reflector = self._reflectors[resource] = Reflector(self._cluster, resource)
            reflector.start()
        return reflector

    async def drop(self, resource: Resource) -> None:
        """Stop watching a resource that is no longer served."""
        reflector = self._reflectors.pop(resource, None)
        if reflector is not None:
            await reflector.stop()

    @property
    def health(self) -> list[TaskHealth]:
        """Health of each reflector's task."""
        return [health for reflector in self._reflectors.values() for health in reflector.health]

    async def stop(self) -> None:
        reflectors, self._reflectors = list(self._reflectors.values()), {}
        await asyncio.gather(*(reflector.stop() for reflector in reflectors))


async def listed(*reflectors: Reflector) -> None:
    """Return once all are filled, however long the server is away."""
    for reflector in reflectors:
        while not reflector.ready:
            try:
                await reflector.synced(60)
            except (ClusterError, TimeoutError):
                continue  # the reflector tells of each fault itself, and tries on


def controller_of(obj: Object) -> Object | None:
    """The owner reference that manages an object."""
    return next(
        (
            owner
            for owner in obj["metadata"].get("ownerReferences") or ()
            if owner.get("controller")
        ),
        None,
    )


def claims_of(pod: Object) -> Iterator[str]:
    """Names of the claims that a pod mounts."""
    for volume in pod["spec"].get("volumes") or ():
        if claim := volume.get("persistentVolumeClaim"):
            yield claim["claimName"]


def finished(pod: Object) -> bool:
    """Whether a pod has ended for good."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def condition(obj: Object, name: str) -> Object | None:
    return next(
        (
            found
            for found in (obj.get("status") or {}).get("conditions") or ()
            if found["type"] == name
        ),
        None,
    )


def ready(obj: Object) -> bool:
    """Whether the condition Ready (of a pod, a node) is true."""
    found = condition(obj, "Ready")
    return found is not None and found["status"] == "True"
