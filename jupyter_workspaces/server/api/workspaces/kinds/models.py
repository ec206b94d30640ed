"""Models of workspace kinds."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from jupyter_workspaces.kube.causes import Cause
from jupyter_workspaces.server.api.workspaces.workspaces.models import ImageRef
from jupyter_workspaces.server.http import checks

from .typed import Reading, part


class KindUpdate(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The update model of GET, PUT and PATCH, with parts of the CRD as they are."""

    revision: str = ""
    spawner: dict[str, Any] = msgspec.field(default_factory=dict)
    pod_template: dict[str, Any] = msgspec.field(default_factory=dict)
    activity_rules: list[dict[str, Any]] | UnsetType = UNSET

    def causes(self) -> list[Cause]:
        """Return what is wrong with the model."""
        return list(checks.present("data.revision", self.revision))


class KindWrite(KindUpdate, rename="camel", forbid_unknown_fields=True):
    """The update model as a request body, read by the schema of the CRD in any case.

    Raises `ValueError` for unknown fields and wrong types.
    """

    def __post_init__(self) -> None:
        reading = Reading(any_case=True)
        self.spawner = reading.read(part("spec", "spawner"), self.spawner, "spawner")
        self.pod_template = reading.read(
            part("spec", "podTemplate"), self.pod_template, "podTemplate"
        )
        if self.activity_rules is not UNSET:
            self.activity_rules = reading.read(
                part("spec", "activityRules"), self.activity_rules, "activityRules"
            )
        if problems := [*reading.wrong, *reading.unknown]:
            raise ValueError("; ".join(problems[:5]))


class NamespaceRef(msgspec.Struct, forbid_unknown_fields=True):
    """A namespace by name."""

    name: str = ""


class OptionRef(msgspec.Struct, forbid_unknown_fields=True):
    """An option by id."""

    id: str = ""


class ValuesContext(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Context of a listvalues request: the namespace, and the options that are already chosen."""

    namespace: NamespaceRef | UnsetType = UNSET
    pod_config: OptionRef | UnsetType = UNSET
    image_config: OptionRef | UnsetType = UNSET


class ListValues(msgspec.Struct, forbid_unknown_fields=True):
    """Body of listvalues."""

    context: ValuesContext = msgspec.field(default_factory=ValuesContext)

    def causes(self) -> list[Cause]:
        """Return what is wrong with the body."""
        context = self.context
        found: list[Cause] = []
        if context.namespace is not UNSET:
            found += checks.label("data.context.namespace.name", context.namespace.name)
        if context.pod_config is not UNSET:
            found += checks.present("data.context.podConfig.id", context.pod_config.id)
        if context.image_config is not UNSET:
            found += checks.present("data.context.imageConfig.id", context.image_config.id)
        return found


class KindCreated(msgspec.Struct, rename="camel"):
    """Response to a created kind."""

    name: str
    spawner: dict[str, Any]
    pod_template: dict[str, Any]


class Count(msgspec.Struct, rename="camel"):
    """Number of workspaces."""

    workspaces_count: int


class Restrictions(msgspec.Struct, rename="camel"):
    """Restrictions of an option."""

    deny: bool = False
    deny_message: dict[str, str] | UnsetType = UNSET


class Option(msgspec.Struct, rename="camel"):
    """An option of a kind."""

    id: str
    display_name: str
    description: str
    hidden: bool
    cluster_metrics: Count
    restrictions: Restrictions
    labels: list[dict[str, str]] | UnsetType = UNSET
    redirect: dict[str, Any] | UnsetType = UNSET


class OptionList(msgspec.Struct):
    """Options of one dimension, and the default."""

    default: str
    values: list[Option] | UnsetType = UNSET


class KindOptions(msgspec.Struct, rename="camel"):
    """Options of a kind."""

    image_config: OptionList
    pod_config: OptionList


class KindTemplate(msgspec.Struct, rename="camel"):
    """The pod template of a kind."""

    pod_metadata: dict[str, dict[str, str]]
    volume_mounts: dict[str, str]
    options: KindOptions
    activity_probe: dict[str, Any] | UnsetType = UNSET


class KindListItem(msgspec.Struct, rename="camel"):
    """A kind in lists and events."""

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
