"""Limits of CPU, memory and simultaneous starts."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from node_cluster import node_cluster

from jupyter_workspaces.localkube.node.processes import limits
from jupyter_workspaces.localkube.node.start_limit import StartLimit


def asking(**resources: dict[str, str]) -> dict[str, Any]:
    return {"name": "main", "resources": resources}


@pytest.mark.parametrize(
    ("cpu", "nice"), [("4", 0), ("1", 0), ("500m", 3), ("250m", 6), ("100m", 10), ("1m", 10)]
)
def test_the_less_cpu_is_asked_for_the_nicer_a_container_is(cpu: str, nice: int) -> None:
    assert limits.niceness(asking(requests={"cpu": cpu})) == nice


def test_without_a_request_a_container_competes_like_any_program() -> None:
    assert limits.niceness({"name": "main"}) == 0


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="there is only one core",
)
def test_a_cpu_limit_binds_to_cores_and_spreads() -> None:
    available = os.sched_getaffinity(0)

    first = limits.cores(asking(limits={"cpu": "1"}), [])

    assert first is not None
    assert len(first) == 1
    assert set(first) <= available
    assert limits.cores(asking(limits={"cpu": str(len(available))}), []) is None


def test_a_memory_limit_that_cannot_be_read_is_none() -> None:
    assert limits.memory_limit(asking(limits={"memory": "much"})) is None
    assert limits.memory_limit(asking(limits={"memory": "1Gi"})) == 2**30


@pytest.mark.slow
async def test_a_container_gets_its_share_once_it_is_ready(tmp_path: Path) -> None:
    async with node_cluster(tmp_path, scan_seconds=0.1) as nodes:
        resources = {"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}}
        await nodes.program(
            "small",
            f"echo $$$$ > {tmp_path}/pid; exec sleep 60",
            container={"resources": resources},
        )
        await nodes.ready("small")
        program = psutil.Process(int((tmp_path / "pid").read_text()))

        async def nice() -> bool:
            return program.nice() == 10

        assert await nodes.until(nice)
        if sys.platform.startswith("linux"):
            assert len(program.cpu_affinity()) == 1


async def test_slots_are_given_in_order_and_once() -> None:
    import asyncio

    room = StartLimit(1)
    first = await room.enter()
    order: list[str] = []

    async def enter(name: str) -> None:
        slot = await room.enter()
        order.append(name)
        slot.release()
        slot.release()

    waiting = [asyncio.create_task(enter(name)) for name in ("second", "third", "fourth")]
    await asyncio.sleep(0)
    assert len(room) == 3
    waiting[1].cancel()
    await asyncio.gather(waiting[1], return_exceptions=True)

    first.release()
    await asyncio.gather(waiting[0], waiting[2])

    assert order == ["second", "fourth"]
    assert not room.full
