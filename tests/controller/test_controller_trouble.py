"""Refused writes and clashing volumes: the state says what to do, and retries back off."""

from __future__ import annotations

import asyncio

import pytest
from mounted_volumes import KIND_TEMPLATE, volumes_of
from played_cluster import Play, workspace

from jupyter_workspaces.controller.workspaces.manifests import GenerateError, pod_template
from jupyter_workspaces.controller.workspaces.options import Option
from jupyter_workspaces.kube.errors import Invalid
from jupyter_workspaces.resources.catalog import WORKSPACES

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


async def test_clashing_volumes_are_refused_on_create_and_update(
    play: Play,
) -> None:
    async with play() as played:
        if not played.admission:
            pytest.skip("this cluster runs without our rules")
        clash = volumes_of({"data": [("a", "/data"), ("b", "/data/")]})
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
        wanted["spec"]["podTemplate"]["volumes"] = volumes_of(
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
    one["spec"]["podTemplate"]["volumes"] = volumes_of(
        {"home": "h", "data": [("a", "/home/jovyan/")]}
    )
    with pytest.raises(GenerateError, match="home volume h"):
        pod_template(
            one,
            {"metadata": {"name": "k"}, "spec": {"podTemplate": KIND_TEMPLATE}},
            image,
            Option({"id": "s", "spec": {}}, "s", ()),
            None,
        )
