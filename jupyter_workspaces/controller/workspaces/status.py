"""The whole `status` of a Workspace from what is known of it (contracts/kubeflow-workspaces.md §3.1). Pure; times in ms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jupyter_workspaces.common.timestamps import milliseconds

from . import manifests
from .activity import NEVER_USED, with_rule
from .options import DIMENSIONS, Option

Object = Mapping[str, Any]


def build(
    workspace: Object,
    state: str,
    message: str,
    *,
    pod: Object | None,
    options: Mapping[str, Option] | None,
    pending_restart: bool,
    now: int,
    probed: Object | None = None,
    rule: Object | None = None,
) -> dict[str, Any]:
    """A complete status; what cannot be known now is kept from the present one.

    `probed` is the activity as a probe has just found it, `rule` the rule that would pause this workspace.
    """
    before = workspace.get("status") or {}
    paused = bool((workspace.get("spec") or {}).get("paused"))
    last_running = before.get("lastRunningTime", 0)
    known = probed or before.get("activity") or NEVER_USED
    # A readiness that flaps is the same run; only a program that started after the last run began is a new one, and starts idle.
    if (
        state == "Running"
        and (before.get("state") != "Running" or last_running == 0)
        and _started(pod) > last_running
    ):
        last_running, known = now, NEVER_USED
    shown = before.get("podTemplateOptions") or {}
    return {
        "activity": with_rule(known, rule if state == "Running" else None),
        "lastRunningTime": last_running,
        "pauseTime": (before.get("pauseTime") or now) if paused else 0,
        "pendingRestart": pending_restart,
        "podTemplateOptions": {
            dimension: options[dimension].status()
            if options is not None
            else shown.get(dimension) or {}
            for dimension in DIMENSIONS
        },
        "podTemplatePod": _pod(workspace, pod),
        "state": state,
        "stateMessage": message,
    }


def ending(workspace: Object, pod: Object | None = None) -> dict[str, Any]:
    """The status of a workspace that is deleted and waits for what it owns, its pod above all."""
    before = workspace.get("status") or build(
        workspace, "Unknown", "", pod=None, options=None, pending_restart=False, now=0
    )
    return {
        **before,
        "state": "Terminating",
        "stateMessage": f"Being deleted{grace(pod)}; its volumes stay.",
    }


def grace(pod: Object | None) -> str:
    """How long the programs of a pod that ends have, as the rest of a sentence; empty for none that ends."""
    seconds = ((pod or {}).get("metadata") or {}).get("deletionGracePeriodSeconds")
    return f": its programs have {seconds} s to save their files and end" if seconds else ""


def _started(pod: Object | None) -> int:
    """When the container that runs now began, at least 1 when there is a pod."""
    for container in ((pod or {}).get("status") or {}).get("containerStatuses") or ():
        if container["name"] == manifests.CONTAINER:
            running = (container.get("state") or {}).get("running") or {}
            return max(1, milliseconds(running.get("startedAt")))
    return 1


def _pod(workspace: Object, pod: Object | None) -> dict[str, Any]:
    account = manifests.service_account(workspace)["metadata"]["name"]
    if pod is None:
        return {"name": "", "nodeName": "", "serviceAccountName": account}
    spec = pod["spec"]
    found = {
        "name": pod["metadata"]["name"],
        "nodeName": spec.get("nodeName") or "",
        "serviceAccountName": account,
        "containers": [{"name": container["name"]} for container in spec["containers"]],
    }
    if spec.get("initContainers"):
        found["initContainers"] = [
            {"name": container["name"]} for container in spec["initContainers"]
        ]
    return found
