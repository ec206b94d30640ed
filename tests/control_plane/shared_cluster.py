"""A real cluster that tests share: each test finds it as new and leaves it empty."""

from __future__ import annotations

import asyncio
import contextlib
import time

from control_plane import SIMULATED

from jupyter_workspaces.kube import catalog
from jupyter_workspaces.kube.catalog import Resource
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import AlreadyExists, Conflict, NotFound
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.local.initial_objects import RECORD, install
from jupyter_workspaces.local.settings import PROVISIONER
from jupyter_workspaces.resources import bundled
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS, WORKSPACES

LIMIT_SECONDS = 30.0
NAMESPACES = ("default", "team-a")
# Owners before what they own, else it is made again.
IN_NAMESPACE = (
    WORKSPACES,
    catalog.STATEFUL_SETS,
    catalog.PODS,
    catalog.PERSISTENT_VOLUME_CLAIMS,
    catalog.SERVICES,
    catalog.SECRETS,
    catalog.ROLE_BINDINGS,
    catalog.ROLES,
    catalog.SERVICE_ACCOUNTS,
    catalog.CONFIG_MAPS,
    catalog.EVENTS,
)
CLUSTER_WIDE = (WORKSPACE_KINDS, catalog.STORAGE_CLASSES, catalog.NODES)
NODE = "local"
PROVISIONERS = (PROVISIONER, "test")
KEPT = {
    (catalog.SERVICES, "kubernetes"),
    (catalog.SERVICE_ACCOUNTS, "default"),
    (catalog.CONFIG_MAPS, "kube-root-ca.crt"),
}


async def clean(cluster: Cluster) -> None:
    """Delete what tests may have left, with or without finalizers.

    Raises:
        AssertionError: if something cannot be deleted.
    """
    with contextlib.suppress(
        NotFound
    ):  # what `install` remembers: samples that were deleted would not come back
        await cluster.delete(catalog.CONFIG_MAPS, *RECORD)
    deadline = time.monotonic() + LIMIT_SECONDS
    for resource in (*IN_NAMESPACE, *CLUSTER_WIDE):
        while left := await _left(cluster, resource):
            assert time.monotonic() < deadline, (
                f"{resource.plural} that cannot be deleted: "
                f"{[one['metadata']['name'] for one in left]}"
            )
            await asyncio.gather(*(_delete(cluster, resource, one["metadata"]) for one in left))
            await asyncio.sleep(0.01)


async def prepare(cluster: Cluster) -> None:
    """Clean the cluster, and install our CRDs and samples as on a new local cluster."""
    await clean(cluster)
    for manifest in bundled.crds():
        with contextlib.suppress(AlreadyExists):
            await cluster.create(catalog.CUSTOM_RESOURCE_DEFINITIONS, manifest)
    deadline = time.monotonic() + LIMIT_SECONDS
    for resource in (WORKSPACES, WORKSPACE_KINDS):
        while not await _served(cluster, resource):
            assert time.monotonic() < deadline, f"{resource.plural} are not served"
            await asyncio.sleep(0.05)
    await install(cluster)


async def _served(cluster: Cluster, resource: Resource) -> bool:
    try:
        await cluster.list(resource)
    except NotFound:
        return False
    return True


async def foreign(cluster: Cluster) -> list[str]:
    """Return objects of others that `clean` would delete."""
    held: list[str] = []
    for resource in (WORKSPACES, WORKSPACE_KINDS, catalog.PODS, catalog.PERSISTENT_VOLUME_CLAIMS):
        held += [
            f"{resource.kind} {one['metadata']['name']}" for one in await _left(cluster, resource)
        ]
    return held


async def _left(cluster: Cluster, resource: Resource) -> list[Object]:
    namespaces = NAMESPACES if resource.namespaced else (None,)
    try:
        found = [
            one
            for namespace in namespaces
            for one in (await cluster.list(resource, namespace)).items
        ]
    except NotFound:  # its definition is not there
        return []
    return [one for one in found if _of_tests(resource, one)]


def _of_tests(resource: Resource, found: Object) -> bool:
    """Return whether a test may have created an object.

    A simulated node that is left would run the pods that other tests simulate.
    """
    name = found["metadata"]["name"]
    if resource is catalog.NODES:
        return bool(name == NODE or SIMULATED[0] in (found["metadata"].get("labels") or {}))
    if resource is catalog.STORAGE_CLASSES:
        return found["provisioner"] in PROVISIONERS
    return (resource, name) not in KEPT


async def _delete(cluster: Cluster, resource: Resource, metadata: Object) -> None:
    name, namespace = metadata["name"], metadata.get("namespace")
    try:
        if metadata.get("finalizers"):
            await cluster.patch(resource, name, {"metadata": {"finalizers": None}}, namespace)
        if not metadata.get("deletionTimestamp") or resource is catalog.PODS:
            await cluster.delete(resource, name, namespace, grace_seconds=0)
    except (NotFound, Conflict):
        return
