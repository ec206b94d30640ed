"""The embedded cluster's own controllers: what a real cluster's control plane does for a workspace, written against the API alone."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from ...cluster.client import Cluster
from ..directory import home
from .account_tokens import AccountTokens, Signing
from .aggregation import AggregatedRoles
from .claims import Claims
from .expiry import expire_events
from .garbage import GarbageCollector
from .informers import Informers
from .namespaces import Namespaces
from .root_certificate import RootCertificates
from .scheduler import Scheduler
from .statefulset import StatefulSets

__all__ = ["Signing", "run"]


class Controller(Protocol):
    """One of them, until cancelled."""

    async def run(self) -> None: ...


async def run(cluster: Cluster, directory: Path | None = None, signing: Signing | None = None) -> None:
    """Run them all until cancelled; volumes lie below `directory`. Without `signing` nobody gets tokens or the authority's certificate.

    One that fails ends all, for whoever started this to begin anew.
    """
    informers = Informers(cluster)
    controllers: list[Controller] = [
        StatefulSets(cluster, informers),
        Scheduler(cluster, informers),
        Claims(cluster, informers, (directory or home()) / "volumes"),
        Namespaces(cluster, informers),
        GarbageCollector(cluster, informers),
        AggregatedRoles(cluster, informers),
    ]
    if signing is not None:
        controllers += [AccountTokens(cluster, informers, signing), RootCertificates(cluster, informers, signing.authority)]
    tasks = [asyncio.create_task(found.run(), name=type(found).__name__) for found in controllers]
    tasks.append(asyncio.create_task(expire_events(cluster), name="expiry of events"))
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await informers.stop()
