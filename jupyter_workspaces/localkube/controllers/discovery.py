"""The resources that an API server serves, by Kubernetes API discovery."""

from __future__ import annotations

from jupyter_workspaces.kube.catalog import Resource
from jupyter_workspaces.kube.client import Cluster

REQUIRED_VERBS = {"list", "watch", "delete"}


async def served_resources(cluster: Cluster) -> list[Resource]:
    """Return all resources that can be listed, watched and deleted.

    Each group's resources are those of its preferred version.

    Raises:
        ClusterError: Discovery failed.
    """
    groups = [("", "v1", "/api/v1")]
    for group in (await cluster.raw("GET", "/apis")).get("groups") or ():
        version = group["preferredVersion"]["version"]
        groups.append((group["name"], version, f"/apis/{group['name']}/{version}"))
    found = []
    for name, version, path in groups:
        for row in (await cluster.raw("GET", path)).get("resources") or ():
            if "/" not in row["name"] and set(row["verbs"]) >= REQUIRED_VERBS:
                found.append(Resource(name, version, row["name"], row["kind"], row["namespaced"]))
    return found
