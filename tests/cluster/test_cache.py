from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_workspaces.cluster.cache import Cache
from jupyter_workspaces.cluster.client import Cluster
from jupyter_workspaces.cluster.endpoint import Endpoint
from jupyter_workspaces.local.apiserver.server import ApiServer
from jupyter_workspaces.local.apiserver.store import Store
from jupyter_workspaces.resources import names
from jupyter_workspaces.resources.catalog import NAMESPACES, SERVICES

Object = dict[str, Any]

TOKEN = "a-token-for-tests"
WORKSPACE: Object = {"metadata": {"name": "dora", "namespace": "default", "uid": "5cd9b4ac-7e51-4d4e-9b6c-6b1b3a3e7b0d"}}


def service(name: str) -> Object:
    owner = WORKSPACE["metadata"]
    reference = {"apiVersion": "kubeflow.org/v1beta1", "kind": "Workspace", "name": owner["name"], "uid": owner["uid"], "controller": True}
    metadata = {"name": name, "labels": {names.WORKSPACE_NAME: owner["name"]}, "ownerReferences": [reference]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": 80}]}}


async def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it did not come about within 10 s"
        await asyncio.sleep(0.01)


def found(cache: Cache) -> str | None:
    service = cache.service_of(WORKSPACE)
    return service["metadata"]["name"] if service is not None else None


async def test_a_workspaces_service_is_found_and_forgotten(tmp_path: Path) -> None:
    async def token() -> str:
        return TOKEN

    store = Store.open(tmp_path / "cluster.db")
    server = ApiServer(store, TOKEN)
    url = f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}"
    cluster = Cluster(Endpoint(url, "test", None, token, embedded=True))
    cache = Cache(cluster)
    try:
        await cluster.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
        cache.services.start()
        await cache.services.synced()
        assert found(cache) is None

        await cluster.create(SERVICES, service("first"), "default")
        await until(lambda: found(cache) == "first")
        await cluster.create(SERVICES, service("second"), "default")
        await until(lambda: found(cache) == "second")
        await cluster.delete(SERVICES, "first", "default")
        await until(lambda: cache.services.get("first", "default") is None)
        assert found(cache) == "second"

        await cluster.delete(SERVICES, "second", "default")
        await until(lambda: found(cache) is None)
    finally:
        await cache.stop()
        await server.stop()
        store.close()
