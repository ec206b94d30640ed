"""Finds out from events why a workspace has no pod, or why its pod does not start.

The status of a StatefulSet does not say why its pod cannot be created, and that of a pod does not
say why its volumes cannot be mounted; only events do. To ask for events rarely, `PodEvents` does so
only for a workspace that has waited for `PATIENCE_SECONDS`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from jupyter_workspaces.common.timestamps import milliseconds
from jupyter_workspaces.kube.catalog import EVENTS
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.reflector import Key
from jupyter_workspaces.kube.types import ObjectView
from jupyter_workspaces.resources.views import PodView

from . import states

PATIENCE_SECONDS = 3.0
"""Time that a pod may take to appear or to start before events are evaluated."""

MOUNT_REASONS = ("FailedMount", "FailedAttachVolume")
MOUNT_EVENT_MS = 150_000
"""Age up to which an event about a mount counts: the kubelet repeats it every 2 minutes."""

_EVENT_PRECISION_MS = 1000


class PodEvents:
    """Evaluates events, and remembers since when each workspace has waited for its pod."""

    def __init__(self, cluster: Cluster) -> None:
        """Use `cluster` to list events."""
        self._cluster = cluster
        self._waiting_since: dict[Key, float] = {}

    def waiting_since(self, key: Key) -> float | None:
        """Return when a workspace began to wait, on the monotonic clock; None if it does not."""
        return self._waiting_since.get(key)

    def forget(self, key: Key) -> None:
        """Regard a workspace as one that does not wait."""
        self._waiting_since.pop(key, None)

    async def why_no_pod(self, key: Key, stateful_sets: Iterable[ObjectView]) -> str | None:
        """Return the latest warning about a StatefulSet whose pod is missing, or None.

        Warnings from before the workspace began to wait belong to an earlier start.

        Raises:
            ClusterError: events cannot be listed.
        """
        waited = self._wait(key)
        if waited < PATIENCE_SECONDS:
            return None
        warnings: list[ObjectView] = []
        for held in stateful_sets:
            warnings += await self._warnings(key[0], held)
        return _latest(warnings, _now() - 1000 * waited - _EVENT_PRECISION_MS)

    async def why_not_mounted(self, key: Key, pod: ObjectView) -> str | None:
        """Return the kubelet's latest warning about volumes that it cannot mount, or None.

        Raises:
            ClusterError: events cannot be listed.
        """
        view = PodView(pod)
        if not view.node_name or view.is_deleting or not states.waits_for_its_start(pod):
            self.forget(key)
            return None
        if self._wait(key) < PATIENCE_SECONDS:
            return None
        warnings = await self._warnings(key[0], pod)
        about_mounts = [one for one in warnings if one.get("reason") in MOUNT_REASONS]
        return _latest(about_mounts, _now() - MOUNT_EVENT_MS)

    def _wait(self, key: Key) -> float:
        """Return for how many seconds a workspace has waited."""
        now = time.monotonic()
        return now - self._waiting_since.setdefault(key, now)

    async def _warnings(self, namespace: str, obj: ObjectView) -> list[ObjectView]:
        selector = f"involvedObject.uid={obj['metadata']['uid']},type=Warning"
        found = await self._cluster.list(EVENTS, namespace, field_selector=selector)
        return list(found.items)


def _latest(events: Iterable[ObjectView], since: float) -> str | None:
    """Return the message of the latest event, unless all are older than `since` (ms)."""
    recent = [event for event in events if milliseconds(event.get("lastTimestamp")) >= since]
    if not recent:
        return None
    return str(max(recent, key=lambda event: event["lastTimestamp"])["message"])


def _now() -> int:
    return int(time.time() * 1000)
