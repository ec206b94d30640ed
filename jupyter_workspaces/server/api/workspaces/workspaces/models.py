"""Models of workspaces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from jupyter_workspaces.kube.causes import Cause, invalid
from jupyter_workspaces.resources.workspace_rules import check_pod_metadata
from jupyter_workspaces.server.http import checks

Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
"""As Go decodes it: a value out of range makes the body invalid (400), not the field (422)."""


class PodMetadata(msgspec.Struct, forbid_unknown_fields=True):
    """Labels and annotations of the pod."""

    labels: dict[str, str] = msgspec.field(default_factory=dict)
    annotations: dict[str, str] = msgspec.field(default_factory=dict)


class DataVolume(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A claim that is mounted beside the home."""

    pvc_name: str = ""
    mount_path: str = ""
    read_only: bool | UnsetType = UNSET


class SecretVolume(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A Secret that is mounted."""

    secret_name: str = ""
    mount_path: str = ""
    default_mode: Int32 | UnsetType = UNSET


class Volumes(msgspec.Struct, forbid_unknown_fields=True):
    """Volumes of a workspace."""

    home: str | UnsetType = UNSET
    data: list[DataVolume] = msgspec.field(default_factory=list)
    secrets: list[SecretVolume] | UnsetType = UNSET


class Options(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Ids of the chosen options."""

    image_config: str = ""
    pod_config: str = ""


class PodTemplate(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The part of a workspace that its owner chooses, in requests and responses."""

    pod_metadata: PodMetadata = msgspec.field(default_factory=PodMetadata)
    volumes: Volumes = msgspec.field(default_factory=Volumes)
    options: Options = msgspec.field(default_factory=Options)

    def causes(self, at: str) -> Iterator[Cause]:
        """Return what is wrong, in document order, without the cluster."""
        yield from check_pod_metadata(
            {"labels": self.pod_metadata.labels, "annotations": self.pod_metadata.annotations},
            f"{at}.podMetadata",
        )
        if self.volumes.home is not UNSET:
            yield from checks.name(f"{at}.volumes.home", self.volumes.home)
        for index, volume in enumerate(self.volumes.data):
            yield from checks.name(f"{at}.volumes.data[{index}].pvcName", volume.pvc_name)
            yield from checks.present(f"{at}.volumes.data[{index}].mountPath", volume.mount_path)
        for index, secret in enumerate(self.volumes.secrets or ()):
            where = f"{at}.volumes.secrets[{index}]"
            yield from checks.name(f"{where}.secretName", secret.secret_name)
            yield from checks.present(f"{where}.mountPath", secret.mount_path)
            if secret.default_mode is not UNSET and not 0 <= secret.default_mode <= 0o777:
                yield invalid(
                    f"{where}.defaultMode",
                    secret.default_mode,
                    "must be between 0 and 511 (0777 in octal)",
                )
        yield from checks.present(f"{at}.options.imageConfig", self.options.image_config)
        yield from checks.present(f"{at}.options.podConfig", self.options.pod_config)


class WorkspaceCreate(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Request and response of a create."""

    name: str = ""
    display_name: str | UnsetType = UNSET
    kind: str = ""
    paused: bool = False
    defer_updates: bool | UnsetType = UNSET
    pod_template: PodTemplate = msgspec.field(default_factory=PodTemplate)

    def causes(self) -> list[Cause]:
        """Return what is wrong with the model."""
        found = [*checks.name("data.name", self.name), *checks.name("data.kind", self.kind)]
        return found + list(self.pod_template.causes("data.podTemplate"))


class WorkspaceUpdate(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The update model of GET, PUT and PATCH."""

    revision: str = ""
    display_name: str | UnsetType = UNSET
    paused: bool = False
    defer_updates: bool | UnsetType = UNSET
    pod_template: PodTemplate = msgspec.field(default_factory=PodTemplate)

    def causes(self) -> list[Cause]:
        """Return what is wrong with the model."""
        return [
            *checks.present("data.revision", self.revision),
            *self.pod_template.causes("data.podTemplate"),
        ]


class Pause(msgspec.Struct, forbid_unknown_fields=True):
    """Body of the pause action. A missing `paused` is false, which starts the workspace."""

    paused: bool = False


class Restart(msgspec.Struct, forbid_unknown_fields=True):
    """Body of the restart action; it has no fields yet."""


class Stop(msgspec.Struct, forbid_unknown_fields=True):
    """Body of the stop action; it has no fields yet."""


class ImageRef(msgspec.Struct, omit_defaults=True):
    """Where a kind's picture is."""

    url: str
    error: str | UnsetType = UNSET


class KindRef(msgspec.Struct):
    """The kind of a workspace."""

    name: str
    missing: bool
    icon: ImageRef
    logo: ImageRef


class OptionInfo(msgspec.Struct, rename="camel"):
    """An option for people. `labels` is null if the kind does not have the option."""

    id: str
    display_name: str
    description: str
    labels: list[dict[str, str]] | None


class RedirectStep(msgspec.Struct):
    """One step of a redirect to another option."""

    source: OptionInfo
    target: OptionInfo
    message: dict[str, str] | UnsetType = UNSET


class OptionState(msgspec.Struct, rename="camel"):
    """Current and desired option of a dimension."""

    current: OptionInfo
    redirect_chain: list[RedirectStep] | UnsetType = UNSET


class ListedOptions(msgspec.Struct, rename="camel"):
    """Options in lists."""

    image_config: OptionState
    pod_config: OptionState


class ListedTemplate(msgspec.Struct):
    """The pod template in lists."""

    options: ListedOptions


class Activity(msgspec.Struct, rename="camel"):
    """Activity of a workspace."""

    last_activity: int
    last_update: int
    last_probe: dict[str, Any] | UnsetType = UNSET
    rules: dict[str, Any] | UnsetType = UNSET


class HttpService(msgspec.Struct, rename="camel"):
    """An HTTP port."""

    display_name: str
    http_path: str


class Service(msgspec.Struct, rename="camel"):
    """A port of a workspace."""

    http_service: HttpService


class Audit(msgspec.Struct, rename="camel"):
    """Who created and changed an object, and when."""

    created_at: str | None
    created_by: str | None
    updated_at: str | None
    updated_by: str | None
    deleted_at: str | None


class WorkspaceListItem(msgspec.Struct, rename="camel"):
    """A workspace in lists and events. `services` is empty if the image is unknown."""

    name: str
    namespace: str
    workspace_kind: KindRef
    paused: bool
    paused_time: int
    last_running_time: int
    state: str
    state_message: str
    pod_template: ListedTemplate
    activity: Activity
    services: list[Service]
    audit: Audit
    display_name: str | UnsetType = UNSET
    defer_updates: bool | UnsetType = UNSET
