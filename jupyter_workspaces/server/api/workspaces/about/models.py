"""Models of health, namespaces, cluster, and of the envelope of errors."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType


class SystemInfo(msgspec.Struct):
    """Version of the server."""

    version: str


class Health(msgspec.Struct, rename="camel"):
    """Health: `status` is Healthy or Degraded.

    If Degraded, `failing` names the failing tasks, and `staleSince` is when the caches became
    stale.
    """

    status: str
    system_info: SystemInfo
    failing: list[str] | UnsetType = UNSET
    stale_since: str | UnsetType = UNSET


class Namespace(msgspec.Struct):
    """A namespace."""

    name: str


class ClusterInfo(msgspec.Struct, rename="camel"):
    """The cluster that the server uses.

    `user` is the server's user in the cluster, empty if the cluster does not report it.
    `workspacesUrl` is the origin where workspaces open (with `*.`, one for each); empty if it is
    the server's own.
    """

    name: str
    embedded: bool
    user: str
    namespace: str
    version: str
    workspaces_url: str = ""


class ConflictCause(msgspec.Struct):
    """Reason of a conflict."""

    origin: str
    message: str


class ValidationError(msgspec.Struct):
    """An invalid field."""

    origin: str
    type: str
    field: str
    message: str


class Causes(msgspec.Struct):
    """Causes of an error."""

    conflict_cause: list[ConflictCause] | UnsetType = UNSET
    validation_errors: list[ValidationError] | UnsetType = UNSET


class Refusal(msgspec.Struct):
    """An error. `code` is the HTTP status as text."""

    code: str
    message: str
    cause: Causes | UnsetType = UNSET


class Error(msgspec.Struct):
    """Envelope of an error."""

    error: Refusal
