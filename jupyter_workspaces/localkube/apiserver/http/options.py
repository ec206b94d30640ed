"""Options and results of writes and deletions, independent of HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

from jupyter_workspaces.kube.types import Object

MANAGER = "kube-apiserver"
"""Field manager of what the server itself writes."""


@dataclass(frozen=True)
class WriteOptions:
    """Options of a create, update, patch or apply.

    Attributes:
        field_validation: `Strict`, `Warn` or `Ignore`.
        manager: field manager; None to leave managed fields unchanged.
        force: whether an apply takes over fields of other managers.
    """

    dry_run: bool = False
    field_validation: str = "Warn"
    manager: str | None = MANAGER
    force: bool = False


@dataclass(frozen=True)
class DeleteOptions:
    """Options of a deletion.

    Attributes:
        grace_seconds: None for the default of the kind.
        propagation: propagation policy; None keeps the finalizers of the object.
        uid: precondition on the uid.
        resource_version: precondition on the resource version.
    """

    grace_seconds: int | None = None
    propagation: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    dry_run: bool = False


WRITE = WriteOptions()
DELETE = DeleteOptions()


@dataclass
class WriteResult:
    """Result of a write.

    Attributes:
        object: the object after the write.
        warnings: warnings for the client.
        created: whether the object is new.
        removed: whether the object is gone.
    """

    object: Object
    warnings: list[str]
    created: bool = False
    removed: bool = False


def now() -> str:
    """Return the current time as Kubernetes writes it: UTC, in seconds."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
