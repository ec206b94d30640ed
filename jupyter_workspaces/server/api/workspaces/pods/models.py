"""What goes over the wire: details (contract operation 11), events and the steps of a start (ours)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType


class HomeVolume(msgspec.Struct, rename="camel"):
    pvc_name: str
    mount_path: str
    read_only: bool = False


class MountedSecret(msgspec.Struct, rename="camel"):
    secret_name: str
    mount_path: str
    default_mode: int | UnsetType = UNSET


class MountedVolumes(msgspec.Struct):
    home: HomeVolume | None
    data: list[HomeVolume] | UnsetType = UNSET
    secrets: list[MountedSecret] | UnsetType = UNSET


class Pod(msgspec.Struct, rename="camel"):
    name: str
    node_name: str
    containers: list[dict[str, str]] | UnsetType = UNSET
    init_containers: list[dict[str, str]] | UnsetType = UNSET


class Details(msgspec.Struct, rename="camel"):
    pod_metadata: dict[str, dict[str, str]]
    volumes: MountedVolumes
    pod: Pod | UnsetType = UNSET


class Measured(msgspec.Struct):
    """As metrics.k8s.io tells it: `usage` by resource, as quantities."""

    timestamp: str
    usage: dict[str, str]


class ContainerResources(msgspec.Struct, rename="camel"):
    resources: dict[str, Any]
    metrics_from_metrics_server: Measured | UnsetType = UNSET


class Resources(msgspec.Struct):
    """Either the containers by name, or why there are none to tell of."""

    containers: dict[str, ContainerResources] | UnsetType = UNSET
    error: str | UnsetType = UNSET


class Event(msgspec.Struct):
    """`time` in ms, `object` as `Pod/name`."""

    time: int
    type: str
    reason: str
    message: str
    object: str
    count: int


class Step(msgspec.Struct, rename="camel"):
    """One step of a start. `state` is done, current, waiting or failed; `started_at` in ms, 0 when it has not begun; `seconds` null as long as it lasts."""

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
    steps: list[Step]
    state: str
    state_message: str
    stopping: Stopping | UnsetType = UNSET
