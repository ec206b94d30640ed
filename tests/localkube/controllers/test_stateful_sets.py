"""StatefulSets create, update and delete pods and claims."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from small_cluster import SmallCluster, small_cluster

from jupyter_workspaces.kube.catalog import PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS
from jupyter_workspaces.kube.types import Object


def spec(replicas: int = 1, image: str = "lab", **fields: Any) -> Object:
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": image}]},
    }
    wanted = {
        "replicas": replicas,
        "serviceName": "web",
        "selector": {"matchLabels": {"app": "web"}},
        "template": template,
    }
    return wanted | fields


async def settled(small: SmallCluster, replicas: int) -> Object:
    """The set once its status says that all is as it should be."""

    async def is_settled() -> Object | None:
        found = await small.cluster.get(STATEFUL_SETS, "web", "default")
        status = found["status"]
        current = status.get("observedGeneration") == found["metadata"]["generation"]
        whole = (
            status.get("replicas", 0)
            == status.get("updatedReplicas", 0)
            == status.get("readyReplicas", 0)
            == replicas
        )
        return found if current and whole else None

    return await small.until(is_settled, f"{replicas} ready pods")


async def test_a_set_of_two_has_two_named_owned_and_labelled_pods(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as small:
        made = await small.make(STATEFUL_SETS, "web", spec=spec(2))

        found = await settled(small, 2)

        pods = await small.pods()
        assert sorted(pods) == ["web-0", "web-1"]
        pod = pods["web-1"]
        assert pod["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
        assert pod["metadata"]["ownerReferences"][0]["controller"] is True
        assert pod["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] == "web-1"
        assert (
            pod["metadata"]["labels"]["controller-revision-hash"]
            == found["status"]["updateRevision"]
        )
        assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == ("web-1", "web")


async def test_the_second_pod_waits_for_the_first_to_be_ready(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as small:
        small.sick.add("web-0")
        await small.make(STATEFUL_SETS, "web", spec=spec(2))

        await small.until(lambda: small.events("SuccessfulCreate"))
        found = await small.until(
            lambda: _status(small, lambda status: status.get("replicas") == 1)
        )

        assert found["status"].get("readyReplicas", 0) == 0
        assert sorted(await small.pods()) == ["web-0"]


async def test_scaling_to_nothing_removes_the_pod_and_says_so(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as small:
        await small.make(STATEFUL_SETS, "web", spec=spec(1))
        await settled(small, 1)

        await small.cluster.patch(STATEFUL_SETS, "web", {"spec": {"replicas": 0}}, "default")

        await small.gone(PODS, "web-0")
        assert (await settled(small, 0))["status"].get("currentReplicas", 0) == 0


async def test_a_changed_template_replaces_the_pod(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as small:
        await small.make(STATEFUL_SETS, "web", spec=spec(2))
        before = await settled(small, 2)

        await small.cluster.patch(STATEFUL_SETS, "web", {"spec": spec(2, image="newer")}, "default")
        after = await settled(small, 2)

        assert after["status"]["updateRevision"] != before["status"]["updateRevision"]
        assert after["status"]["currentRevision"] == after["status"]["updateRevision"]
        assert {pod["spec"]["containers"][0]["image"] for pod in (await small.pods()).values()} == {
            "newer"
        }


async def test_a_pod_that_never_gets_ready_is_still_replaced_by_a_mended_template(
    tmp_path: Path,
) -> None:
    async with small_cluster(tmp_path) as small:
        small.sick.add("web-0")
        await small.make(STATEFUL_SETS, "web", spec=spec(1, image="broken"))
        await small.until(lambda: _phase(small, "web-0", "Running"))

        small.sick.clear()
        await small.cluster.patch(
            STATEFUL_SETS, "web", {"spec": spec(1, image="mended")}, "default"
        )

        await settled(small, 1)
        assert (await small.pods())["web-0"]["spec"]["containers"][0]["image"] == "mended"


async def test_a_failed_pod_is_made_again_after_a_pause(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as small:
        await small.make(STATEFUL_SETS, "web", spec=spec(1))
        await settled(small, 1)
        first = (await small.pods())["web-0"]["metadata"]["uid"]

        began = asyncio.get_running_loop().time()
        await small.end_pod("web-0")

        async def is_another() -> bool:
            pods = await small.pods()
            return "web-0" in pods and pods["web-0"]["metadata"]["uid"] != first

        await small.until(is_another)
        assert asyncio.get_running_loop().time() - began >= 0.9
        await settled(small, 1)


async def test_claim_templates_become_claims_that_outlive_the_set(tmp_path: Path) -> None:
    template = {
        "metadata": {"name": "home"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": "standard",
        },
    }
    async with small_cluster(tmp_path) as small:
        await small.make(STATEFUL_SETS, "web", spec=spec(1, volumeClaimTemplates=[template]))
        await settled(small, 1)
        pod = (await small.pods())["web-0"]
        assert pod["spec"]["volumes"][0] == {
            "name": "home",
            "persistentVolumeClaim": {"claimName": "home-web-0"},
        }

        await small.cluster.delete(STATEFUL_SETS, "web", "default")
        await small.gone(PODS, "web-0")

        assert await small.cluster.get(PERSISTENT_VOLUME_CLAIMS, "home-web-0", "default")


async def test_a_pod_left_behind_is_taken_in_by_a_set_of_the_same_name(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as small:
        await small.make(STATEFUL_SETS, "web", spec=spec(1))
        await settled(small, 1)
        await small.cluster.delete(STATEFUL_SETS, "web", "default", propagation="Orphan")
        await small.gone(STATEFUL_SETS, "web")
        pod = (await small.pods())["web-0"]
        assert not pod["metadata"].get("ownerReferences")

        made = await small.make(STATEFUL_SETS, "web", spec=spec(1))
        await settled(small, 1)

        kept = (await small.pods())["web-0"]["metadata"]
        assert (kept["uid"], kept["ownerReferences"][0]["uid"]) == (
            pod["metadata"]["uid"],
            made["metadata"]["uid"],
        )


async def test_a_template_that_makes_pods_the_cluster_refuses_is_told_as_an_event(
    tmp_path: Path,
) -> None:
    template = spec()["template"]
    template = template | {"spec": template["spec"] | {"serviceAccountName": "nobody"}}
    async with small_cluster(tmp_path) as small:
        await small.make(STATEFUL_SETS, "web", spec=spec(1, template=template))

        events = await small.until(lambda: small.events("FailedCreate"))

        assert "web-0" in events[0]["message"]


async def _status(small: SmallCluster, wanted: Any) -> Object | None:
    found = await small.cluster.get(STATEFUL_SETS, "web", "default")
    return found if wanted(found["status"]) else None


async def _phase(small: SmallCluster, name: str, phase: str) -> bool:
    return (await small.cluster.get(PODS, name, "default"))["status"]["phase"] == phase
