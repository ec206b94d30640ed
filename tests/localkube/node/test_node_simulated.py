"""The simulated node reports pods as running without running programs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from node_cluster import NodeCluster, condition, node_cluster

from jupyter_workspaces.kube.catalog import NODES, PODS
from jupyter_workspaces.kube.errors import BadRequest
from jupyter_workspaces.localkube.apiserver.pods.logs import PodLogReader
from jupyter_workspaces.localkube.node import SimulatedLogs, SimulatedNode, mark_unavailable

LOG = """\
2026-01-02T03:04:05.000000001Z stdout F line 5
2026-01-02T03:04:06.000000001Z stdout F line 6
2026-01-02T03:04:07.000000001Z stderr F line 7
"""


@asynccontextmanager
async def simulated(
    directory: Path, ready_after: float = 0.0, logs: PodLogReader | None = None
) -> AsyncIterator[NodeCluster]:
    async with node_cluster(directory, agent=False, logs=logs) as nodes:
        task = asyncio.create_task(SimulatedNode(nodes.cluster, ready_after).run())
        try:
            yield nodes
        finally:
            task.cancel()
            (ended,) = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(ended, asyncio.CancelledError), ended


async def place(nodes: NodeCluster, name: str, containers: int = 1) -> None:
    described = [
        {"name": f"c{number}", "image": "registry.example/none:1"} for number in range(containers)
    ]
    await nodes.make(PODS, name, spec={"nodeName": "simulated", "containers": described})


async def test_a_pod_is_running_and_ready_and_gone_when_it_is_deleted(tmp_path: Path) -> None:
    async with simulated(tmp_path) as nodes:
        await place(nodes, "a", containers=2)
        pod = await nodes.ready("a")

        assert pod["status"]["phase"] == "Running"
        assert [
            one["state"]["running"]["startedAt"] != "" for one in pod["status"]["containerStatuses"]
        ] == [True, True]
        assert pod["status"]["podIP"].startswith("127.")
        await nodes.delete("a", grace_seconds=30)
        await nodes.gone("a")


async def test_a_pod_gets_ready_after_the_delay_and_not_before(tmp_path: Path) -> None:
    async with simulated(tmp_path, ready_after=1.0) as nodes:
        began = time.monotonic()
        await place(nodes, "a")
        await asyncio.sleep(0.5)

        assert condition(await nodes.pod("a"), "Ready") != "True"
        await nodes.ready("a")
        assert time.monotonic() - began >= 1.0


async def test_many_pods_get_ready_at_once(tmp_path: Path) -> None:
    async with simulated(tmp_path) as nodes:
        await asyncio.gather(*(place(nodes, f"p{number}") for number in range(100)))
        for number in range(100):
            await nodes.ready(f"p{number}")


async def test_every_container_has_the_log_of_the_file(tmp_path: Path) -> None:
    log = tmp_path / "given.log"
    log.write_text(LOG)
    async with simulated(tmp_path, logs=SimulatedLogs(log)) as nodes:
        await place(nodes, "a")
        await nodes.ready("a")

        assert await nodes.log("a") == "line 5\nline 6\nline 7\n"
        assert (
            await nodes.log("a", tailLines="1", timestamps="true")
            == "2026-01-02T03:04:07.000000001Z line 7\n"
        )
        assert await nodes.log("a", sinceTime="2026-01-02T03:04:06Z") == "line 6\nline 7\n"
        with pytest.raises(BadRequest, match="previous terminated container"):
            await nodes.log("a", previous="true")


async def test_a_pod_that_does_not_run_yet_has_no_log(tmp_path: Path) -> None:
    log = tmp_path / "given.log"
    log.write_text(LOG)
    async with simulated(tmp_path, ready_after=30.0, logs=SimulatedLogs(log)) as nodes:
        await place(nodes, "a")

        with pytest.raises(BadRequest, match="is waiting to start"):
            await nodes.log("a")


async def test_a_node_that_does_not_run_is_not_ready(tmp_path: Path) -> None:
    async with simulated(tmp_path) as nodes:

        async def registered() -> bool:
            node = await nodes.cluster.get(NODES, "simulated")
            return condition(node, "Ready") == "True"

        await nodes.until(registered)
        await mark_unavailable(nodes.cluster, "simulated")

        assert condition(await nodes.cluster.get(NODES, "simulated"), "Ready") == "Unknown"
        await mark_unavailable(nodes.cluster, "was-never-there")
