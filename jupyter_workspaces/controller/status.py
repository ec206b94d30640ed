"""The whole `status` of a Workspace from what is known of it (contracts/kubeflow-workspaces.md §3.1). Pure; times in ms."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ..resources import names
from . import generate
from .options import DIMENSIONS, Option

Object = Mapping[str, Any]

NO_ACTIVITY = {"lastActivity": 0, "lastUpdate": 0}


def build(
    workspace: Object,
    kind: Object | None,
    options: dict[str, Option] | None,
    pod: Object | None,
    state: str,
    message: str,
    activity: Object | None,
    now: int,
) -> dict[str, Any]:
    """A complete status; what cannot be known now is kept from the present one."""
    before = workspace.get("status") or {}
    paused = bool(workspace["spec"].get("paused"))
    started = _started(pod)
    last_running = before.get("lastRunningTime", 0)
    kept = activity if activity is not None else before.get("activity") or NO_ACTIVITY
    # A readiness that flaps is the same run; only a program that started after the last run began is a new one.
    if state == "Running" and (before.get("state") != "Running" or last_running == 0) and started > last_running:
        last_running, kept = now, NO_ACTIVITY
    known = before.get("podTemplateOptions") or {}
    return {
        "activity": dict(kept),
        "lastRunningTime": last_running,
        "pauseTime": (before.get("pauseTime") or now) if paused else 0,
        "pendingRestart": _pending_restart(kind, options, pod),
        "podTemplateOptions": {
            dimension: options[dimension].status() if options is not None else known.get(dimension) or {} for dimension in DIMENSIONS
        },
        "podTemplatePod": _pod(workspace, pod),
        "state": state,
        "stateMessage": message,
    }


def milliseconds(timestamp: str | None) -> int:
    """Of an RFC 3339 time; 0 for none."""
    if not timestamp:
        return 0
    return int(datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp() * 1000)


def _started(pod: Object | None) -> int:
    """When the container that runs now began, at least 1 when there is a pod."""
    for container in ((pod or {}).get("status") or {}).get("containerStatuses") or ():
        if container["name"] == generate.CONTAINER:
            running = (container.get("state") or {}).get("running") or {}
            return max(1, milliseconds(running.get("startedAt")))
    return 1


def _pending_restart(kind: Object | None, options: dict[str, Option] | None, pod: Object | None) -> bool:
    if options is not None and any(option.chain for option in options.values()):
        return True
    if pod is None or kind is None:
        return False
    made_from = (pod["metadata"].get("annotations") or {}).get(names.KIND_TEMPLATE_HASH)
    return made_from is not None and made_from != generate.kind_hash(kind)


def _pod(workspace: Object, pod: Object | None) -> dict[str, Any]:
    account = generate.service_account(workspace)["metadata"]["name"]
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
        found["initContainers"] = [{"name": container["name"]} for container in spec["initContainers"]]
    return found
