"""Which resources a cluster serves, by asking it (Kubernetes API discovery)."""

from __future__ import annotations

from jupyter_workspaces.kube.catalog import Resource
from jupyter_workspaces.kube.client import Cluster

NEEDED = {"list", "watch", "delete"}


async def served(cluster: Cluster) -> list[Resource]:
    """Every resource whose objects can be listed, watched and deleted, in each group's preferred version. Raises `ClusterError`."""
    groups = [("", "v1", "/api/v1")]
    for group in (await cluster.raw("GET", "/apis")).get("groups") or ():
        version = group["preferredVersion"]["version"]
        groups.append((group["name"], version, f"/apis/{group['name']}/{version}"))
    found = []
    for name, version, path in groups:
        for row in (await cluster.raw("GET", path)).get("resources") or ():
            if "/" not in row["name"] and set(row["verbs"]) >= NEEDED:
                found.append(Resource(name, version, row["name"], row["kind"], row["namespaced"]))
    return found
