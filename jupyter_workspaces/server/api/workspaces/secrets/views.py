"""Converts Secrets to models, without their values."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from msgspec import UNSET

from jupyter_workspaces.kube.types import ObjectView
from jupyter_workspaces.resources import metadata_keys
from jupyter_workspaces.resources.catalog import WORKSPACES
from jupyter_workspaces.resources.unreadable import mapping, text
from jupyter_workspaces.resources.views import WorkspaceView
from jupyter_workspaces.server.api.workspaces.audit import audit

from . import models


def list_item(secret: ObjectView, mounted_by: Iterable[ObjectView]) -> models.SecretListItem:
    """Return the list item of a Secret."""
    metadata = secret["metadata"]
    labels = metadata.get("labels") or {}
    mounts = [
        models.Mount(WORKSPACES.group, WORKSPACES.kind, workspace["metadata"]["name"])
        for workspace in mounted_by
    ]
    return models.SecretListItem(
        name=metadata["name"],
        can_update=labels.get(metadata_keys.CAN_UPDATE) == "true",
        can_mount=labels.get(metadata_keys.CAN_MOUNT) == "true",
        audit=audit(metadata),
        mounts=mounts or UNSET,
    )


def unreadable_item(secret: ObjectView) -> models.SecretListItem:
    """Return the list item of a secret with malformed metadata: not mountable, not changeable."""
    metadata = mapping(secret.get("metadata"))
    return models.SecretListItem(
        text(metadata.get("name")), can_update=False, can_mount=False, audit=audit(metadata)
    )


def update_model(secret: ObjectView) -> models.SecretUpdate:
    """Return the update model of a Secret."""
    contents = {key: models.Value() for key in sorted(secret.get("data") or {})}
    return models.SecretUpdate(secret.get("type", ""), bool(secret.get("immutable")), contents)


def created(secret: ObjectView) -> models.SecretCreate:
    """Return the response to a created Secret."""
    model = update_model(secret)
    return models.SecretCreate(
        secret["metadata"]["name"], model.type, model.immutable, model.contents
    )


def revision(secret: ObjectView) -> str:
    """Return the revision of a Secret, which changes with every write."""
    metadata = secret["metadata"]
    return hashlib.sha256(f"{metadata['uid']}:{metadata['resourceVersion']}".encode()).hexdigest()


def secrets_of(workspace: ObjectView) -> set[str]:
    """Return the names of the Secrets that a workspace mounts."""
    return {one["secretName"] for one in WorkspaceView(workspace).volumes.get("secrets") or ()}
