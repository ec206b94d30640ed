"""The kubectls that are tried: the control plane's own and the oldest that builds."""

from __future__ import annotations

from dataclasses import replace

import control_plane_binaries
from matrix_clients import Client

SCRIPT = "scenario_kubectl.py"
CURRENT = f"kubectl-{control_plane_binaries.KUBERNETES.rpartition('.')[0]}"
# Kubernetes 1.14 and older have no list of the modules they need, so nothing says what to build them with.
OLDEST = (
    "1.15.12",
    "kubectl_1_15",
    ("k8s.io/kubernetes/pkg/kubectl/version", "k8s.io/client-go/pkg/version"),
)


def clients() -> list[Client]:
    return [Client(CURRENT, SCRIPT), Client(f"kubectl-{OLDEST[0].rpartition('.')[0]}", SCRIPT)]


def built(client: Client) -> Client:
    """With its program, which is built where it is missing; other clients as they are. Raises `NoBinaries`."""
    if client.script != SCRIPT:
        return client
    if client.name == CURRENT:
        return replace(client, program=control_plane_binaries.ensure()["kubectl"])
    version, folder, places = OLDEST
    module = control_plane_binaries.kubernetes_module(
        folder, version, "kubectl", older_places=places
    )
    return replace(
        client, program=control_plane_binaries.ensure_version(version, module) / "kubectl"
    )
