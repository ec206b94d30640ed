"""A Workspace from its creation to its deletion; the test writes the status of its pod."""

from __future__ import annotations

import asyncio

import pytest
from played_cluster import Play

from jupyter_workspaces.kube.catalog import (
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    STATEFUL_SETS,
)


async def test_a_workspace_gets_its_objects_runs_pauses_and_resumes(play: Play) -> None:
    async with play() as played:
        await played.kinds_counted()
        before = played.counted.writes
        await played.make()
        pod = await played.run_pod()
        status = await played.state("Running")

        assert status["podTemplatePod"]["name"] == pod["metadata"]["name"]
        assert status["lastRunningTime"] > 1_600_000_000_000
        assert set(status) == {
            "activity",
            "lastRunningTime",
            "pauseTime",
            "pendingRestart",
            "podTemplateOptions",
            "podTemplatePod",
            "state",
            "stateMessage",
        }
        for resource in (SERVICE_ACCOUNTS, SERVICES, STATEFUL_SETS, SECRETS):
            assert len(await played.owned(resource)) == 1, resource
        assert played.counted.writes - before <= 12, played.counted.asked

        await played.change("dora", {"paused": True})
        await played.end_pods()
        status = await played.state("Paused")
        assert status["pauseTime"] > 1_600_000_000_000
        assert status["podTemplatePod"]["name"] == ""

        await played.change("dora", {"paused": False})
        await played.state("Pending")
        await played.run_pod()
        status = await played.state("Running")
        assert status["pauseTime"] == 0
        assert len(await played.owned(SECRETS)) == 1


@pytest.mark.slow
async def test_an_idle_cluster_gets_no_requests(play: Play) -> None:
    async with play() as played:
        await played.make(
            "quiet",
            kind="rstudio",
            podTemplate={
                "volumes": {},
                "options": {"imageConfig": "rstudio_tidyverse_190", "podConfig": "tiny_cpu"},
            },
        )
        await played.run_pod("quiet")
        await played.state("Running", "quiet")
        await asyncio.sleep(4)  # longer than the controller's patience with a missing pod
        before = played.counted.asked.copy()
        await asyncio.sleep(2)
        assert played.counted.asked == before
