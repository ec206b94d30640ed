"""Programs in pods, and kubectl beside them, find the API of the local cluster."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import control_plane_binaries
import pytest
from running_cluster import ask
from waiting import until_sync

from jupyter_workspaces.local import launch
from jupyter_workspaces.localkube.node.processes import mounts

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(mounts.namespaces() is None, reason="no mount namespaces can be made here"),
]

PODS = "/api/v1/namespaces/default/pods"
BINDING = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "RoleBinding",
    "metadata": {"name": "see"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
    "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}],
}
PYTHON = """
import kubernetes
kubernetes.config.load_incluster_config()
print("python sees", [pod.metadata.name for pod in\
 kubernetes.client.CoreV1Api().list_namespaced_pod("default").items])
"""


def kubectl() -> str:
    found = control_plane_binaries.find().get("kubectl") or os.environ.get(
        "JUPYTER_WORKSPACES_KUBECTL"
    )
    if not found:
        pytest.skip("no kubectl: set JW_TEST_BINARIES or JUPYTER_WORKSPACES_KUBECTL")
    return str(found)


def run_pod(home: Path, name: str, script: str, **container: Any) -> None:
    main = {"name": "main", "image": "local", "command": ["sh", "-c", script], **container}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [main]},
    }

    def made() -> bool:
        status, answer = ask(home, "POST", PODS, pod)
        assert status in (201, 403), (
            answer
        )  # its namespace's account comes a moment after the namespace
        return status == 201

    until_sync(made, f"the pod {name}")


def log(home: Path, name: str) -> str:
    called = subprocess.run(
        [kubectl(), f"--kubeconfig={home}/kubeconfig", "logs", name],
        capture_output=True,
        text=True,
        timeout=30,
    )
    return called.stdout


def test_kubectl_and_the_python_client_work_inside_a_pod(home: Path) -> None:
    launch.start(home)
    assert (
        ask(
            home,
            "POST",
            "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
            BINDING,
        )[0]
        == 201
    )
    script = f'{kubectl()} get pods -o name; {sys.executable} -c "$SCRIPT"; sleep 600'

    run_pod(home, "inside", script, env=[{"name": "SCRIPT", "value": PYTHON}])

    said = until_sync(
        lambda: "python sees" in (text := log(home, "inside")) and text,
        "what the programs in the pod see",
    )
    assert "pod/inside" in said
    assert "python sees ['inside']" in said


def test_the_service_kubernetes_leads_to_the_api_after_a_restart_too(home: Path) -> None:
    path = "/api/v1/namespaces/default/services/kubernetes"
    for _ in range(2):
        launch.start(home)
        port = int(str(launch.status(home).url).rpartition(":")[2])
        spec = ask(home, "GET", path)[1]["spec"]
        assert (spec["clusterIP"], spec["ports"][0]["port"], spec["ports"][0]["targetPort"]) == (
            "127.0.0.1",
            port,
            port,
        )
        launch.stop(home)
        (home / "port").unlink()


@pytest.mark.parametrize("target", [8888, "web"], ids=["number", "name"])
async def test_kubectl_forwards_a_services_port_to_its_target_port(
    home: Path, target: int | str
) -> None:
    await asyncio.to_thread(launch.start, home)
    address = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    serves = f"exec {sys.executable} -m http.server 8888 --bind $POD_IP --directory /usr/share"
    ports = [{"name": "web", "containerPort": 8888}]
    probe = {"tcpSocket": {"port": "web"}, "periodSeconds": 1}
    await asyncio.to_thread(
        run_pod, home, "server", serves, env=[address], ports=ports, readinessProbe=probe
    )
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "front"}}
    service |= {
        "spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": target}]}
    }
    assert ask(home, "POST", "/api/v1/namespaces/default/services", service)[0] == 201

    def ready() -> bool:
        conditions = ask(home, "GET", f"{PODS}/server")[1].get("status", {}).get("conditions") or ()
        return any(found["type"] == "Ready" and found["status"] == "True" for found in conditions)

    await asyncio.to_thread(until_sync, ready, "a ready pod")
    arguments = (f"--kubeconfig={home}/kubeconfig", "port-forward", "svc/front", ":80")
    process = await asyncio.create_subprocess_exec(
        kubectl(), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        assert "-> 8888" in line
        local = int(line.split("127.0.0.1:")[1].split()[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", local)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.0 200")
        writer.close()
    finally:
        process.kill()
        await process.communicate()
