"""How writes and deletions are meant, and what comes of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

Object = dict[str, Any]

MANAGER = "jupyter-workspaces"
"""Who manages the fields of what the server itself writes."""


@dataclass(frozen=True)
class WriteOptions:
    """How a write is meant: `field_validation` is Strict, Warn or Ignore; `manager` is who writes, None for writes that nobody manages."""

    dry_run: bool = False
    field_validation: str = "Warn"
    manager: str | None = MANAGER
    force: bool = False


@dataclass(frozen=True)
class DeleteOptions:
    """Absent means: the kind's own grace, background propagation, no preconditions."""

    grace_seconds: int | None = None
    propagation: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    dry_run: bool = False


WRITE = WriteOptions()
DELETE = DeleteOptions()


@dataclass
class Written:
    """A write's outcome: the object as it is now, what to warn of, whether it is new or gone."""

    object: Object
    warnings: list[str]
    created: bool = False
    removed: bool = False


def now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
