"""What goes over the wire (contract §1.5 operations 13 to 17)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from ....resources.causes import Cause
from ... import checks
from ..workspaces.models import ImageRef


class KindUpdate(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The update model: what a single GET answers, what PUT takes, what PATCH changes. Parts of the CRD as they are."""

    revision: str = ""
    spawner: dict[str, Any] = msgspec.field(default_factory=dict)
    pod_template: dict[str, Any] = msgspec.field(default_factory=dict)
    activity_rules: list[dict[str, Any]] | UnsetType = UNSET

    def causes(self) -> list[Cause]:
        return list(checks.present("data.revision", self.revision))


class KindCreated(msgspec.Struct, rename="camel"):
    name: str
    spawner: dict[str, Any]
    pod_template: dict[str, Any]


class Count(msgspec.Struct, rename="camel"):
    workspaces_count: int


class Restrictions(msgspec.Struct):
    deny: bool = False


class Option(msgspec.Struct, rename="camel"):
    id: str
    display_name: str
    description: str
    hidden: bool
    cluster_metrics: Count
    restrictions: Restrictions
    labels: list[dict[str, str]] | UnsetType = UNSET
    redirect: dict[str, Any] | UnsetType = UNSET


class OptionList(msgspec.Struct):
    default: str
    values: list[Option] | UnsetType = UNSET


class KindOptions(msgspec.Struct, rename="camel"):
    image_config: OptionList
    pod_config: OptionList


class KindTemplate(msgspec.Struct, rename="camel"):
    pod_metadata: dict[str, dict[str, str]]
    volume_mounts: dict[str, str]
    options: KindOptions
    activity_probe: dict[str, Any] | UnsetType = UNSET


class KindListItem(msgspec.Struct, rename="camel"):
    name: str
    display_name: str
    description: str
    deprecated: bool
    deprecation_message: str
    hidden: bool
    icon: ImageRef
    logo: ImageRef
    cluster_metrics: Count
    pod_template: KindTemplate
    restrictions: Restrictions
    activity_rules: list[dict[str, Any]] | UnsetType = UNSET
