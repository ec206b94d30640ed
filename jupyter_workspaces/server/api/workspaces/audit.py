"""Who created and changed an object, and when, as annotations."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from jupyter_workspaces.resources import metadata_keys
from jupyter_workspaces.resources.unreadable import mapping, text

from .workspaces.models import Audit


def audit(metadata: Mapping[str, Any]) -> Audit:
    """Return the model of an object's annotations.

    An invalid time becomes null, other time zones become UTC, and fractions of seconds are cut.
    """
    annotations = mapping(metadata.get("annotations"))
    return Audit(
        created_at=text(metadata.get("creationTimestamp")) or None,
        created_by=_text(annotations.get(metadata_keys.CREATED_BY)),
        updated_at=_utc(annotations.get(metadata_keys.UPDATED_AT)),
        updated_by=_text(annotations.get(metadata_keys.UPDATED_BY)),
        deleted_at=text(metadata.get("deletionTimestamp")) or None,
    )


def created(user: str | None) -> dict[str, str]:
    """Return the annotations of a new object."""
    return {} if user is None else {metadata_keys.CREATED_BY: user, metadata_keys.UPDATED_BY: user}


def updated(user: str | None) -> dict[str, str]:
    """Return the annotations of a changed object."""
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {metadata_keys.UPDATED_AT: now} | (
        {} if user is None else {metadata_keys.UPDATED_BY: user}
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _utc(written: str | None) -> str | None:
    try:
        found = datetime.fromisoformat((written or "").replace("Z", "+00:00"))
        if found.tzinfo is None:
            return None
        return found.astimezone(timezone.utc).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
    except (ValueError, OverflowError, AttributeError, TypeError):
        return None
