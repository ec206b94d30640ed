"""Volumes of a workspace in short form, and a kind with volumes of its own."""

from __future__ import annotations

from jupyter_workspaces.kube.types import Object

KIND_TEMPLATE = {
    "volumeMounts": {"home": "/home/jovyan"},
    "extraVolumes": [{"name": "dshm", "emptyDir": {"medium": "Memory"}}],
    "extraVolumeMounts": [
        {"name": "dshm", "mountPath": "/dev/shm"},
        {"name": "unknown", "mountPath": "/lost"},
    ],
}


def volumes_of(volumes: Object) -> Object:
    """Return `spec.podTemplate.volumes` for names and mount paths, and the claim of the home."""
    found: Object = {
        "data": [{"pvcName": name, "mountPath": path} for name, path in volumes.get("data", ())]
    }
    if volumes.get("secrets"):
        found["secrets"] = [
            {"secretName": name, "mountPath": path} for name, path in volumes["secrets"]
        ]
    return found | ({"home": volumes["home"]} if "home" in volumes else {})
