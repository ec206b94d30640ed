"""The controller's part of a restart (`resources/restarts.py`): start a workspace again once it has stopped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from jupyter_workspaces.resources import restarts

Object = Mapping[str, Any]


def is_to_finish(workspace: Object, pod: Object | None, stateful_sets: Iterable[Object]) -> bool:
    """Whether a workspace in a restart has stopped, has had its time, or was started by another client."""
    if restarts.id_of(workspace) is None:
        return False
    if (
        not restarts.is_paused(workspace)
        or restarts.seconds_left(workspace, datetime.now(timezone.utc)) <= 0
    ):
        return True
    return pod is None and all(_has_stopped(held) for held in stateful_sets)


def next_look(workspace: Object | None, pause: float | None) -> float | None:
    """Return the seconds until the next reconcile, at the latest when the restart times out."""
    if workspace is None or restarts.id_of(workspace) is None:
        return pause
    left = max(0.1, restarts.seconds_left(workspace, datetime.now(timezone.utc)))
    return left if pause is None else min(left, pause)


def _has_stopped(stateful_set: Object) -> bool:
    """Whether its status shows no pods for the latest spec: the pod cache may lag behind."""
    spec, status = stateful_set.get("spec") or {}, stateful_set.get("status") or {}
    seen = status.get("observedGeneration", 0) >= stateful_set["metadata"].get("generation", 0)
    return spec.get("replicas") == 0 and not status.get("replicas") and seen
