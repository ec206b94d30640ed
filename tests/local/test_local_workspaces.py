"""Workspaces on the local cluster, and what outlives what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import pytest
from running_cluster import ask, kill
from waiting import until_sync

from jupyter_workspaces.local import launch
from jupyter_workspaces.localkube.node.processes.trees import shims
from jupyter_workspaces.localkube.node.records import all_pods

pytestmark = pytest.mark.slow

CLAIMS = "/api/v1/namespaces/default/persistentvolumeclaims"
WORKSPACES = "/apis/kubeflow.org/v1beta1/namespaces/default/workspaces"


def claim(name: str) -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    labels = {"notebooks.kubeflow.org/can-mount": "true"}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
    }


def workspace(name: str, home: str) -> dict[str, Any]:
    return {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Workspace",
        "metadata": {"name": name},
        "spec": {
            "paused": False,
            "kind": "jupyterlab",
            "podTemplate": {
                "volumes": {"home": home, "data": []},
                "options": {"imageConfig": "jupyterlab_scipy_190", "podConfig": "tiny_cpu"},
            },
        },
    }


def state(home: Path, name: str) -> str:
    status, found = ask(home, "GET", f"{WORKSPACES}/{name}")
    return str((found.get("status") or {}).get("state", "")) if status == 200 else "gone"


def labs(home: Path) -> list[int]:
    """The workspaces' own processes, those that the node started first."""
    return sorted(process.pid for files in all_pods(home) for process in shims(files))


def test_a_workspace_outlives_the_cluster_and_its_home_outlives_the_workspace(home: Path) -> None:
    launch.start(home)
    assert ask(home, "POST", CLAIMS, claim("home-of-dora"))[0] == 201
    status, made = ask(home, "POST", WORKSPACES, workspace("dora", "home-of-dora"))
    assert status == 201, made
    until_sync(lambda: state(home, "dora") == "Running", "a running workspace")
    before = labs(home)
    assert before
    assert launch.status(home).pods == 1

    kill(home)
    launch.start(home)

    assert labs(home) == before
    assert until_sync(lambda: launch.status(home).pods == 1, "the pod's adoption")
    until_sync(lambda: state(home, "dora") == "Running", "the workspace's state after the restart")

    ask(home, "PATCH", f"{WORKSPACES}/dora", {"spec": {"paused": True}})
    until_sync(lambda: state(home, "dora") == "Paused", "a paused workspace")
    until_sync(lambda: not labs(home), "the end of its processes")
    ask(home, "PATCH", f"{WORKSPACES}/dora", {"spec": {"paused": False}})
    until_sync(lambda: state(home, "dora") == "Running", "a resumed workspace")

    assert launch.stop(home, pods=True)
    assert labs(home) == []
    launch.start(home)
    assert ask(home, "DELETE", f"{WORKSPACES}/dora")[0] == 200
    until_sync(lambda: state(home, "dora") == "gone", "the end of the workspace")
    assert ask(home, "GET", f"{CLAIMS}/home-of-dora")[1]["status"]["phase"] == "Bound"
    volume = ask(home, "GET", f"{CLAIMS}/home-of-dora")[1]["spec"]["volumeName"]
    assert (home / "volumes" / volume).is_dir()
    until_sync(lambda: not labs(home), "the end of its processes")


def test_a_stopped_lab_says_that_it_does_not_answer_until_it_goes_on(home: Path) -> None:
    launch.start(home)
    ask(home, "POST", CLAIMS, claim("home-of-dora"))
    ask(home, "POST", WORKSPACES, workspace("dora", "home-of-dora"))
    until_sync(lambda: state(home, "dora") == "Running", "a running workspace")
    (shim,) = labs(home)
    (lab,) = psutil.Process(shim).children()

    lab.suspend()
    until_sync(lambda: state(home, "dora") == "Error", "the stopped Lab to be noticed")
    message = ask(home, "GET", f"{WORKSPACES}/dora")[1]["status"]["stateMessage"]
    lab.resume()

    assert "does not respond" in message
    until_sync(lambda: state(home, "dora") == "Running", "the Lab that goes on")


def test_a_claim_of_a_running_workspace_cannot_be_pulled_away(home: Path) -> None:
    launch.start(home)
    ask(home, "POST", CLAIMS, claim("home-of-dora"))
    ask(home, "POST", WORKSPACES, workspace("dora", "home-of-dora"))
    until_sync(lambda: state(home, "dora") == "Running", "a running workspace")

    assert ask(home, "DELETE", f"{CLAIMS}/home-of-dora")[0] == 200

    held = ask(home, "GET", f"{CLAIMS}/home-of-dora")[1]
    assert held["metadata"]["deletionTimestamp"]
    assert state(home, "dora") == "Running"
    ask(home, "DELETE", f"{WORKSPACES}/dora")
    until_sync(lambda: ask(home, "GET", f"{CLAIMS}/home-of-dora")[0] == 404, "the end of the claim")
    assert until_sync(lambda: not list((home / "volumes").iterdir()), "the end of its folder")
