"""Models of details, events, resources and the steps of a start."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType


class HomeVolume(msgspec.Struct, rename="camel"):
    """The home volume."""

    pvc_name: str
    mount_path: str
    read_only: bool = False


class MountedSecret(msgspec.Struct, rename="camel"):
    """A mounted Secret."""

    secret_name: str
    mount_path: str
    default_mode: int | UnsetType = UNSET


class MountedVolumes(msgspec.Struct):
    """Mounted volumes."""

    home: HomeVolume | None
    data: list[HomeVolume] | UnsetType = UNSET
    secrets: list[MountedSecret] | UnsetType = UNSET


class Pod(msgspec.Struct, rename="camel"):
    """The pod of a workspace."""

    name: str
    node_name: str
    containers: list[dict[str, str]] | UnsetType = UNSET
    init_containers: list[dict[str, str]] | UnsetType = UNSET


class Details(msgspec.Struct, rename="camel"):
    """Details of a workspace's pod."""

    pod_metadata: dict[str, dict[str, str]]
    volumes: MountedVolumes
    pod: Pod | UnsetType = UNSET


class Measured(msgspec.Struct):
    """Usage by resource, as quantities (metrics.k8s.io)."""

    timestamp: str
    usage: dict[str, str]


class ContainerResources(msgspec.Struct, rename="camel"):
    """Requests, limits and usage of a container."""

    resources: dict[str, Any]
    metrics_from_metrics_server: Measured | UnsetType = UNSET


class Resources(msgspec.Struct):
    """Containers by name, or the reason why there are none."""

    containers: dict[str, ContainerResources] | UnsetType = UNSET
    error: str | UnsetType = UNSET


class Event(msgspec.Struct):
    """An event. `time` in ms since 1970, `object` as `Pod/name`."""

    time: int
    type: str
    reason: str
    message: str
    object: str
    count: int


class Step(msgspec.Struct, rename="camel"):
    """One step of a start.

    `state` is done, current, waiting or failed. `started_at` is in ms since 1970, 0 before the
    step; `seconds` is null until the step ends.
    """

    id: str
    name: str
    state: str
    started_at: int
    seconds: float | None
    message: str


class Stopping(msgspec.Struct, rename="camel"):
    """Termination of a pod: its start `since` in ms since 1970, and its grace period."""

    since: int
    grace_seconds: int


class Progress(msgspec.Struct, rename="camel"):
    """The steps of a start."""

    steps: list[Step]
    state: str
    state_message: str
    stopping: Stopping | UnsetType = UNSET
