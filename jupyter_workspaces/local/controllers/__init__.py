"""The embedded cluster's own controllers: what a real cluster's control plane does for a workspace, written against the API alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ...cluster.client import Cluster
from ..directory import home
from .claims import Claims
from .expiry import expire_events
from .garbage import GarbageCollector
from .informers import Informers
from .namespaces import Namespaces
from .scheduler import Scheduler
from .statefulset import StatefulSets


async def run(cluster: Cluster, directory: Path | None = None) -> None:
    """Run them all until cancelled; volumes lie below `directory`. One that fails ends all, for whoever started this to begin anew."""
    informers = Informers(cluster)
    controllers = (
        StatefulSets(cluster, informers),
        Scheduler(cluster, informers),
        Claims(cluster, informers, (directory or home()) / "volumes"),
        Namespaces(cluster, informers),
        GarbageCollector(cluster, informers),
    )
    tasks = [asyncio.create_task(found.run(), name=type(found).__name__) for found in controllers]
    tasks.append(asyncio.create_task(expire_events(cluster), name="expiry of events"))
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await informers.stop()
