"""A restart as state in the cluster: an annotation on a Workspace that is paused only to be started again.

The annotation and `spec.paused: true` are written by one request, and removed by one request once the
workspace has stopped, by our controller or any of our servers. So a restart finishes even if the
process that began it ends. Pure.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from . import metadata_keys

Object = Mapping[str, Any]

LIMIT_SECONDS = 120.0
"""Seconds after which a workspace that has not stopped is started anyway."""

_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def new_id(now: datetime) -> str:
    """A value for the annotation: the time, and a suffix that no other restart has."""
    return f"{now.astimezone(timezone.utc).strftime(_FORMAT)}/{secrets.token_hex(4)}"


def id_of(workspace: Object) -> str | None:
    """The restart that a workspace is in, None when it is in none."""
    annotations = (workspace.get("metadata") or {}).get("annotations")
    found = annotations.get(metadata_keys.RESTART) if isinstance(annotations, Mapping) else None
    return found if isinstance(found, str) else None


def is_paused(workspace: Object) -> bool:
    """Whether its spec says so."""
    spec = workspace.get("spec")
    return isinstance(spec, Mapping) and bool(spec.get("paused"))


def seconds_left(workspace: Object, now: datetime) -> float:
    """Seconds until it is started again although it has not stopped; 0 for a time that cannot be right."""
    try:
        began = datetime.strptime((id_of(workspace) or "").partition("/")[0], _FORMAT).replace(
            tzinfo=timezone.utc
        )
    except ValueError:
        return 0.0
    left = LIMIT_SECONDS - (now - began).total_seconds()
    return left if 0 < left <= 2 * LIMIT_SECONDS else 0.0


def begun(workspace: Object, restart: str) -> dict[str, Any]:
    """Merge patch that begins a restart of this very version of the workspace."""
    metadata = {
        "resourceVersion": workspace["metadata"]["resourceVersion"],
        "annotations": {metadata_keys.RESTART: restart},
    }
    return {"metadata": metadata, "spec": {"paused": True}}


def finished(workspace: Object) -> dict[str, Any]:
    """Return a merge patch that starts this version again; if it was started meanwhile, the patch only ends the restart."""
    metadata = {
        "resourceVersion": workspace["metadata"]["resourceVersion"],
        "annotations": {metadata_keys.RESTART: None},
    }
    return {"metadata": metadata} | ({"spec": {"paused": False}} if is_paused(workspace) else {})


def given_up(workspace: Object) -> dict[str, Any]:
    """Return a merge patch that ends the restart and leaves the workspace paused, as a user wants it."""
    return {
        "metadata": {
            "resourceVersion": workspace["metadata"]["resourceVersion"],
            "annotations": {metadata_keys.RESTART: None},
        }
    }
