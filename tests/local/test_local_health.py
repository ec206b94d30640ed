"""A part of the local cluster that fails is restarted and reported by the cluster's readiness."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from small_cluster import small_cluster
from waiting import until

from jupyter_workspaces.kube.catalog import CONFIG_MAPS
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.local import launch, process
from jupyter_workspaces.localkube import controllers
from jupyter_workspaces.localkube.controllers import GarbageCollector
from jupyter_workspaces.localkube.directory import Directory

LIMIT_SECONDS = 20.0


async def test_readyz_and_the_status_name_the_part_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = True

    async def part() -> None:
        if broken:
            raise ZeroDivisionError
        await asyncio.sleep(3600)

    monkeypatch.setattr(process, "_stop_signal", asyncio.Event)
    monkeypatch.setattr(process, "_components", lambda *args: [("odd part", part)])
    urls: list[str] = []
    running = asyncio.create_task(process.run(Directory(tmp_path), ready=urls.append))
    try:
        await until(lambda: _true(bool(urls) or running.done()), "a cluster", LIMIT_SECONDS)

        async def problem() -> str | None:
            return await asyncio.to_thread(launch._problem, Directory(tmp_path))

        assert "odd part fails" in str(await until(problem, "a problem", LIMIT_SECONDS))
        broken = False
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _true(found: bool) -> bool:
    return found


async def test_a_built_in_controller_that_fails_is_made_anew_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []

    class Odd(GarbageCollector):
        def __init__(self, *args: Any) -> None:
            made.append(self)
            super().__init__(*args)

        async def run(self) -> None:
            if len(made) == 1:
                raise ZeroDivisionError
            await super().run()

    monkeypatch.setattr(controllers, "GarbageCollector", Odd)
    async with small_cluster(tmp_path) as small:
        await until(lambda: _true(len(made) == 2), "another garbage collector", LIMIT_SECONDS)
        owner = await small.cluster.create(CONFIG_MAPS, config_map("owner"), "default")
        reference = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": "owner",
            "uid": owner["metadata"]["uid"],
        }
        await small.cluster.create(
            CONFIG_MAPS, config_map("owned", ownerReferences=[reference]), "default"
        )
        await small.cluster.delete(CONFIG_MAPS, "owner", "default")
        await until(
            lambda: gone(small.cluster, "owned"), "what was owned to be gone", LIMIT_SECONDS
        )


def config_map(name: str, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}


async def gone(cluster: Cluster, name: str) -> bool:
    return all(
        held["metadata"]["name"] != name
        for held in (await cluster.list(CONFIG_MAPS, "default")).items
    )
