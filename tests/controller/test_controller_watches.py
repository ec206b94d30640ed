"""Watches: a frozen API server is noticed, and `/readyz` names a watch that fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from failing_api import SCALE, VISIBLE_AFTER_HANG_SECONDS, faster, short_limits
from flaky_api import FlakyApi, flaky_api
from played_cluster import PlayedCluster, played_cluster

from jupyter_workspaces import controller
from jupyter_workspaces.common.supervision import Supervisor
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import Endpoint

__all__ = ["short_limits"]

TIMES = replace(faster(), first_watch=290, longest_watch=290)
"""A watch does not end by its own time limit within a test."""


@asynccontextmanager
async def controlled(played: PlayedCluster, tasks: Supervisor) -> AsyncIterator[FlakyApi]:
    """Run the Workspace controller behind an API server that fails on demand."""
    await played.stop_controller()
    endpoint = played.cluster.endpoint
    async with (
        flaky_api(endpoint) as api,
        Cluster(Endpoint(api.url, "test", None, endpoint.token)) as behind,
    ):
        tasks.start("workspace controller", lambda: controller.run(behind, within=tasks))
        try:
            yield api
        finally:
            await tasks.stop()


@pytest.fixture
def quick_watches(monkeypatch: pytest.MonkeyPatch, short_limits: None) -> None:
    for module in ("reflector", "cluster_check"):
        monkeypatch.setattr(f"jupyter_workspaces.kube.{module}.Times", lambda: TIMES)


@pytest.mark.usefixtures("quick_watches")
async def test_a_workspace_created_after_a_frozen_api_server_is_reconciled(tmp_path: Path) -> None:
    async with played_cluster(tmp_path) as played, controlled(played, Supervisor()) as api:
        await played.make("before", paused=True)
        await played.state("Paused", "before")
        api.reset()
        api.fail("freeze")

        async def noticed() -> bool:
            return api.asked["version"] > 1

        await played.until(noticed, "the check of the cluster to be repeated")
        api.fail("ok")
        healthy = asyncio.get_running_loop().time()
        await played.make("after", paused=True)
        await played.state("Paused", "after")
        assert (
            asyncio.get_running_loop().time() - healthy < VISIBLE_AFTER_HANG_SECONDS / SCALE + 1.0
        )  # a second for a busy machine


@pytest.mark.usefixtures("quick_watches")
async def test_readiness_names_each_watch_that_fails_until_it_works_again(tmp_path: Path) -> None:
    tasks = Supervisor()
    async with played_cluster(tmp_path) as played, controlled(played, tasks) as api:
        await played.make("before", paused=True)
        await played.state("Paused", "before")
        assert tasks.problem is None
        api.fail("html")

        async def named() -> bool:
            return all(
                f"{plural} fails" in (tasks.problem or "")
                for plural in ("pods", "workspaces", "statefulsets")
            )

        async def works() -> bool:
            return tasks.problem is None

        await played.until(named, "the watches to be named")
        api.fail("ok")
        await played.until(works, "the watches to work again")
