"""Refused writes and clashing volumes: the state says what to do, and retries back off."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from played_cluster import Play, workspace

from jupyter_workspaces.controller.workspaces.manifests import GenerateError, pod_template
from jupyter_workspaces.controller.workspaces.options import Option
from jupyter_workspaces.kube.errors import Invalid
from jupyter_workspaces.resources.catalog import WORKSPACES
from jupyter_workspaces.resources.mount_paths import clashes, normal, of_kind

Object = dict[str, Any]

WATCHED_SECONDS = 4.0
IMPOSSIBLE = [
    {
        "name": "WRONG",
        "valueFrom": {
            "secretKeyRef": {"name": "x", "key": "y"},
            "fieldRef": {"fieldPath": "metadata.name"},
        },
    }
]
MOST_TRIES = 4


async def test_a_refused_write_backs_off_until_the_kind_is_fixed(
    play: Play,
) -> None:
    async with play(admission=False) as played:
        await played.make_kind("odd", extraEnv=IMPOSSIBLE)
        await played.make(kind="odd")
        first = await played.state("Error", message="administrator")
        before = (
            played.counted.asked["create", "statefulsets"],
            played.counted.asked["replace", "workspaces"],
        )
        await asyncio.sleep(
            WATCHED_SECONDS
        )  # it must be let go on: what it does meanwhile is counted
        tries = played.counted.asked["create", "statefulsets"] - before[0]
        writes = played.counted.asked["replace", "workspaces"] - before[1]
        assert (await played.status())["stateMessage"] == first["stateMessage"]
        assert 1 <= tries <= MOST_TRIES
        assert writes == 0
        await played.change_kind("odd", extraEnv=[])
        await played.run_pod()
        await played.state("Running")


@pytest.mark.parametrize(
    ("volumes", "field"),
    [
        ({"data": [("a", "/data"), ("b", "/data/")]}, "data[1]"),
        ({"data": [("a", "/data"), ("b", "/data/../data")]}, "data[1]"),
        ({"home": "h", "data": [("a", "/home/jovyan")]}, "data[0]"),
        ({"home": "h", "data": [("a", "/home/./jovyan/")]}, "data[0]"),
        ({"data": [("a", "/x")], "secrets": [("s", "/x")]}, "secrets[0]"),
        ({"secrets": [("s", "/x"), ("t", "/x/")]}, "secrets[1]"),
        ({"secrets": [("s", "/x"), ("t", "/x/y")]}, "secrets[1]"),
        ({"data": [("a", "/x/y")], "secrets": [("s", "/x")]}, "secrets[0]"),
        ({"home": "h", "secrets": [("s", "/home")]}, "secrets[0]"),
        ({"data": [("a", "/dev/shm/")]}, "data[0]"),
        ({"data": [("a", "/./")]}, "data[0]"),
    ],
)
def test_a_taken_mount_path_is_refused_at_its_field(volumes: Object, field: str) -> None:
    (cause,) = clashes(given(volumes), KIND, "spec.podTemplate")
    assert cause.field == f"spec.podTemplate.volumes.{field}.mountPath"


@pytest.mark.parametrize(
    "volumes",
    [
        {"home": "h", "data": [("a", "/home/jovyan/data")]},
        {"data": [("a", "/data"), ("b", "/data/more"), ("c", "/database")]},
        {"data": [("a", "/home/jovyan")]},
        {"data": [("a", "/lost")]},
        {"home": "h", "secrets": [("s", "/home/jovyan/.keys")]},
    ],
)
def test_nested_mounts_are_allowed(volumes: Object) -> None:
    assert not list(clashes(given(volumes), KIND, ""))


def test_the_schema_refuses_a_path_twice_in_one_list() -> None:
    assert not list(clashes(given({"data": [("a", "/x"), ("b", "/x")]}), KIND, ""))


@pytest.mark.parametrize(
    ("path", "same"),
    [("/a/", "/a"), ("//a", "/a"), ("/a/../b/.", "/b"), ("/../a", "/a"), ("/", "/")],
)
def test_mount_paths_are_normalized(path: str, same: str) -> None:
    assert normal(path) == same


def test_a_kind_that_mounts_two_volumes_at_one_path_is_refused() -> None:
    mounts = [
        {"name": "a", "mountPath": "/x"},
        {"name": "b", "mountPath": "/x/"},
        {"name": "c", "mountPath": "/home/jovyan"},
    ]
    found = of_kind(
        {"volumeMounts": {"home": "/home/jovyan"}, "extraVolumeMounts": mounts}, "spec.podTemplate"
    )
    assert [cause.field for cause in found] == [
        f"spec.podTemplate.extraVolumeMounts[{index}].mountPath" for index in (1, 2)
    ]


async def test_clashing_volumes_are_refused_on_create_and_update(
    play: Play,
) -> None:
    async with play() as played:
        if not played.admission:
            pytest.skip("this cluster runs without our rules")
        clash = given({"data": [("a", "/data"), ("b", "/data/")]})
        wanted = workspace()
        wanted["spec"]["podTemplate"]["volumes"] = clash
        with pytest.raises(Invalid) as refused:
            await played.cluster.create(WORKSPACES, wanted, "default")
        assert [cause.field for cause in refused.value.causes] == [
            "spec.podTemplate.volumes.data[1].mountPath"
        ]
        await played.make(paused=True)
        with pytest.raises(Invalid):
            await played.change("dora", {"podTemplate": {"volumes": clash}})


async def test_clashing_volumes_of_an_old_workspace_are_an_error(
    play: Play,
) -> None:
    async with play(admission=False) as played:
        wanted = workspace()
        wanted["spec"]["podTemplate"]["volumes"] = given(
            {"data": [("a", "/data"), ("b", "/data/")]}
        )
        await played.cluster.create(WORKSPACES, wanted, "default")
        told = await played.state("Error", message="data[1].mountPath")
        assert "the volume a is mounted at /data already" in told["stateMessage"]
        assert "kind" not in told["stateMessage"]
        assert played.counted.asked["create", "statefulsets"] == 0


def test_clashing_volumes_give_no_pod_template() -> None:
    image = Option({"id": "std", "spec": {"image": "i", "ports": []}}, "std", ())
    one = workspace()
    one["metadata"]["uid"] = "1"
    one["spec"]["podTemplate"]["volumes"] = given({"home": "h", "data": [("a", "/home/jovyan/")]})
    with pytest.raises(GenerateError, match="home volume h"):
        pod_template(
            one,
            {"metadata": {"name": "k"}, "spec": {"podTemplate": KIND}},
            image,
            Option({"id": "s", "spec": {}}, "s", ()),
            None,
        )


KIND = {
    "volumeMounts": {"home": "/home/jovyan"},
    "extraVolumes": [{"name": "dshm", "emptyDir": {"medium": "Memory"}}],
    "extraVolumeMounts": [
        {"name": "dshm", "mountPath": "/dev/shm"},
        {"name": "nobody", "mountPath": "/lost"},
    ],
}


def given(volumes: Object) -> Object:
    found: Object = {
        "data": [{"pvcName": name, "mountPath": path} for name, path in volumes.get("data", ())]
    }
    if volumes.get("secrets"):
        found["secrets"] = [
            {"secretName": name, "mountPath": path} for name, path in volumes["secrets"]
        ]
    return found | ({"home": volumes["home"]} if "home" in volumes else {})
