"""Restarts of workspaces, whose progress is stored in the cluster as an annotation.

One request writes the annotation and `spec.paused: true`. Once the workspace has stopped, one
request removes both; the controller or any server sends it. So a restart finishes even if the
process that began it ends.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from jupyter_workspaces.kube.types import ObjectView

from . import metadata_keys
from .views import WorkspaceView

LIMIT_SECONDS = 120.0
"""Seconds after which a workspace that has not stopped is started anyway."""

_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def new_id(now: datetime) -> str:
    """Return a value for the annotation: the time, and a random suffix."""
    return f"{now.astimezone(timezone.utc).strftime(_FORMAT)}/{secrets.token_hex(4)}"


def id_of(workspace: ObjectView) -> str | None:
    """Return the id of the workspace's restart, or None if it is not in a restart."""
    annotations = (workspace.get("metadata") or {}).get("annotations")
    found = annotations.get(metadata_keys.RESTART) if isinstance(annotations, Mapping) else None
    return found if isinstance(found, str) else None


def is_paused(workspace: ObjectView) -> bool:
    """Return whether the spec of a workspace asks for no pod."""
    return WorkspaceView(workspace).is_paused


def seconds_left(workspace: ObjectView, now: datetime) -> float:
    """Return the seconds until a workspace that has not stopped is started anyway.

    0 for an annotation whose time cannot be right.
    """
    try:
        began = datetime.strptime((id_of(workspace) or "").partition("/")[0], _FORMAT).replace(
            tzinfo=timezone.utc
        )
    except ValueError:
        return 0.0
    left = LIMIT_SECONDS - (now - began).total_seconds()
    return left if 0 < left <= 2 * LIMIT_SECONDS else 0.0


def begun(workspace: ObjectView, restart: str) -> dict[str, Any]:
    """Return a merge patch that begins a restart.

    The patch has the resource version, so it fails if the workspace changed in the meantime.

    Args:
        workspace: the workspace to restart.
        restart: value of the annotation, from `new_id`.
    """
    metadata = {
        "resourceVersion": workspace["metadata"]["resourceVersion"],
        "annotations": {metadata_keys.RESTART: restart},
    }
    return {"metadata": metadata, "spec": {"paused": True}}


def finished(workspace: ObjectView) -> dict[str, Any]:
    """Return a merge patch that ends the restart and starts the workspace.

    If another client started it in the meantime, the patch only ends the restart.
    """
    metadata = {
        "resourceVersion": workspace["metadata"]["resourceVersion"],
        "annotations": {metadata_keys.RESTART: None},
    }
    return {"metadata": metadata} | ({"spec": {"paused": False}} if is_paused(workspace) else {})


def given_up(workspace: ObjectView) -> dict[str, Any]:
    """Return a merge patch that ends the restart and leaves the workspace paused."""
    return {
        "metadata": {
            "resourceVersion": workspace["metadata"]["resourceVersion"],
            "annotations": {metadata_keys.RESTART: None},
        }
    }
