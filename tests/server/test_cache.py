from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from filled_store import installed_store
from real_cluster import RealCluster
from shared_cluster import clean, prepare
from waiting import until

from jupyter_workspaces.kube.catalog import (
    NAMESPACES,
    PODS,
    SERVICES,
    STATEFUL_SETS,
)
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import Endpoint
from jupyter_workspaces.kube.ownership import age
from jupyter_workspaces.kube.reflector import Reflector
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.http.server import ApiServer
from jupyter_workspaces.resources import metadata_keys
from jupyter_workspaces.resources.catalog import WORKSPACES
from jupyter_workspaces.server.cache import Cache

TOKEN = "a-token-for-tests"
Reached = Callable[[], AbstractAsyncContextManager[Cluster]]


def workspace() -> Object:
    template = {
        "volumes": {"data": []},
        "options": {"imageConfig": "jupyterlab_scipy_190", "podConfig": "tiny_cpu"},
    }
    return {
        "apiVersion": WORKSPACES.api_version,
        "kind": WORKSPACES.kind,
        "metadata": {"name": "dora"},
        "spec": {"kind": "jupyterlab", "podTemplate": template},
    }


def service(name: str, owner: Object, **spec: Any) -> Object:
    """Owned by a workspace that is there, else a garbage collector would take it."""
    held = owner["metadata"]
    reference = {
        "apiVersion": WORKSPACES.api_version,
        "kind": WORKSPACES.kind,
        "name": held["name"],
        "uid": held["uid"],
        "controller": True,
    }
    selector = {metadata_keys.WORKSPACE_NAME: held["name"]}
    metadata = {
        "name": name,
        "labels": {metadata_keys.WORKSPACE_NAME: held["name"]},
        "ownerReferences": [reference],
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"ports": [{"port": 80}], "selector": selector} | spec,
    }


@pytest.fixture
def reached(cluster_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Reached:
    """Return a context manager for a cluster with our CRDs, for each cluster of the session."""
    return (
        on_real(request.getfixturevalue("real_cluster"))
        if cluster_kind == "real"
        else on_embedded(tmp_path)
    )


def on_embedded(directory: Path) -> Reached:
    async def token() -> str:
        return TOKEN

    @asynccontextmanager
    async def start() -> AsyncIterator[Cluster]:
        store = await installed_store(directory, admission=False)
        server = ApiServer(store, TOKEN)
        url = f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}"
        try:
            async with Cluster(Endpoint(url, "test", None, token, embedded=True)) as cluster:
                yield cluster
        finally:
            await server.stop()
            store.close()

    return start


def on_real(real: RealCluster) -> Reached:
    @asynccontextmanager
    async def start() -> AsyncIterator[Cluster]:
        async with Cluster(real.endpoint()) as cluster:
            await prepare(cluster)
            yield cluster
            await clean(cluster)

    return start


async def test_a_workspaces_service_is_found_and_forgotten_and_of_several_it_is_the_oldest(
    reached: Reached,
) -> None:
    async with reached() as cluster:
        cache = Cache(cluster)
        owner = await cluster.create(WORKSPACES, workspace(), "default")

        def found() -> str | None:
            held = cache.service_of(owner)
            return held["metadata"]["name"] if held is not None else None

        try:
            cache.services.start()
            await cache.services.synced()
            assert found() is None

            first = await cluster.create(SERVICES, service("first", owner), "default")
            await until(lambda: found() == "first")
            await asyncio.sleep(1.1 - time.time() % 1)  # times of creation have whole seconds
            assert age(await cluster.create(SERVICES, service("second", owner), "default")) > age(
                first
            )
            await until(lambda: cache.services.get("second", "default") is not None)
            assert found() == "first"

            await cluster.delete(SERVICES, "first", "default")
            await until(lambda: found() == "second")
            await cluster.delete(SERVICES, "second", "default")
            await until(lambda: found() is None)
        finally:
            await cache.stop()


async def test_a_service_that_names_anothers_workspace_as_owner_is_not_that_workspaces(
    reached: Reached,
) -> None:
    async with reached() as cluster:
        cache = Cache(cluster)
        owner = await cluster.create(WORKSPACES, workspace(), "default")
        await cluster.create(
            NAMESPACES,
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-mallory"}},
        )
        external = {"type": "ExternalName", "externalName": "mallory.example.org", "selector": {}}
        try:
            cache.services.start()
            await cache.services.synced()
            await cluster.create(SERVICES, service("elsewhere", owner), "team-mallory")
            await cluster.create(SERVICES, service("external", owner, **external), "default")
            await cluster.create(
                SERVICES, service("anybody", owner, selector={"app": "mallory"}), "default"
            )
            await until(
                lambda: all(
                    cache.services.get(name, "default") is not None
                    for name in ("external", "anybody")
                )
            )
            assert cache.service_of(owner) is None
            await cluster.create(SERVICES, service("genuine", owner), "default")
            await until(lambda: cache.service_of(owner) is not None)
            assert [held["metadata"]["name"] for held in cache.services_of(owner)] == ["genuine"]
        finally:
            await cache.stop()
            await cluster.delete(NAMESPACES, "team-mallory")


def reference(owner: Object, **changed: Any) -> Object:
    metadata = owner["metadata"]
    found = {key: owner[key] for key in ("apiVersion", "kind")} | {
        key: metadata[key] for key in ("name", "uid")
    }
    return found | {"controller": True} | changed


def stateful_set(name: str, owner: Object, **changed: Any) -> Object:
    labels = {metadata_keys.WORKSPACE_NAME: "dora", metadata_keys.STATEFUL_SET: "dora"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "main", "image": "i"}]},
    }
    metadata = {"name": name, "labels": labels, "ownerReferences": [reference(owner, **changed)]}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": spec}


def pod(name: str, *references: Object) -> Object:
    """With all labels that a genuine one has, and an annotation that names somebody's Secret."""
    labels = {
        metadata_keys.WORKSPACE_NAME: "dora",
        metadata_keys.STATEFUL_SET: "dora",
        "controller-revision-hash": "ws-dora-abcde-5d4f8c7b9",
        "statefulset.kubernetes.io/pod-name": name,
        "apps.kubernetes.io/pod-index": "0",
    }
    metadata = {
        "name": name,
        "labels": labels,
        "annotations": {metadata_keys.TOKEN_SECRET: "anothers"},
        "ownerReferences": list(references),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [{"name": "main", "image": "i"}]},
    }


async def test_a_pod_is_a_workspaces_only_by_a_stateful_set_that_the_workspace_controls(
    tmp_path: Path,
) -> None:
    """Each forged pod has the workspace's label, as in front of a proxy that looked for labels."""
    async with on_embedded(tmp_path)() as cluster:
        cache = Cache(cluster)
        owner = await cluster.create(WORKSPACES, workspace(), "default")
        other = await cluster.create(
            WORKSPACES, workspace() | {"metadata": {"name": "mallory"}}, "default"
        )
        genuine = await cluster.create(
            STATEFUL_SETS, stateful_set("ws-dora-abcde", owner), "default"
        )
        namesake = await cluster.create(
            STATEFUL_SETS, stateful_set("ws-dora-fghij", other), "default"
        )
        disowned = await cluster.create(
            STATEFUL_SETS, stateful_set("ws-dora-klmno", owner, controller=False), "default"
        )
        lied = await cluster.create(
            STATEFUL_SETS,
            stateful_set("ws-dora-pqrst", owner, uid=other["metadata"]["uid"]),
            "default",
        )
        forged = [
            pod("hand-made"),
            pod("ws-dora-abcde-1", reference(genuine)),
            pod("ws-dora-uvwxy-0", reference(genuine)),
            pod("ws-dora-fghij-0", reference(namesake)),
            pod("ws-dora-klmno-0", reference(disowned)),
            pod("ws-dora-pqrst-0", reference(lied)),
            pod(
                "ws-dora-invented-0",
                reference(
                    genuine, name="ws-dora-invented", uid="b8b1c0de-0000-4000-8000-000000000000"
                ),
            ),
            pod("directly-0", reference(owner)),
        ]
        try:
            await cache.start()
            for one in forged:
                await cluster.create(PODS, one, "default")
            selector = {metadata_keys.WORKSPACE_NAME: "dora", metadata_keys.STATEFUL_SET: "dora"}
            own = await cluster.create(
                SERVICES, service("own", owner, selector=selector), "default"
            )
            await until(
                lambda: len(cache.pods) == len(forged) and cache.service_of(owner) is not None
            )
            assert cache.pods_of(owner) == []
            assert cache.pod_of(owner) is None
            assert len(cache.strangers_of(owner, own)) == len(forged)

            wrong = pod(
                "ws-dora-abcde-0", reference(genuine, uid="b8b1c0de-0000-4000-8000-000000000000")
            )
            await cluster.create(PODS, wrong, "default")
            await until(lambda: len(cache.pods) == len(forged) + 1)
            assert cache.pod_of(owner) is None
            await cluster.delete(PODS, "ws-dora-abcde-0", "default", grace_seconds=0)

            await cluster.create(PODS, pod("ws-dora-abcde-0", reference(genuine)), "default")
            await until(lambda: cache.pod_of(owner) is not None)
            found = cache.pod_of(owner)
            assert found is not None
            assert found["metadata"]["name"] == "ws-dora-abcde-0"
            assert [one["metadata"]["name"] for one in cache.pods_of(owner)] == ["ws-dora-abcde-0"]
        finally:
            await cache.stop()


async def test_what_was_deleted_by_us_is_gone_at_once_and_late_changes_do_not_bring_it_back() -> (
    None
):
    services = Reflector(Cluster(Endpoint("http://127.0.0.1:9", "nowhere")), SERVICES)

    def change(uid: str, revision: int, **metadata: Any) -> Object:
        return {
            "metadata": {
                "name": "one",
                "namespace": "default",
                "uid": uid,
                "resourceVersion": str(revision),
                **metadata,
            }
        }

    services.apply(change("first", 1))
    held = change(
        "first", 2, finalizers=["example.org/hold"], deletionTimestamp="2026-01-01T00:00:00Z"
    )
    services.deleted(held, "one", "default")
    assert services.get("one", "default") == held
    services.deleted({"kind": "Status", "details": {"uid": "another"}}, "one", "default")
    assert services.get("one", "default") == held
    services.deleted({"kind": "Status", "details": {"uid": "first"}}, "one", "default")
    assert services.get("one", "default") is None
    services.apply(change("first", 3))
    assert services.get("one", "default") is None
    services.apply(change("second", 4))
    assert services.get("one", "default") is not None
