"""CPU and memory of pods and of the node (metrics.k8s.io, `kubectl top`)."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from node_cluster import node_cluster
from pod_sockets import Kubectl, kubectl_program

from jupyter_workspaces.common.quantities import parse
from jupyter_workspaces.kube.errors import NotFound

GROUP = "/apis/metrics.k8s.io/v1beta1"
BUSY = "x=$(head -c 30000000 /dev/zero | tr '\\0' x); echo ready; while :; do :; done"


@asynccontextmanager
async def measured(directory: Path, **settings: Any):
    async with node_cluster(directory, agent=False, **settings) as nodes:
        nodes.server.measure(nodes.start_agent(scan_seconds=0.2).metrics)
        await nodes.program("p", BUSY, metadata={"labels": {"app": "busy"}})
        await nodes.program("q", "echo ready; sleep 600")
        for name in ("p", "q"):
            await nodes.says(name, "ready")

        async def both() -> bool:
            found = (await nodes.cluster.raw("GET", f"{GROUP}/pods"))["items"]
            return len(found) == 2 and any(
                one["containers"][0]["usage"]["cpu"] != "0n" for one in found
            )

        await nodes.until(both, "the figures of both pods")
        yield nodes


async def test_pods_tell_what_they_use(tmp_path: Path) -> None:
    async with measured(tmp_path) as nodes:
        found = await nodes.cluster.raw("GET", f"{GROUP}/namespaces/default/pods/p")
        usage = found["containers"][0]["usage"]

        assert (found["kind"], found["window"], found["metadata"]["labels"]) == (
            "PodMetrics",
            "0.2s",
            {"app": "busy"},
        )
        assert found["containers"][0]["name"] == "main"
        assert 0 < parse(usage["cpu"]) < 1.5
        assert parse(usage["memory"]) > 10**6


async def test_lists_obey_selectors_and_namespaces(tmp_path: Path) -> None:
    async with measured(tmp_path) as nodes:

        async def names(path: str, **query: str) -> list[str]:
            listed = await nodes.cluster.raw("GET", f"{GROUP}/{path}", query=query)
            assert listed["kind"].endswith("MetricsList")
            return sorted(item["metadata"]["name"] for item in listed["items"])

        assert await names("pods") == ["p", "q"]
        assert await names("namespaces/default/pods", labelSelector="app=busy") == ["p"]
        assert await names("pods", fieldSelector="metadata.name=q") == ["q"]
        assert await names("namespaces/other/pods") == []
        assert await names("nodes") == ["local"]


async def test_what_is_not_measured_is_not_found(tmp_path: Path) -> None:
    async with measured(tmp_path) as nodes:
        with pytest.raises(
            NotFound, match=r'podmetrics\.metrics\.k8s\.io "default/none" not found'
        ):
            await nodes.cluster.raw("GET", f"{GROUP}/namespaces/default/pods/none")


async def test_nobody_measures_where_no_node_runs(tmp_path: Path) -> None:
    async with measured(tmp_path) as nodes:
        nodes.server.measure(None)

        assert "metrics.k8s.io" not in str(await nodes.cluster.raw("GET", "/apis"))
        with pytest.raises(NotFound):
            await nodes.cluster.raw("GET", f"{GROUP}/pods")


async def test_kubectl_shows_the_top(tmp_path: Path) -> None:
    program = kubectl_program()
    if program is None:
        pytest.skip("no kubectl: set JW_TEST_BINARIES or JUPYTER_WORKSPACES_KUBECTL")
    async with measured(tmp_path, secure=True) as nodes:
        kubectl = Kubectl(program, nodes, tmp_path)
        code, pods, complaint = await kubectl("top", "pods", "--containers")
        assert (code, complaint) == (0, "")
        assert [line.split()[:2] for line in pods.splitlines()] == [
            ["POD", "NAME"],
            ["p", "main"],
            ["q", "main"],
        ]
        code, nodes_shown, _ = await kubectl("top", "nodes")
        assert code == 0
        assert is_a_nodes_line(nodes_shown.splitlines()[1])


def is_a_nodes_line(line: str) -> bool:
    name, cores, share, memory, _ = line.split()
    return name == "local" and cores.endswith("m") and share.endswith("%") and memory.endswith("Mi")
