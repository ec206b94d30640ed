"""Processes cannot outlive their pod: in new sessions, without environment or supervisor."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from node_cluster import NodeCluster, node_cluster

from jupyter_workspaces.local.settings import POD_VARIABLE, node_settings
from jupyter_workspaces.localkube.node import PodAccess
from jupyter_workspaces.localkube.node.processes import cgroups
from jupyter_workspaces.localkube.node.processes.trees import shims, stop_pods
from jupyter_workspaces.localkube.node.records import all_pods

SETTINGS = node_settings()

RUNNER = """
import os, time
begun = time.monotonic()
while time.monotonic() - begun < 60:  # each time as another process
    if os.fork():
        os._exit(0)
    os.setsid()
    with open(__file__ + ".steps", "a") as steps:
        steps.write(".")
    time.sleep(0.001)
"""

pytestmark = pytest.mark.skipif(
    cgroups.parent(SETTINGS.cgroup_prefix) is None,
    reason="there is no control group (v2) in which this user may make others",
)


@pytest.fixture
def word() -> Iterator[str]:
    """An argument by which escaped processes are found; none is left after the test."""
    found = f"escapes-{uuid.uuid4()}"
    yield found
    for process in running(found):
        process.kill()


def running(word: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if word in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


async def started(
    nodes: NodeCluster, word: str, script: str = "import time; time.sleep(600)"
) -> str:
    """The uid of a pod whose program has started another that hides from it."""
    (nodes.directory / "escape.py").write_text(script)
    hidden = f"env -i setsid {sys.executable} -I -S {nodes.directory}/escape.py {word} &"
    await nodes.program("one", f"({hidden}) ; exec sleep 600")
    uid: str = (await nodes.ready("one"))["metadata"]["uid"]
    assert groups(uid)

    async def runs() -> bool:
        return (nodes.directory / "escape.py.steps").exists() or bool(
            await asyncio.to_thread(running, word)
        )

    await nodes.until(runs, "the hidden program to run")
    return uid


async def nothing_left(nodes: NodeCluster, word: str) -> None:
    async def is_over() -> bool:
        return not await asyncio.to_thread(running, word)

    await nodes.until(is_over, "the end of the hidden program")


async def test_what_hides_ends_with_the_pod(tmp_path: Path, word: str) -> None:
    async with node_cluster(tmp_path) as nodes:
        uid = await started(nodes, word)

        await nodes.delete("one", grace_seconds=1)
        await nodes.gone("one")

        assert running(word) == []
        assert groups(uid) == []


async def test_what_runs_away_ends_with_the_pod(tmp_path: Path, word: str) -> None:
    async with node_cluster(tmp_path) as nodes:
        uid = await started(nodes, word, RUNNER)

        await nodes.delete("one", grace_seconds=1)
        await nodes.gone("one")

        steps = (tmp_path / "escape.py.steps").stat().st_size
        await asyncio.sleep(0.5)  # hundreds of steps, if it still runs
        assert (tmp_path / "escape.py.steps").stat().st_size == steps
        assert groups(uid) == []


async def test_what_hides_ends_when_its_supervisor_is_killed(tmp_path: Path, word: str) -> None:
    async with node_cluster(tmp_path) as nodes:
        await started(nodes, word)
        before = {process.pid for process in running(word)}
        (shim,) = [shim for files in all_pods(tmp_path) for shim in shims(files)]

        shim.kill()
        await nodes.state("one", "terminated", last=True)

        assert not before & {process.pid for process in running(word)}


async def test_what_hides_ends_when_all_pods_are_stopped_after_their_supervisor(
    tmp_path: Path, word: str
) -> None:
    async with node_cluster(tmp_path) as nodes:
        uid = await started(nodes, word)
        await nodes.stop_agent()
        (shim,) = [shim for files in all_pods(tmp_path) for shim in shims(files)]
        shim.kill()

        await asyncio.to_thread(stop_pods, tmp_path, POD_VARIABLE)

        assert running(word) == []
        assert groups(uid) == []


async def test_a_pod_deleted_while_no_node_ran_leaves_nothing(tmp_path: Path, word: str) -> None:
    async with node_cluster(tmp_path) as nodes:
        await started(nodes, word)
        await nodes.stop_agent()
        (shim,) = [shim for files in all_pods(tmp_path) for shim in shims(files)]
        shim.kill()
        await nodes.delete("one", grace_seconds=0)

        nodes.start_agent()

        await nothing_left(nodes, word)


async def test_a_command_that_hides_ends_with_the_pod(tmp_path: Path, word: str) -> None:
    async with node_cluster(tmp_path) as nodes:
        await nodes.program("one", "exec sleep 600")
        pod = await nodes.ready("one")
        program = f"{sys.executable} -I -S -c 'import time; time.sleep(600)' {word}"
        running_command = await PodAccess(tmp_path).execute(
            pod, "main", ["/bin/sh", "-c", f"env -i setsid {program}"], tty=False, stdin=False
        )

        async def runs() -> bool:
            return bool(await asyncio.to_thread(running, word))

        await nodes.until(runs, "the command to run")
        running_command._process.kill()  # who would end it
        await running_command._process.wait()
        await nodes.delete("one", grace_seconds=1)
        await nodes.gone("one")

        assert running(word) == []
        await running_command.stop()


def groups(uid: str) -> list[str]:
    """Control groups of a pod."""
    parent = cgroups.parent(SETTINGS.cgroup_prefix)
    assert parent is not None
    return [found.name for found in parent.glob(f"{SETTINGS.cgroup_prefix}{uid}-*")]
