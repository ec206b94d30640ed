"""Decides when the controller finishes a restart: once the workspace has stopped, or timed out.

`resources/restarts.py` describes how a restart is stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone

from jupyter_workspaces.kube.types import ObjectView
from jupyter_workspaces.resources import restarts

_SHORTEST_WAIT_SECONDS = 0.1


def is_to_finish(
    workspace: ObjectView, pod: ObjectView | None, stateful_sets: Iterable[ObjectView]
) -> bool:
    """Return whether a restart is to be finished now.

    That is the case if the workspace has stopped, has had its time to stop, or was started by
    another client. False for a workspace that is not in a restart.
    """
    if restarts.id_of(workspace) is None:
        return False
    if not restarts.is_paused(workspace) or _seconds_left(workspace) <= 0:
        return True
    return pod is None and all(_has_stopped(held) for held in stateful_sets)


def next_reconcile(workspace: ObjectView, seconds: float | None) -> float | None:
    """Return the seconds until the next reconcile, at the latest when the restart times out.

    Args:
        workspace: the workspace.
        seconds: time that the reconciler itself wants; None for no time.
    """
    if restarts.id_of(workspace) is None:
        return seconds
    left = max(_SHORTEST_WAIT_SECONDS, _seconds_left(workspace))
    return left if seconds is None else min(left, seconds)


def _seconds_left(workspace: ObjectView) -> float:
    return restarts.seconds_left(workspace, datetime.now(timezone.utc))


def _has_stopped(stateful_set: ObjectView) -> bool:
    """Return whether the StatefulSet has no pods: the cache of pods may lag behind its status."""
    spec, status = stateful_set.get("spec") or {}, stateful_set.get("status") or {}
    generation = stateful_set["metadata"].get("generation", 0)
    is_current = status.get("observedGeneration", 0) >= generation
    return spec.get("replicas") == 0 and not status.get("replicas") and is_current
