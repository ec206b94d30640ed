"""Builds the complete `status` of a Workspace. All times are milliseconds since 1970.

The reconciler writes the status that `build` returns, so the fields that it cannot know at the
moment are taken from the present status.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jupyter_workspaces.common.timestamps import milliseconds
from jupyter_workspaces.kube.types import ObjectView
from jupyter_workspaces.resources.views import (
    DIMENSIONS,
    PodView,
    WorkspaceView,
    container_state,
)

from . import manifests
from .activity import NEVER_USED, with_rule
from .options import Option


def build(
    workspace: ObjectView,
    state: str,
    message: str,
    *,
    pod: ObjectView | None,
    options: Mapping[str, Option] | None,
    pending_restart: bool,
    now: int,
    probed: ObjectView | None = None,
    rule: ObjectView | None = None,
) -> dict[str, Any]:
    """Return the status of a workspace.

    Args:
        workspace: the Workspace with its present status.
        state: state from `states.decide`, `Error` or `Unknown`.
        message: reason for the state, for people.
        pod: pod of the workspace, or None.
        options: options by dimension; None keeps those of the present status.
        pending_restart: whether the next start uses another template or option.
        now: current time.
        probed: activity after the latest probe; None keeps that of the present status.
        rule: activity rule that pauses the workspace, or None.
    """
    before = WorkspaceView(workspace).status
    last_running = before.get("lastRunningTime", 0)
    activity = probed or before.get("activity") or NEVER_USED
    # A run begins with the start of the program. A pod whose readiness comes and goes is still in
    # the same run, and keeps its activity.
    is_new_run = (
        state == "Running"
        and (before.get("state") != "Running" or last_running == 0)
        and _started_at(pod) > last_running
    )
    if is_new_run:
        last_running, activity = now, NEVER_USED
    is_paused = WorkspaceView(workspace).is_paused
    return {
        "activity": with_rule(activity, rule if state == "Running" else None),
        "lastRunningTime": last_running,
        "pauseTime": (before.get("pauseTime") or now) if is_paused else 0,
        "pendingRestart": pending_restart,
        "podTemplateOptions": _options(before, options),
        "podTemplatePod": _pod(workspace, pod),
        "state": state,
        "stateMessage": message,
    }


def terminating(workspace: ObjectView, pod: ObjectView | None = None) -> dict[str, Any]:
    """Return the status of a deleted workspace whose pod and other objects still exist."""
    before = workspace.get("status") or build(
        workspace, "Unknown", "", pod=None, options=None, pending_restart=False, now=0
    )
    message = f"Being deleted{grace_period(pod)}; its volumes stay."
    return {**before, "state": "Terminating", "stateMessage": message}


def grace_period(pod: ObjectView | None) -> str:
    """Return the grace period of a pod that is being deleted, as the end of a sentence.

    Empty if the pod is not being deleted.
    """
    seconds = ((pod or {}).get("metadata") or {}).get("deletionGracePeriodSeconds")
    return f": its programs have {seconds} s to save their files and exit" if seconds else ""


def _options(before: ObjectView, options: Mapping[str, Option] | None) -> dict[str, Any]:
    if options is not None:
        return {dimension: options[dimension].status() for dimension in DIMENSIONS}
    present = before.get("podTemplateOptions") or {}
    return {dimension: present.get(dimension) or {} for dimension in DIMENSIONS}


def _started_at(pod: ObjectView | None) -> int:
    """Return the start of the main container; 1 if it is unknown, which is after no run at all."""
    if pod is None:
        return 1
    running = container_state(PodView(pod).main_status, "running") or {}
    return max(1, milliseconds(running.get("startedAt")))


def _pod(workspace: ObjectView, pod: ObjectView | None) -> dict[str, Any]:
    account = manifests.service_account(workspace)["metadata"]["name"]
    if pod is None:
        return {"name": "", "nodeName": "", "serviceAccountName": account}
    view = PodView(pod)
    found = {
        "name": view.name,
        "nodeName": view.node_name,
        "serviceAccountName": account,
        "containers": [{"name": container["name"]} for container in view.spec["containers"]],
    }
    if view.spec.get("initContainers"):
        found["initContainers"] = [
            {"name": container["name"]} for container in view.spec["initContainers"]
        ]
    return found
