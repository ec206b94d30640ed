"""Pods outlive the node: the next node finds, supervises and stops them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
from node_cluster import TOKEN, NodeCluster, node_cluster

from jupyter_workspaces.kube.catalog import PODS
from jupyter_workspaces.kube.reflector import Reflector
from jupyter_workspaces.local.settings import POD_VARIABLE
from jupyter_workspaces.localkube.node import stop_pods

ROOT = Path(__file__).resolve().parents[3]


@asynccontextmanager
async def agent_process(nodes: NodeCluster) -> AsyncIterator[subprocess.Popen[bytes]]:
    """The node as a process, killed without warning at the end."""
    script = str(Path(__file__).with_name("agent_process.py"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, script, nodes.url, TOKEN, str(nodes.directory)], env=environment
    )
    try:
        yield process
    finally:
        process.kill()
        await asyncio.to_thread(process.wait, 10)


async def test_a_pod_lives_on_when_its_node_is_killed_and_is_adopted_by_the_next(
    tmp_path: Path,
) -> None:
    async with node_cluster(tmp_path, agent=False) as nodes:
        async with agent_process(nodes):
            await nodes.program(
                "lasting",
                f"echo $$$$ > {tmp_path}/pid; "
                "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.1; done",
            )
            before = await nodes.ready("lasting")
            await nodes.says("lasting", "line 2\n")
        program = psutil.Process(int((tmp_path / "pid").read_text()))
        seen = len((await nodes.log("lasting")).splitlines())

        await nodes.says("lasting", f"line {seen + 3}\n")
        nodes.start_agent()
        await nodes.until(lambda: watched(nodes))
        after = await nodes.ready("lasting")

        assert program.is_running()
        assert after["status"]["podIP"] == before["status"]["podIP"]
        assert after["status"]["containerStatuses"] == before["status"]["containerStatuses"]

        await nodes.delete("lasting", grace_seconds=1)
        await nodes.gone("lasting")
        assert not program.is_running() or program.status() == psutil.STATUS_ZOMBIE


async def test_being_adopted_is_not_seen_from_outside(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        container = {
            "readinessProbe": {
                "tcpSocket": {"port": 8080},
                "periodSeconds": 1,
                "initialDelaySeconds": 1,
            }
        }
        container |= {
            "env": [{"name": "ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
        }
        await nodes.program(
            "web",
            f"cd {tmp_path}; exec {sys.executable} -m http.server --bind $ADDRESS 8080",
            container=container,
        )
        before = await nodes.ready("web")
        await nodes.stop_agent()
        seen: list[dict[str, Any]] = []
        pods = Reflector(nodes.cluster, PODS)
        pods.listen(lambda change, pod, previous: seen.append(pod["status"]))
        pods.start()

        nodes.start_agent()
        await nodes.until(lambda: watched(nodes))
        await nodes.program("marker", "exec sleep 60")
        await nodes.ready("marker")
        await pods.stop()

        assert [status for status in seen if status.get("podIP") == before["status"]["podIP"]] == [
            before["status"]
        ]


async def watched(nodes: NodeCluster) -> bool:
    return nodes.agent is not None and bool(nodes.agent.metrics.processes())


async def test_an_exit_while_no_node_ran_is_known_afterwards(tmp_path: Path) -> None:
    async with node_cluster(tmp_path, agent=False) as nodes:
        async with agent_process(nodes):
            await nodes.program(
                "ending", f"echo up; while ! test -e {tmp_path}/end; do sleep 0.05; done; exit 42"
            )
            await nodes.ready("ending")
        (tmp_path / "end").touch()
        await nodes.until(lambda: exit_written(tmp_path))
        (tmp_path / "end").unlink()

        nodes.start_agent()
        ended = await nodes.state("ending", "terminated", "Error", last=True)

        assert ended["exitCode"] == 42
        assert (await nodes.state("ending", "running"))["restartCount"] == 1


async def exit_written(directory: Path) -> bool:
    return bool(list(directory.glob("pods/*/containers/main/1.exit.json")))


async def test_pods_deleted_while_no_node_ran_are_ended_by_the_next(tmp_path: Path) -> None:
    async with node_cluster(tmp_path, agent=False) as nodes:
        async with agent_process(nodes):
            await nodes.program("orphan", f"echo $$$$ > {tmp_path}/pid; exec sleep 300")
            await nodes.ready("orphan")
        program = psutil.Process(int((tmp_path / "pid").read_text()))
        await nodes.delete("orphan", grace_seconds=0)

        nodes.start_agent()

        async def ended() -> bool:
            return not program.is_running() or program.status() == psutil.STATUS_ZOMBIE

        await nodes.until(ended)
        await nodes.until(lambda: nothing_left(tmp_path))


async def nothing_left(directory: Path) -> bool:
    return not list((directory / "pods").iterdir())


async def test_a_supervisor_that_is_killed_takes_its_program_with_it_and_the_pod_starts_again(
    tmp_path: Path,
) -> None:
    async with node_cluster(tmp_path) as nodes:
        await nodes.program(
            "robbed", f"setsid sleep 300 & echo $! > {tmp_path}/child; exec sleep 300"
        )
        await nodes.ready("robbed")
        child = psutil.Process(int((tmp_path / "child").read_text()))
        record = json.loads(next(tmp_path.glob("pods/*/record.json")).read_text())

        os.kill(record["containers"]["main"]["pid"], signal.SIGKILL)
        ended = await nodes.state("robbed", "terminated", "Error", last=True)
        await nodes.ready("robbed")

        assert ended["exitCode"] == 137
        assert "supervising process was killed" in ended["message"]
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


async def test_all_pods_of_a_directory_can_be_stopped_without_a_node(tmp_path: Path) -> None:
    async with node_cluster(tmp_path, agent=False) as nodes:
        async with agent_process(nodes):
            await nodes.program("one", f"echo $$$$ > {tmp_path}/pid; exec sleep 300")
            await nodes.ready("one")
        program = psutil.Process(int((tmp_path / "pid").read_text()))

        await asyncio.to_thread(stop_pods, tmp_path, POD_VARIABLE)

        assert not program.is_running() or program.status() == psutil.STATUS_ZOMBIE


async def test_a_record_whose_pid_is_somebody_elses_now_harms_nobody(tmp_path: Path) -> None:
    bystander = subprocess.Popen(["sleep", "300"])
    try:
        async with node_cluster(tmp_path) as nodes:
            await nodes.program("old", "exec sleep 300")
            await nodes.ready("old")
            await nodes.stop_agent()
            await asyncio.to_thread(stop_pods, tmp_path, POD_VARIABLE)
            path = next(tmp_path.glob("pods/*/record.json"))
            record = json.loads(path.read_text())
            record["containers"]["main"] |= {"pid": bystander.pid, "birth": "another boot 1"}
            path.write_text(json.dumps(record))

            await asyncio.to_thread(stop_pods, tmp_path, POD_VARIABLE)
            nodes.start_agent()
            await nodes.state("old", "running")

            assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
