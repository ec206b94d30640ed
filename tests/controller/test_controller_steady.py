"""Number of writes after a restart of the controller and with many workspaces."""

from __future__ import annotations

import asyncio
import time

import pytest
from played_cluster import Play

from jupyter_workspaces.kube.catalog import PODS
from jupyter_workspaces.kube.event_recorder import record


async def test_a_restarted_controller_writes_only_what_changed_meanwhile(
    play: Play,
) -> None:
    async with play() as played:
        await played.make()
        await played.run_pod()
        await played.make("emil", paused=True)
        await played.state("Running")
        await played.state("Paused", "emil")
        await played.kinds_counted()
        await asyncio.sleep(0.3)
        await played.stop_controller()
        before = played.counted.writes
        await played.change("emil", {"paused": False})
        played.start_controller()
        await played.run_pod("emil")
        await played.state("Running", "emil")
        asked = {key: count for key, count in played.counted.asked.items() if key[0] != "list"}
        assert played.counted.writes - before <= 7, asked
        assert len(await played.owned(PODS)) == 1


@pytest.mark.slow
async def test_many_workspaces_start_with_few_writes_each(play: Play) -> None:
    crowd = 30
    async with play() as played:
        await played.kinds_counted()
        before = played.counted.writes
        began = time.monotonic()
        names = [f"w{number}" for number in range(crowd)]
        await asyncio.gather(
            *(played.make(name, kind="rstudio", image="rstudio_tidyverse_190") for name in names)
        )
        await asyncio.gather(*(played.run_pod(name) for name in names))
        await asyncio.gather(*(played.state("Running", name) for name in names))
        assert played.counted.writes - before <= 12 * crowd
        assert time.monotonic() - began < 15


@pytest.mark.slow
async def test_warnings_of_an_earlier_start_are_ignored(play: Play) -> None:
    async with play() as played:
        await played.make(paused=True)
        await played.state("Paused")
        held = await played.stateful_set()
        await record(played.cluster, held, "Warning", "FailedCreate", "a quota that was in the way")
        await asyncio.sleep(
            2.1
        )  # an event's time has whole seconds; this one must lie before the start
        await played.stop_built_in()
        await played.change("dora", {"paused": False})
        await played.state("Pending", message="Waiting for its pod")
        await asyncio.sleep(4)
        assert "quota" not in (await played.status())["stateMessage"]
        await record(
            played.cluster,
            await played.stateful_set(),
            "Warning",
            "FailedCreate",
            "a quota that is in the way",
        )
        await played.state("Pending", message="a quota that is in the way")
