"""Pods are assigned to nodes, or told why they do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_cluster import SmallCluster, node, small_cluster

from jupyter_workspaces.kube.catalog import NODES, PODS
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.controllers.node_fit import unschedulable_reason


def asking(**amounts: str) -> Object:
    return {
        "spec": {"containers": [{"name": "main", "image": "lab", "resources": {"limits": amounts}}]}
    }


async def placed(small: SmallCluster, name: str) -> str | None:
    node_name: str | None = (await small.cluster.get(PODS, name, "default"))["spec"].get("nodeName")
    return node_name


async def waits(small: SmallCluster, name: str) -> Object | None:
    conditions = (await small.cluster.get(PODS, name, "default"))["status"].get("conditions") or ()
    return next(
        (
            found
            for found in conditions
            if found["type"] == "PodScheduled" and found["status"] == "False"
        ),
        None,
    )


async def test_a_pod_gets_the_node_and_an_event(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as small:
        await small.make(PODS, "lab", **asking(cpu="1", memory="1Gi"))

        assert await small.until(lambda: placed(small, "lab")) == "local"
        assert await small.until(lambda: small.events("Scheduled"))


async def test_a_pod_that_wants_a_gpu_waits_and_is_told_in_plain_words(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as small:
        await small.make(PODS, "lab", **asking(**{"nvidia.com/gpu": "1"}))

        condition = await small.until(lambda: waits(small, "lab"))

        assert condition["reason"] == "Unschedulable"
        assert "requests 1 nvidia.com/gpu, and this computer has none" in condition["message"]
        assert (await small.events("FailedScheduling"))[0]["type"] == "Warning"


async def test_a_pod_that_waits_is_placed_when_the_node_has_grown(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as small:
        await small.make(PODS, "lab", **asking(memory="64Gi"))
        condition = await small.until(lambda: waits(small, "lab"))
        assert "64 GiB of memory, and this computer has 4 GiB" in condition["message"]

        await small.cluster.patch(
            NODES, "local", {"status": {"allocatable": {"memory": "128Gi"}}}, subresource="status"
        )

        assert await small.until(lambda: placed(small, "lab")) == "local"


async def test_pods_made_before_there_is_a_node_are_placed_when_it_comes(tmp_path: Path) -> None:
    async with small_cluster(tmp_path, with_node=False) as small:
        await small.make(PODS, "lab", **asking())
        condition = await small.until(lambda: waits(small, "lab"))
        assert "no node yet" in condition["message"]

        await small.cluster.create(NODES, node())
        await small.cluster.patch(
            NODES, "local", {"status": node()["status"]}, subresource="status"
        )

        assert await small.until(lambda: placed(small, "lab")) == "local"


async def test_a_pod_of_another_scheduler_is_left_to_it(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as small:
        theirs = asking()
        theirs["spec"]["schedulerName"] = "somebody-else"
        await small.make(PODS, "theirs", **theirs)
        await small.make(PODS, "ours", **asking())

        await small.until(lambda: placed(small, "ours"))

        assert await placed(small, "theirs") is None


def test_one_gpu_is_one_pods_alone_while_cpu_and_memory_are_shared() -> None:
    there = node(**{"nvidia.com/gpu": "1"})
    others = [asking(**{"nvidia.com/gpu": "1", "cpu": "2", "memory": "4Gi"})]

    assert unschedulable_reason(asking(cpu="2", memory="4Gi"), there, others) is None
    assert "in use" in (
        unschedulable_reason(asking(**{"nvidia.com/gpu": "1"}), there, others) or ""
    )


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ({"nodeSelector": {"kubernetes.io/hostname": "local"}}, True),
        ({"nodeSelector": {"disk": "fast"}}, False),
        ({"affinity": {"nodeAffinity": {}}}, True),
        (
            {
                "affinity": {
                    "nodeAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": {
                            "nodeSelectorTerms": [
                                {
                                    "matchExpressions": [
                                        {"key": "disk", "operator": "In", "values": ["fast"]}
                                    ]
                                },
                                {"matchExpressions": [{"key": "disk", "operator": "DoesNotExist"}]},
                            ]
                        }
                    }
                }
            },
            True,
        ),
        (
            {
                "affinity": {
                    "nodeAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": {
                            "nodeSelectorTerms": [
                                {
                                    "matchExpressions": [
                                        {"key": "gpus", "operator": "Gt", "values": ["0"]}
                                    ]
                                },
                            ]
                        }
                    }
                }
            },
            False,
        ),
    ],
)
def test_selectors_and_affinity_are_respected(fields: Object, fits: bool) -> None:
    pod = asking()
    pod["spec"] |= fields

    assert (unschedulable_reason(pod, node(), []) is None) is fits


def test_a_taint_keeps_pods_away_that_do_not_tolerate_it() -> None:
    there = node()
    there["spec"] = {"taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]}
    tolerant = asking()
    tolerant["spec"]["tolerations"] = [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]

    assert "taint gpu" in (unschedulable_reason(asking(), there, []) or "")
    assert unschedulable_reason(tolerant, there, []) is None
