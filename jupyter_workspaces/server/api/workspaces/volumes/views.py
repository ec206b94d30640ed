"""Converts claims, volumes and storage classes to models."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from msgspec import UNSET

from jupyter_workspaces.common.quantities import QuantityError, canonical
from jupyter_workspaces.kube.types import ObjectView
from jupyter_workspaces.resources import metadata_keys
from jupyter_workspaces.resources.unreadable import mapping, sentence, text
from jupyter_workspaces.resources.views import PodView, WorkspaceView
from jupyter_workspaces.server.api.workspaces.audit import audit
from jupyter_workspaces.server.api.workspaces.unreadable import readable

from . import models


def storage_class(obj: ObjectView) -> models.StorageClass:
    """Return a storage class. Only the label `can-use=true` allows its use."""
    metadata = obj["metadata"]
    annotations = metadata.get("annotations") or {}
    return models.StorageClass(
        name=metadata["name"],
        display_name=annotations.get(metadata_keys.DISPLAY_NAME, ""),
        description=annotations.get(metadata_keys.DESCRIPTION, ""),
        can_use=_labelled(obj, metadata_keys.CAN_USE),
    )


def claim(
    obj: ObjectView,
    volume: ObjectView | None,
    volume_class: ObjectView | None,
    pods: Iterable[ObjectView],
    workspaces: Iterable[ObjectView],
) -> models.Claim:
    """Return a claim."""
    metadata, spec = obj["metadata"], obj["spec"]
    storage = ((spec.get("resources") or {}).get("requests") or {}).get("storage", "")
    return models.Claim(
        name=metadata["name"],
        can_mount=_labelled(obj, metadata_keys.CAN_MOUNT),
        can_update=_labelled(obj, metadata_keys.CAN_UPDATE),
        pods=[shown for pod in pods if (shown := readable(pod, partial(_pod, pod))) is not None],
        workspaces=[
            shown
            for one in workspaces
            if (shown := readable(one, partial(_workspace, one))) is not None
        ],
        audit=audit(metadata),
        pvc_spec=models.ClaimSpec(
            {"storage": storage},
            spec.get("accessModes") or [],
            spec.get("volumeMode", ""),
            spec.get("storageClassName") or "",
        ),
        pv=UNSET if volume is None else _volume(volume, volume_class),
    )


def unreadable_claim(
    obj: ObjectView, pods: Iterable[ObjectView], workspaces: Iterable[ObjectView]
) -> models.Claim:
    """Return a malformed claim: not mountable, with the reason as `problem`."""
    metadata = mapping(obj.get("metadata"))
    return models.Claim(
        name=text(metadata.get("name")),
        can_mount=False,
        can_update=False,
        pods=[shown for pod in pods if (shown := readable(pod, partial(_pod, pod))) is not None],
        workspaces=[
            shown
            for one in workspaces
            if (shown := readable(one, partial(_workspace, one))) is not None
        ],
        audit=audit(metadata),
        pvc_spec=models.ClaimSpec({"storage": ""}, [], "", ""),
        problem=sentence(obj),
    )


def created(obj: ObjectView) -> models.ClaimCreate:
    """Return the response to a created claim, with its size in canonical form."""
    spec = obj["spec"]
    storage = spec["resources"]["requests"]["storage"]
    try:
        storage = canonical(storage)
    except QuantityError:
        pass  # as the cluster stored it
    return models.ClaimCreate(
        obj["metadata"]["name"],
        spec["accessModes"],
        spec.get("storageClassName") or "",
        models.Requests(storage),
    )


def claims_of(pod: ObjectView) -> set[str]:
    """Return the names of the claims that a pod mounts."""
    volumes = pod["spec"].get("volumes") or ()
    return {
        volume["persistentVolumeClaim"]["claimName"]
        for volume in volumes
        if "persistentVolumeClaim" in volume
    }


def claims_of_workspace(workspace: ObjectView) -> set[str]:
    """Return the names of the claims of a workspace, each once."""
    volumes = WorkspaceView(workspace).volumes
    return {
        *([volumes["home"]] if volumes.get("home") else []),
        *(data["pvcName"] for data in volumes.get("data") or ()),
    }


def _pod(pod: ObjectView) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": pod["metadata"]["name"],
        "phase": PodView(pod).phase or "",
    }
    return shown | ({"node": {"name": PodView(pod).node_name}} if PodView(pod).node_name else {})


def _workspace(workspace: ObjectView) -> dict[str, Any]:
    status = workspace.get("status") or {}
    pod = status.get("podTemplatePod") or {}
    shown: dict[str, Any] = {
        "name": workspace["metadata"]["name"],
        "state": status.get("state", ""),
        "stateMessage": status.get("stateMessage", ""),
    }
    if pod.get("name"):
        shown["podTemplatePod"] = {"name": pod["name"]} | (
            {"node": {"name": pod["nodeName"]}} if pod.get("nodeName") else {}
        )
    return shown


def _volume(volume: ObjectView, volume_class: ObjectView | None) -> dict[str, Any]:
    spec = volume["spec"]
    shown: dict[str, Any] = {
        "name": volume["metadata"]["name"],
        "persistentVolumeReclaimPolicy": spec.get("persistentVolumeReclaimPolicy", ""),
        "volumeMode": spec.get("volumeMode", ""),
        "accessModes": spec.get("accessModes") or [],
    }
    if volume_class is not None:
        found = storage_class(volume_class)
        shown["storageClass"] = {
            "name": found.name,
            "displayName": found.display_name,
            "description": found.description,
        }
    return shown


def _labelled(obj: ObjectView, label: str) -> bool:
    return (obj["metadata"].get("labels") or {}).get(label) == "true"
