"""Users without rights to the whole cluster, on a real one.

What they are allowed works; what is forbidden is reported in the cluster's own words.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from control_plane import ControlPlane
from real_cluster import RealCluster
from waiting import until, until_sync

from jupyter_workspaces.install import manifests
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import from_kubeconfig
from jupyter_workspaces.kube.errors import Forbidden
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources.catalog import WORKSPACES
from jupyter_workspaces.server.cache import Cache

MINE, OTHERS = "scoped-mine", "scoped-others"
RBAC = "rbac.authorization.k8s.io"


def apply(plane: ControlPlane, obj: Object) -> None:
    path = manifests.resource(obj).path(obj["metadata"].get("namespace"), obj["metadata"]["name"])
    code, answer = plane.ask(
        "PATCH", f"{path}?fieldManager=test&force=true", obj, media="application/apply-patch+yaml"
    )
    assert code in (200, 201), answer


def bind(plane: ControlPlane, person: str, role: str, namespace: str) -> None:
    apply(
        plane,
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": person, "namespace": namespace},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": RBAC, "kind": "User", "name": person}],
        },
    )


@pytest.fixture(scope="module")
def plane(real_cluster: RealCluster) -> Iterator[ControlPlane]:
    """With our definitions and roles, and two namespaces with a workspace each."""
    own = real_cluster.require_own()
    needed = ("Namespace", "CustomResourceDefinition", "ClusterRole")
    rights = [
        obj
        for obj in manifests.all_objects()
        if obj["kind"] in needed or obj["metadata"]["name"] == "jupyter-workspaces-kinds"
    ]
    for obj in rights:
        apply(own, obj)
    until_sync(lambda: own.ask("GET", WORKSPACES.path())[0] == 200)
    for namespace in (MINE, OTHERS):
        apply(own, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        until_sync(
            lambda namespace=namespace: (
                own.ask("POST", WORKSPACES.path(namespace), workspace("w"))[0] in (201, 409)
            )
        )
    yield own
    for namespace in (MINE, OTHERS):
        own.ask("DELETE", f"/api/v1/namespaces/{namespace}")


def workspace(name: str) -> Object:
    spec = {
        "kind": "k",
        "podTemplate": {"volumes": {"data": []}, "options": {"imageConfig": "i", "podConfig": "p"}},
    }
    return {
        "apiVersion": WORKSPACES.api_version,
        "kind": WORKSPACES.kind,
        "metadata": {"name": name},
        "spec": spec,
    }


@asynccontextmanager
async def cache_of(kubeconfig: Path, namespace: str = MINE) -> AsyncIterator[Cache]:
    cache = Cache(Cluster(replace(from_kubeconfig(kubeconfig), namespace=namespace)))
    try:
        await cache.start()
        yield cache
    finally:
        await cache.stop()


async def test_who_may_see_one_namespace_works_in_it(plane: ControlPlane) -> None:
    bind(plane, "one", "jupyter-workspaces-edit", MINE)
    async with cache_of(plane.person("one")) as cache:
        assert cache.ready
        assert [one["metadata"]["namespace"] for one in cache.workspaces.items()] == [MINE]
        assert [one["metadata"]["name"] for one in cache.namespaces.items()] == [MINE]
        heard: list[tuple[str, str]] = []
        cache.workspaces.listen(
            lambda change, obj, previous: heard.append((change, obj["metadata"]["name"]))
        )
        made = await cache.cluster.create(WORKSPACES, workspace("new"), MINE)
        cache.workspaces.apply(made)
        assert cache.workspace(MINE, "new") == made
        await cache.cluster.delete(WORKSPACES, "new", MINE)
        await until(lambda: cache.workspace(MINE, "new") is None)
        assert heard[0] == ("ADDED", "new")
        assert heard[-1] == ("DELETED", "new")


async def test_what_is_forbidden_is_told_in_the_clusters_words(plane: ControlPlane) -> None:
    bind(plane, "two", "jupyter-workspaces-view", MINE)
    async with cache_of(plane.person("two")) as cache:
        with pytest.raises(
            Forbidden,
            match=(
                'workspaces.kubeflow.org is forbidden: User "two" cannot list .* '
                f'namespace "{OTHERS}"'
            ),
        ):
            await cache.reach(OTHERS)
        assert [one["metadata"]["namespace"] for one in cache.workspaces.items()] == [MINE]
        with pytest.raises(Forbidden, match='User "two" cannot create resource "workspaces"'):
            await cache.cluster.create(WORKSPACES, workspace("new"), MINE)


async def test_another_namespace_is_watched_when_somebody_looks_there(plane: ControlPlane) -> None:
    for namespace in (MINE, OTHERS):
        bind(plane, "three", "jupyter-workspaces-view", namespace)
    async with cache_of(plane.person("three")) as cache:
        assert len(cache.workspaces) == 1
        await cache.reach(OTHERS)
        assert sorted(one["metadata"]["namespace"] for one in cache.workspaces.items()) == [
            MINE,
            OTHERS,
        ]
        assert {one["metadata"]["name"] for one in cache.namespaces.items()} == {MINE, OTHERS}


async def test_who_may_nothing_is_told_so(plane: ControlPlane) -> None:
    with pytest.raises(Forbidden, match='User "nobody" cannot list resource "workspaces"'):
        async with cache_of(plane.person("nobody")):
            pass


async def test_a_list_that_only_some_may_see_raises_when_it_is_read(plane: ControlPlane) -> None:
    role = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "only-workspaces"},
        "rules": [
            {
                "apiGroups": ["kubeflow.org"],
                "resources": ["workspaces"],
                "verbs": ["get", "list", "watch"],
            }
        ],
    }
    apply(plane, role)
    bind(plane, "four", "only-workspaces", MINE)
    async with cache_of(plane.person("four")) as cache:
        assert len(list(cache.workspaces.items())) == 1
        with pytest.raises(Forbidden, match="persistentvolumeclaims is forbidden"):
            cache.claims.items()
        assert list(cache.pods.items()) == []


async def test_an_administrator_watches_all_namespaces_at_once(plane: ControlPlane) -> None:
    async with cache_of(plane.kubeconfig) as cache:
        assert cache.workspaces.parts == []
        assert {MINE, OTHERS} <= {one["metadata"]["namespace"] for one in cache.workspaces.items()}
        await cache.reach("anywhere")


async def test_rights_that_come_later_are_used(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_workspaces.kube.reflector.DENIED_PAUSE", 0.3)
    bind(plane, "five", "jupyter-workspaces-view", MINE)
    async with cache_of(plane.person("five")) as cache:
        assert cache.workspaces.parts == [MINE]
        subject = {"apiGroup": RBAC, "kind": "User", "name": "five"}
        reference = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "jupyter-workspaces-view"}
        binding = {
            "apiVersion": f"{RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "five"},
        }
        apply(plane, binding | {"roleRef": reference, "subjects": [subject]})
        cache.workspaces.wake()
        await until(lambda: not cache.workspaces.parts)
        assert {MINE, OTHERS} <= {one["metadata"]["namespace"] for one in cache.workspaces.items()}
