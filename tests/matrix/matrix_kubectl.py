"""kubectl as a client of the matrix: the one that is built with the control plane."""

from __future__ import annotations

from dataclasses import replace

import control_plane_binaries
from matrix_clients import Client

SCRIPT = "scenario_kubectl.py"
CURRENT = f"kubectl-{control_plane_binaries.KUBERNETES.rpartition('.')[0]}"


def clients() -> list[Client]:
    """Return the kubectls to test."""
    return [Client(CURRENT, SCRIPT)]


def built(client: Client) -> Client:
    """Build kubectl if it is missing and return the client with its path.

    Other clients are returned unchanged.

    Raises:
        NoBinaries: if kubectl cannot be built.
    """
    if client.script != SCRIPT:
        return client
    return replace(client, program=control_plane_binaries.ensure()["kubectl"])
