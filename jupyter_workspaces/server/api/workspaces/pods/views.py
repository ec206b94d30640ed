"""Converts pods and events to models."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from jupyter_workspaces.common.timestamps import milliseconds
from jupyter_workspaces.kube.types import ObjectView
from jupyter_workspaces.resources.unreadable import mapping
from jupyter_workspaces.resources.views import WorkspaceKindView, WorkspaceView

from . import models


def details(workspace: ObjectView, kind: ObjectView | None) -> models.Details:
    """Return details. The pod is missing until the controller records one."""
    template = WorkspaceView(workspace).pod_template
    metadata, volumes = template.get("podMetadata") or {}, template["volumes"]
    home = None
    if volumes.get("home"):
        path = (
            WorkspaceKindView(kind).pod_template["volumeMounts"]["home"]
            if kind is not None
            else "__UNKNOWN_HOME_MOUNT_PATH__"
        )
        home = models.HomeVolume(volumes["home"], path)
    data = [
        models.HomeVolume(one["pvcName"], one["mountPath"], bool(one.get("readOnly")))
        for one in volumes.get("data") or ()
    ]
    secrets = [
        models.MountedSecret(one["secretName"], one["mountPath"], one.get("defaultMode", UNSET))
        for one in volumes.get("secrets") or ()
    ]
    recorded = WorkspaceView(workspace).status.get("podTemplatePod") or {}
    pod: models.Pod | UnsetType = UNSET
    if recorded.get("name"):
        pod = models.Pod(
            recorded["name"],
            recorded.get("nodeName", ""),
            recorded.get("containers") or UNSET,
            recorded.get("initContainers") or UNSET,
        )
    return models.Details(
        {
            "labels": dict(metadata.get("labels") or {}),
            "annotations": dict(metadata.get("annotations") or {}),
        },
        models.MountedVolumes(home, data or UNSET, secrets or UNSET),
        pod,
    )


def resources(pod: ObjectView, measured: ObjectView) -> models.Resources:
    """Return resources. `measured` is a PodMetrics of metrics.k8s.io; empty for none."""
    usage = {
        container["name"]: container.get("usage") or {}
        for container in measured.get("containers") or ()
    }
    found = {}
    for container in pod["spec"]["containers"]:
        name = container["name"]
        told = (
            models.Measured(measured.get("timestamp", ""), dict(usage[name]))
            if name in usage
            else UNSET
        )
        found[name] = models.ContainerResources(dict(container.get("resources") or {}), told)
    return models.Resources(found)


def event(obj: ObjectView) -> models.Event:
    """Return the model of an event."""
    involved = mapping(obj.get("involvedObject"))
    time = (
        obj.get("lastTimestamp") or obj.get("eventTime") or obj["metadata"].get("creationTimestamp")
    )
    return models.Event(
        time=milliseconds(time),
        type=obj.get("type") or "Normal",
        reason=obj.get("reason") or "",
        message=obj.get("message") or "",
        object=f"{involved.get('kind')}/{involved.get('name')}",
        count=obj.get("count") or 1,
    )
