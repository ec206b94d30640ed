"""Pods end with all their processes, whatever programs do and whatever fails in the node."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from node_cluster import NodeCluster, node_cluster

from jupyter_workspaces.common.supervision import Supervisor
from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.local.settings import POD_VARIABLE
from jupyter_workspaces.localkube.node import pod as pod_module
from jupyter_workspaces.localkube.node.probes import checks
from jupyter_workspaces.localkube.node.probes.checks import Check, ProbeNotPossible
from jupyter_workspaces.localkube.node.processes import trees

RUNS = int(os.environ.get("NODE_ENDS_RUNS", "40"))
AT_ONCE = 8
LIMIT_SECONDS = 60.0

WILLING = "exec sleep 300"
STUBBORN = "trap '' TERM; while :; do sleep 0.1; done"
BRIEF = "sleep 0.$(( $$ % 10 )); exit 3"
PROBE = {"tcpSocket": {"port": 8888}, "periodSeconds": 1, "failureThreshold": 1}


async def end_one(nodes: NodeCluster, number: int) -> None:
    """Create a pod, delete it at some time, and wait until it and its processes are gone."""
    name, script = f"pod{number}", (WILLING, STUBBORN, BRIEF)[number % 3]
    probes: dict[str, Any] = {"startupProbe": PROBE} if number % 2 else {"livenessProbe": PROBE}
    made = await nodes.program(name, script, container=probes, terminationGracePeriodSeconds=1)
    await asyncio.sleep(
        0.03 * (number % 40)
    )  # not to wait for something: the moment is what differs
    await nodes.delete(name)
    async with timeout(LIMIT_SECONDS):
        await nodes.gone(name)
    assert await asyncio.to_thread(trees.kill_marked, made["metadata"]["uid"], POD_VARIABLE) == 0


@pytest.mark.slow
async def test_a_deleted_pod_always_ends_with_all_its_processes(tmp_path: Path) -> None:
    async with node_cluster(tmp_path, first_pause=0.1, starts=AT_ONCE) as nodes:
        room = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> None:
            async with room:
                await end_one(nodes, number)

        await asyncio.gather(*(one(number) for number in range(RUNS)))


@pytest.mark.slow
async def test_pods_that_are_deleted_while_the_node_is_stopped_end_when_it_is_back(
    tmp_path: Path,
) -> None:
    async with node_cluster(tmp_path) as nodes:
        made = [
            await nodes.program(f"pod{number}", script)
            for number, script in enumerate((WILLING, STUBBORN))
        ]
        for number in range(2):
            await nodes.ready(f"pod{number}")
        await nodes.delete("pod0")
        await nodes.delete("pod1", grace_seconds=3)
        await nodes.stop_agent()
        assert await nodes.pod("pod1"), "nobody has confirmed its end"
        nodes.start_agent()
        for number in range(2):
            await nodes.gone(f"pod{number}")
            assert (
                await asyncio.to_thread(
                    trees.kill_marked, made[number]["metadata"]["uid"], POD_VARIABLE
                )
                == 0
            )


async def test_a_grace_that_is_shortened_ends_a_stubborn_program_soon(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        await nodes.program("stubborn", STUBBORN, terminationGracePeriodSeconds=300)
        await nodes.ready("stubborn")
        await nodes.delete("stubborn")
        began = time.monotonic()
        await nodes.delete("stubborn", grace_seconds=1)
        await nodes.gone("stubborn")
        assert time.monotonic() - began < 30


@pytest.mark.slow
async def test_a_pod_is_there_as_long_as_its_program_cannot_be_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[float] = []

    def kill(shim: Any, seconds: float = 5.0) -> bool:
        tried.append(time.monotonic())
        return kept(shim, seconds) if len(tried) > 2 else False

    kept = trees.kill
    monkeypatch.setattr(pod_module.trees, "kill", kill)
    async with node_cluster(tmp_path) as nodes:
        await nodes.program("stuck", STUBBORN, terminationGracePeriodSeconds=1)
        await nodes.ready("stuck")
        await nodes.delete("stuck")
        await nodes.until(lambda: _said(len(tried) >= 2), "two tries")
        assert await nodes.pod("stuck")
        await nodes.gone("stuck")
        assert len(tried) >= 3
        assert await nodes.events("FailedKillPod")


async def _said(truth: bool) -> bool:
    return truth


async def test_an_error_of_ours_at_a_pods_end_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def kill_lost(files: Any, variable: str) -> None:
        tried.append(str(files.path))
        if len(tried) == 1:
            raise ZeroDivisionError
        kept(files, variable)

    kept = trees.kill_lost
    async with node_cluster(tmp_path) as nodes:
        await nodes.program("one", WILLING)
        await nodes.ready("one")
        monkeypatch.setattr(pod_module.trees, "kill_lost", kill_lost)
        await nodes.delete("one")
        await nodes.gone("one")
        assert len(tried) == 2


async def test_an_error_of_ours_in_a_pods_status_is_told_by_its_health_and_does_not_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = True

    def build(*args: Any, **named: Any) -> Any:
        if broken:
            raise ZeroDivisionError
        return kept(*args, **named)

    kept = pod_module.status.build
    monkeypatch.setattr(pod_module.status, "build", build)
    health = Supervisor()
    async with node_cluster(tmp_path, within=health) as nodes:
        await nodes.program("one", WILLING)
        await nodes.until(lambda: _said("ZeroDivisionError" in (health.problem or "")), "a problem")
        broken = False
        await nodes.ready("one")


# Probes


@pytest.mark.slow
@pytest.mark.parametrize("probe", ["livenessProbe", "startupProbe", "readinessProbe"])
async def test_an_error_of_ours_in_a_probe_never_ends_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, probe: str
) -> None:
    asked = 0

    async def attempt(session: Any, check: Any) -> str | None:
        nonlocal asked
        asked += 1
        if asked <= 3:
            raise ZeroDivisionError
        return None

    monkeypatch.setattr(checks, "attempt", attempt)
    async with node_cluster(tmp_path) as nodes:
        await nodes.program("one", WILLING, container={probe: PROBE})
        await nodes.until(lambda: _said(asked > 3), "the probe to be made again")
        pod = await nodes.ready("one")
        assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
        assert not await nodes.events("Killing")


async def test_a_connection_that_this_computer_refuses_says_nothing_about_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def open_connection(host: str, port: int) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(checks, "open_connection", open_connection)
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ProbeNotPossible, match="EMFILE"):
            await checks.attempt(session, Check("127.0.0.1", 9))


async def test_a_timeout_that_passed_while_our_loop_stood_still_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = iter(("no answer within 0.1 s", None))

    async def attempt(session: Any, check: Any) -> str | None:
        if (answer := next(answers)) is not None:
            time.sleep(check.timeout + checks.LATE_SECONDS + 0.05)  # noqa: ASYNC251 - blocks the loop
        return answer

    monkeypatch.setattr(checks, "attempt", attempt)
    turns: asyncio.Queue[tuple[bool, str]] = asyncio.Queue()
    check = Check("127.0.0.1", 9, period=0.1, timeout=0.1, failures=1)
    async with aiohttp.ClientSession() as session:
        task = asyncio.create_task(
            checks.watch(session, check, lambda good, problem: turns.put_nowait((good, problem)))
        )
        async with timeout(10):
            assert await turns.get() == (True, "")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("turns", range(8))
async def test_a_startup_probe_that_is_decided_while_it_is_cancelled_loses_no_cancellation(
    monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    answer = asyncio.get_running_loop().create_future()

    async def attempt(session: Any, check: Any) -> str | None:
        return await answer  # type: ignore[no-any-return]

    monkeypatch.setattr(checks, "attempt", attempt)
    async with aiohttp.ClientSession() as session:

        async def container() -> str:
            await checks.succeeded(session, Check("127.0.0.1", 9))
            await asyncio.sleep(60)
            return "went on"

        task = asyncio.create_task(container())
        for _ in range(5):
            await asyncio.sleep(0)
        answer.set_result(None)
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=5)
        task.cancel()
        assert done, "the cancellation was lost"
        assert task.cancelled()


# What has run


async def test_the_log_and_the_state_of_a_container_between_two_runs_are_those_of_the_last(
    tmp_path: Path,
) -> None:
    async with node_cluster(tmp_path, first_pause=60.0) as nodes:
        await nodes.program(
            "crashing",
            f"echo run $(ls {tmp_path}/count* | wc -l); touch {tmp_path}/count$$; exit 3",
        )
        await nodes.state("crashing", "waiting", "CrashLoopBackOff")
        ended = await nodes.state("crashing", "terminated", last=True)
        assert ended["containerID"].endswith("/2"), "the first is started again at once"
        assert await nodes.log("crashing") == "run 1\n"
        assert await nodes.log("crashing", previous="true") == "run 1\n"


async def test_a_container_that_runs_again_keeps_the_state_and_the_log_of_the_run_before(
    tmp_path: Path,
) -> None:
    async with node_cluster(tmp_path, first_pause=0.1) as nodes:
        await nodes.program(
            "twice",
            f"if [ -e {tmp_path}/been ]; then echo second; exec sleep 60; fi; "
            f"touch {tmp_path}/been; echo first; exit 4",
        )
        await nodes.says("twice", "second")
        pod = await nodes.ready("twice")
        found = pod["status"]["containerStatuses"][0]
        assert found["state"].keys() == {"running"}
        assert (
            found["containerID"][-2:],
            found["lastState"]["terminated"]["containerID"][-2:],
        ) == ("/2", "/1")
        assert await nodes.log("twice", previous="true") == "first\n"


async def test_a_container_that_ended_for_good_keeps_the_state_and_the_log_of_the_run_before(
    tmp_path: Path,
) -> None:
    async with node_cluster(tmp_path, first_pause=0.1) as nodes:
        script = (
            f"if [ -e {tmp_path}/been ]; then echo second; exit 0; fi; "
            f"touch {tmp_path}/been; echo first; exit 4"
        )
        await nodes.program("twice", script, restartPolicy="OnFailure")
        await nodes.until(lambda: _phase(nodes, "twice", "Succeeded"), "the end")
        found = (await nodes.pod("twice"))["status"]["containerStatuses"][0]
        assert found["state"]["terminated"]["exitCode"] == 0
        assert found["lastState"]["terminated"]["exitCode"] == 4
        assert await nodes.log("twice") == "second\n"
        assert await nodes.log("twice", previous="true") == "first\n"


async def _phase(nodes: NodeCluster, name: str, phase: str) -> bool:
    return bool((await nodes.pod(name))["status"].get("phase") == phase)
