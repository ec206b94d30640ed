"""The real control plane behaves as other tests expect."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psutil
import pytest
from control_plane import ControlPlane
from real_cluster import RealCluster

from jupyter_workspaces.kube.types import Object

pytestmark = pytest.mark.slow

SCOPE = "control-plane"
OBJECTS = f"/api/v1/namespaces/{SCOPE}"


@pytest.fixture(scope="module")
def plane(real_cluster: RealCluster) -> ControlPlane:
    own = real_cluster.require_own()
    own.simulated_nodes()
    own.ask(
        "POST",
        "/api/v1/namespaces",
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SCOPE}},
    )
    own.wait(
        lambda: own.ask("GET", f"{OBJECTS}/serviceaccounts/default")[0] == 200,
        "the namespace's account",
    )
    return own


def until_phase(plane: ControlPlane, path: str, phase: str) -> Object:
    plane.wait(
        lambda: plane.ask("GET", path)[1].get("status", {}).get("phase") == phase,
        f"{path} to be {phase}",
    )
    found: Object = plane.ask("GET", path)[1]
    return found


def run_pod(plane: ControlPlane, name: str, **spec: Any) -> Object:
    body = {
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "main", "image": "lab"}], **spec},
    }
    code, answer = plane.ask("POST", f"{OBJECTS}/pods", body)
    assert code == 201, answer
    return until_phase(plane, f"{OBJECTS}/pods/{name}", "Running")


def test_a_simulated_pod_runs_has_a_log_and_takes_commands(plane: ControlPlane) -> None:
    made = run_pod(plane, "simulated", initContainers=[{"name": "first", "image": "init"}])
    assert {one["type"] for one in made["status"]["conditions"] if one["status"] == "True"} >= {
        "PodScheduled",
        "Initialized",
        "Ready",
    }
    assert made["status"]["podIP"]
    logs = plane.kubectl("logs", "--namespace", SCOPE, "simulated", "--container", "main")
    assert "a line of a pod's log" in logs.stdout, logs.stderr
    echoed = plane.kubectl(
        "exec", "--namespace", SCOPE, "simulated", "--container", "main", "--", "echo", "hello"
    )
    assert echoed.stdout == "hello\n", echoed.stderr
    plane.ask("DELETE", f"{OBJECTS}/pods/simulated")
    plane.wait(
        lambda: plane.ask("GET", f"{OBJECTS}/pods/simulated")[0] == 404, "the end of the pod"
    )


def test_a_claim_is_bound_carries_a_pod_and_takes_its_volume_along(plane: ControlPlane) -> None:
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "any",
        "resources": {"requests": {"storage": "1Gi"}},
    }
    code, answer = plane.ask(
        "POST", f"{OBJECTS}/persistentvolumeclaims", {"metadata": {"name": "home"}, "spec": spec}
    )
    assert code == 201, answer
    bound = until_phase(plane, f"{OBJECTS}/persistentvolumeclaims/home", "Bound")
    volume = f"/api/v1/persistentvolumes/{bound['spec']['volumeName']}"
    assert plane.ask("GET", volume)[1]["spec"]["hostPath"]["path"].startswith(str(plane.folder))
    run_pod(
        plane, "carried", volumes=[{"name": "home", "persistentVolumeClaim": {"claimName": "home"}}]
    )
    plane.ask("DELETE", f"{OBJECTS}/pods/carried")
    plane.ask("DELETE", f"{OBJECTS}/persistentvolumeclaims/home")
    plane.wait(lambda: plane.ask("GET", volume)[0] == 404, "the end of the volume")


def test_a_person_may_nothing_until_a_rule_says_so(plane: ControlPlane) -> None:
    dora = plane.person("dora", "team-a")
    refused = plane.kubectl("get", "pods", "--namespace", SCOPE, kubeconfig=dora)
    assert 'User "dora" cannot list resource "pods"' in refused.stderr
    reference = {"kind": "ClusterRole", "name": "view", "apiGroup": "rbac.authorization.k8s.io"}
    subjects = [{"kind": "Group", "name": "team-a", "apiGroup": "rbac.authorization.k8s.io"}]
    body = {"metadata": {"name": "readers"}, "roleRef": reference, "subjects": subjects}
    assert (
        plane.ask(
            "POST", f"/apis/rbac.authorization.k8s.io/v1/namespaces/{SCOPE}/rolebindings", body
        )[0]
        == 201
    )
    plane.wait(
        lambda: plane.kubectl("get", "pods", "--namespace", SCOPE, kubeconfig=dora).returncode == 0,
        "the right",
    )


def test_it_calls_itself_by_its_version(plane: ControlPlane) -> None:
    told = json.loads(plane.kubectl("version", "--output=json").stdout)
    assert told["serverVersion"]["gitVersion"] == told["clientVersion"]["gitVersion"] == "v1.36.3"


def test_a_second_one_stands_beside_it_and_leaves_nothing(
    plane: ControlPlane, tmp_path: Path
) -> None:
    second = ControlPlane(tmp_path / "second", plane.programs, controllers=False)
    second.start()
    try:
        assert second.url != plane.url
        assert second.ask("GET", f"{OBJECTS}/pods")[1]["items"] == []
        running = [
            process
            for process in psutil.Process().children()
            if str(second.folder) in " ".join(process.cmdline())
        ]
        assert len(running) == 2
    finally:
        second.stop()
    assert second.ask("GET", "/readyz")[0] == 0
    assert not any(
        process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in running
    )
