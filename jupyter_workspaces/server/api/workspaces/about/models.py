"""What goes over the wire (contract operations 1 and 3, and ours), and the envelope of every refusal (§1.2)."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType


class SystemInfo(msgspec.Struct):
    version: str


class Health(msgspec.Struct, rename="camel"):
    """Health: `status` is Healthy or Degraded.

    If Degraded, `failing` names the failing tasks, and `staleSince` is when the caches became stale.
    """

    status: str
    system_info: SystemInfo
    failing: list[str] | UnsetType = UNSET
    stale_since: str | UnsetType = UNSET


class Namespace(msgspec.Struct):
    name: str


class ClusterInfo(msgspec.Struct, rename="camel"):
    """Which cluster the server speaks to, for people. `user` is who the cluster takes us for, empty when it does not say.

    `workspacesUrl` is the origin where workspaces open (with `*.`, one each); empty when that is the server's own.
    """

    name: str
    embedded: bool
    user: str
    namespace: str
    version: str
    workspaces_url: str = ""


class ConflictCause(msgspec.Struct):
    origin: str
    message: str


class ValidationError(msgspec.Struct):
    origin: str
    type: str
    field: str
    message: str


class Causes(msgspec.Struct):
    conflict_cause: list[ConflictCause] | UnsetType = UNSET
    validation_errors: list[ValidationError] | UnsetType = UNSET


class Refusal(msgspec.Struct):
    """`code` is the HTTP status as a text."""

    code: str
    message: str
    cause: Causes | UnsetType = UNSET


class Error(msgspec.Struct):
    error: Refusal
