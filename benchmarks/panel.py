"""Time from a change in the cluster to the panel's model: API, cache, feed, client, model."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from measure import Figure, at_most, median, percentile

import jupyter_workspaces as jw
from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.demo import stop
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import from_embedded
from jupyter_workspaces.panel.model import Model
from jupyter_workspaces.resources.catalog import WORKSPACES

CHANGES = 200


async def lags(home: Path, client: jw.AsyncClient) -> tuple[list[float], list[float]]:
    """Return the milliseconds until the model shows each change, and of the write alone."""
    model, told = Model(), asyncio.Event()
    found, writes = [], []

    async def follow() -> None:
        async for event in client.stream("default"):
            if event.event == "snapshot":
                model.snapshot(event.data["workspaces"], event.data["workspaceKinds"])
            elif event.event == "workspace":
                model.workspace(event.data["type"], event.data["object"])
            told.set()

    listening = asyncio.create_task(follow())
    cluster = Cluster(from_embedded(home / "kubeconfig"))
    try:
        async with timeout(20):
            await told.wait()
        for number in range(CHANGES):
            wanted = f"change {number}"
            began = time.perf_counter()
            await cluster.patch(WORKSPACES, "bench", {"spec": {"displayName": wanted}}, "default")
            writes.append(1000 * (time.perf_counter() - began))

            async def shown(wanted: str = wanted) -> None:
                while (held := item(model)) is None or held.get("displayName") != wanted:
                    told.clear()
                    await told.wait()

            async with timeout(10):
                await shown()
            found.append(1000 * (time.perf_counter() - began))
            await asyncio.sleep(0.03)
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await cluster.close()
        await client.close()
    return found, writes


def item(model: Model) -> Any:
    return model.item("default/bench")


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / "cluster"
        os.environ["JUPYTER_WORKSPACES_HOME"] = str(home)
        client = jw.Client()
        try:
            client.spawn("jupyterlab", name="bench", size="Tiny", paused=True).wait(
                "Paused", quiet=True
            )
            found, writes = asyncio.run(lags(home, jw.AsyncClient()))
        finally:
            client.close()
            stop(home)
    reference = f"median {median(found):.0f} ms, of which the write itself {median(writes):.0f} ms"
    return [
        at_most(
            "a change in the cluster to the panel's model, p99",
            percentile(found, 0.99),
            150,
            "ms",
            reference,
        )
    ]
