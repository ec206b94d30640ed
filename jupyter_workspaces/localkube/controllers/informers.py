"""Reflectors that all built-in controllers share, and helpers to read the objects in them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from jupyter_workspaces.common.supervision import TaskHealth
from jupyter_workspaces.kube.catalog import Resource
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import ClusterError
from jupyter_workspaces.kube.reflector import Reflector
from jupyter_workspaces.kube.types import Object


class Informers:
    """One reflector for each resource, started at its first use and stopped with the others."""

    def __init__(self, cluster: Cluster) -> None:
        """Create reflectors of this cluster on demand."""
        self._cluster = cluster
        self._reflectors: dict[Resource, Reflector] = {}

    def of(self, resource: Resource) -> Reflector:
        """Return the reflector of a resource, which is started if it is new."""
        reflector = self._reflectors.get(resource)
        if reflector is None:
            reflector = self._reflectors[resource] = Reflector(self._cluster, resource)
            reflector.start()
        return reflector

    async def drop(self, resource: Resource) -> None:
        """Stop the reflector of a resource that is no longer served."""
        reflector = self._reflectors.pop(resource, None)
        if reflector is not None:
            await reflector.stop()

    @property
    def health(self) -> list[TaskHealth]:
        """Health of the tasks of all reflectors."""
        return [health for reflector in self._reflectors.values() for health in reflector.health]

    async def stop(self) -> None:
        """Stop all reflectors."""
        reflectors, self._reflectors = list(self._reflectors.values()), {}
        await asyncio.gather(*(reflector.stop() for reflector in reflectors))


async def wait_listed(*reflectors: Reflector) -> None:
    """Wait until all reflectors have listed their objects, however long the server is down."""
    for reflector in reflectors:
        while not reflector.ready:
            try:
                await reflector.synced(60)
            except (ClusterError, TimeoutError):
                continue  # the reflector logs its errors and retries


def controller_of(obj: Object) -> Object | None:
    """Return the owner reference of the controller that manages an object."""
    return next(
        (
            owner
            for owner in obj["metadata"].get("ownerReferences") or ()
            if owner.get("controller")
        ),
        None,
    )


def claims_of(pod: Object) -> Iterator[str]:
    """Yield the names of the claims in a pod's volumes."""
    for volume in pod["spec"].get("volumes") or ():
        if claim := volume.get("persistentVolumeClaim"):
            yield claim["claimName"]


def finished(pod: Object) -> bool:
    """Return whether a pod has reached a final phase."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def condition(obj: Object, name: str) -> Object | None:
    """Return the condition of a type; None if an object does not have it."""
    return next(
        (
            found
            for found in (obj.get("status") or {}).get("conditions") or ()
            if found["type"] == name
        ),
        None,
    )


def ready(obj: Object) -> bool:
    """Return whether the condition Ready of a pod or node is true."""
    found = condition(obj, "Ready")
    return found is not None and found["status"] == "True"
