"""Models of claims and storage classes."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from jupyter_workspaces.common.quantities import QuantityError, parse
from jupyter_workspaces.kube.causes import Cause, invalid, required
from jupyter_workspaces.server.api.workspaces.workspaces.models import Audit
from jupyter_workspaces.server.http import checks


class StorageClass(msgspec.Struct, rename="camel"):
    """A storage class."""

    name: str
    display_name: str
    description: str
    can_use: bool


class Requests(msgspec.Struct, forbid_unknown_fields=True):
    """Requested resources of a claim."""

    storage: str = ""


class ClaimCreate(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Request and response of a create."""

    name: str = ""
    access_modes: list[str] = msgspec.field(default_factory=list)
    storage_class_name: str = ""
    requests: Requests = msgspec.field(default_factory=Requests)

    def causes(self) -> list[Cause]:
        """Return what is wrong with the model."""
        found = list(checks.name("data.name", self.name))
        if not self.access_modes:
            found.append(required("data.accessModes"))
        found += checks.name("data.storageClassName", self.storage_class_name)
        try:
            parse(self.requests.storage)
        except QuantityError as error:
            found.append(invalid("data.requests.storage", self.requests.storage, str(error)))
        return found


class ClaimSpec(msgspec.Struct, rename="camel"):
    """Spec of a claim."""

    requests: dict[str, str]
    access_modes: list[str]
    volume_mode: str
    storage_class_name: str


class Claim(msgspec.Struct, rename="camel"):
    """A claim in lists."""

    name: str
    can_mount: bool
    can_update: bool
    pods: list[dict[str, Any]]
    workspaces: list[dict[str, Any]]
    audit: Audit
    pvc_spec: ClaimSpec
    pv: dict[str, Any] | UnsetType = UNSET
    problem: str | UnsetType = UNSET
    """Reason why a malformed claim cannot be read."""
