"""Install and doctor on the local cluster, which needs no installation, by its kubeconfig."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from jupyter_workspaces.install import manifests, plan
from jupyter_workspaces.install.doctor import examine
from jupyter_workspaces.kube.catalog import NAMESPACES
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import Endpoint
from jupyter_workspaces.local.initial_objects import install
from jupyter_workspaces.localkube.apiserver.http.server import ApiServer
from jupyter_workspaces.localkube.apiserver.store.store import Store
from jupyter_workspaces.resources.metadata_keys import LOCAL_BUILD


@asynccontextmanager
async def local_cluster(folder: Path) -> AsyncIterator[Cluster]:
    async def token() -> str:
        return "test-token"

    store = Store.open(folder / "cluster.db")
    server = ApiServer(store, await token(), version=f"v1.36.0+{LOCAL_BUILD}.0")
    try:
        url = f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}"
        async with Cluster(Endpoint(url, "by its kubeconfig", None, token)) as cluster:
            await cluster.create(
                NAMESPACES,
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}},
            )
            await install(cluster)
            yield cluster
    finally:
        await server.stop()
        store.close()


async def test_the_doctor_finds_no_problem(tmp_path: Path) -> None:
    async with local_cluster(tmp_path) as cluster:
        lines = [line async for line in examine(cluster)]
    assert [line.about for line in lines if line.state == "bad" and line.about != "storage"] == []
    assert "part of it" in next(line.found for line in lines if line.about == "installation")


async def test_an_installation_is_refused(tmp_path: Path) -> None:
    async with local_cluster(tmp_path) as cluster:
        found = await plan.to_install(cluster, manifests.all_objects())
    assert [(step.action, "this is the local cluster" in step.why) for step in found.steps] == [
        ("refuse", True)
    ]
    assert found.changes == []
