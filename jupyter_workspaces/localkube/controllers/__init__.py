"""The built-in controllers of the local cluster.

They do what a real cluster's control plane does: pods of StatefulSets, scheduling, volumes of
claims, namespaces, garbage collection, aggregated roles, tokens and certificates. Each is a client
of the API server and works with any Kubernetes API.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from jupyter_workspaces.common.supervision import Supervisor
from jupyter_workspaces.kube.client import Cluster

from .account_tokens import AccountTokens, Signing
from .aggregation import AggregatedRoles
from .claims import Claims
from .expiry import expire_events
from .garbage_collection import GarbageCollector
from .informers import Informers
from .namespaces import Namespaces
from .root_certificate import RootCertificates
from .scheduler import Scheduler
from .stateful_sets import StatefulSets

log = logging.getLogger(__name__)

__all__ = ["Signing", "run"]


class Controller(Protocol):
    """What `run` starts and supervises."""

    async def run(self) -> None:
        """Run until cancelled."""


async def run(
    cluster: Cluster,
    directory: Path,
    provisioner: str,
    signing: Signing | None = None,
    within: Supervisor | None = None,
) -> None:
    """Run all controllers until cancelled; one that fails is created and started again.

    Args:
        cluster: Client of the API server.
        directory: The cluster's directory; volumes are folders in `volumes` below it.
        provisioner: Provisioner of the storage classes whose volumes these controllers create.
        signing: Signs service account tokens. Without it, no account gets a token and no namespace
            the authority's certificate.
        within: The supervisor whose health includes that of the controllers.
    """
    informers = Informers(cluster)
    factories: dict[str, Callable[[], Controller]] = {
        "StatefulSets": lambda: StatefulSets(cluster, informers),
        "scheduler": lambda: Scheduler(cluster, informers),
        "claims": lambda: Claims(cluster, informers, directory / "volumes", provisioner),
        "namespaces": lambda: Namespaces(cluster, informers),
        "garbage collector": lambda: GarbageCollector(cluster, informers),
        "aggregated roles": lambda: AggregatedRoles(cluster, informers),
    }
    if signing is not None:
        factories["account tokens"] = lambda: AccountTokens(cluster, informers, signing)
        factories["root certificates"] = lambda: RootCertificates(
            cluster, informers, signing.authority
        )
    tasks = Supervisor(log, within=within)
    tasks.include(lambda: informers.health)
    try:
        for name, factory in factories.items():
            tasks.start(name, partial(_run_new, factory))
        tasks.start("expiry of events", partial(expire_events, cluster))
        await asyncio.Event().wait()  # until cancelled
    finally:
        await tasks.stop()
        await informers.stop()


async def _run_new(factory: Callable[[], Controller]) -> None:
    """Run a new controller: one that failed cannot run again, because its queue has ended."""
    await factory().run()
