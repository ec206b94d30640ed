"""What the pods and containers of a node share, and a pod as its containers see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp

from jupyter_workspaces.common.supervision import Supervisor
from jupyter_workspaces.kube.client import Cluster

from .preparation import Host
from .processes.limits import NodeMetrics
from .records import PodFiles, PodRecord
from .start_limit import StartLimit

FIRST_PAUSE, LONGEST_PAUSE = 10.0, 300.0
"""Shortest and longest backoff before a container is started again, in seconds."""

GRACE_SECONDS = 30
"""Time to stop for pods that do not set `terminationGracePeriodSeconds`."""


@dataclass
class NodeContext:
    """What all pods of a node share.

    Attributes:
        cluster: Client of the API server.
        host: What this computer offers to pods.
        start_limit: Limits how many programs start at the same time.
        metrics: Measures what containers use.
        session: HTTP client of probes and hooks.
        tasks: Supervisor of the node's tasks.
        first_pause: Shortest backoff of containers, in seconds.
    """

    cluster: Cluster
    host: Host
    start_limit: StartLimit
    metrics: NodeMetrics
    session: aiohttp.ClientSession
    tasks: Supervisor
    first_pause: float = FIRST_PAUSE


class Owner(Protocol):
    """A pod, as its containers see it."""

    pod: Mapping[str, Any]
    record: PodRecord
    files: PodFiles

    async def replace_taken_ports(self, ports: Sequence[int]) -> None:
        """Choose other ports for container ports at which other programs listen by now."""

    def status_changed(self) -> None:
        """Write the status of the pod soon."""

    def record_event(self, type: str, reason: str, message: str) -> None:
        """Record an event of the pod, of type `Normal` or `Warning`."""
