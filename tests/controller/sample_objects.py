"""A Workspace and its WorkspaceKind for tests without a cluster."""

from __future__ import annotations

import copy
from typing import Any

from jupyter_workspaces.controller.workspaces import manifests
from jupyter_workspaces.controller.workspaces.options import resolve
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources import bundled

KIND: Object = next(
    found for found in bundled.samples() if found["metadata"]["name"] == "jupyterlab"
)
NOW = 1_800_000_000_000


def kind(**changes: Any) -> Object:
    """Return the JupyterLab kind with parts of its pod template replaced."""
    found = copy.deepcopy(KIND)
    found["spec"]["podTemplate"] |= changes
    return found


def workspace(
    image: str = "jupyterlab_scipy_190", size: str = "tiny_cpu", name: str = "dora", **spec: Any
) -> Object:
    volumes = {
        "home": "home-of-dora",
        "data": [
            {"pvcName": "pile", "mountPath": "/data/pile", "readOnly": False},
            {"pvcName": "book", "mountPath": "/data/book", "readOnly": True},
        ],
        "secrets": [{"secretName": "login", "mountPath": "/login"}],
    }
    template = {
        "podMetadata": {"labels": {"team": "red"}},
        "volumes": volumes,
        "options": {"imageConfig": image, "podConfig": size},
    }
    return {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Workspace",
        "metadata": {"name": name, "namespace": "lab", "uid": "uid-of-dora"},
        "spec": {"kind": "jupyterlab", "paused": False, "podTemplate": template} | spec,
    }


def pod_template(
    of: Object | None = None, token: str | None = "token-of-dora", **changes: Any
) -> Object:
    wanted, given = of or workspace(), kind(**changes)
    options = resolve(given, wanted)
    return manifests.pod_template(
        wanted, given, options["imageConfig"], options["podConfig"], token
    )
