"""What the tests of the API ask for, and the objects that they put into the cluster."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from real_api import RealApi

from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.http.server import ApiServer

API = ("workspaces", "api", "v1")
Ask = Callable[..., Awaitable[Any]]


def claim(name: str, labels: dict[str, str]) -> Object:
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "standard",
        "resources": {"requests": {"storage": "1Gi"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": spec,
    }


def workspace(name: str = "desk", **changes: Any) -> Object:
    """A create body."""
    return {
        "data": {
            "name": name,
            "kind": "jupyterlab",
            "paused": False,
            "podTemplate": {
                "podMetadata": {"labels": {}, "annotations": {}},
                "volumes": {"home": "home", "data": []},
                "options": {"imageConfig": "jupyterlab_scipy_190", "podConfig": "tiny_cpu"},
            },
        }
        | changes
    }


def status(state: str, **changes: Any) -> Object:
    """A whole status of a Workspace."""
    return {
        "activity": {"lastActivity": 0, "lastUpdate": 0},
        "lastRunningTime": 0,
        "pauseTime": 0,
        "pendingRestart": False,
        "podTemplateOptions": {"imageConfig": {}, "podConfig": {}},
        "podTemplatePod": {"name": "", "nodeName": ""},
        "state": state,
        "stateMessage": "so it is",
    } | changes


def set_status(cluster: ApiServer | RealApi, name: str, state: str, **changes: Any) -> None:
    """Write a Workspace's status as the controller would."""
    if isinstance(cluster, RealApi):
        cluster.write_status(name, status(state, **changes))
        return
    row = cluster.engine.registry.get("kubeflow.org", "v1beta1", "workspaces")
    assert row is not None
    cluster.engine.patch(
        row, "default", name, lambda held: held | {"status": status(state, **changes)}, "status"
    )
