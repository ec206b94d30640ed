"""An operator in Go with controller-runtime, which writes built-in kinds in protobuf."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import control_plane_binaries
from control_plane_binaries import Module
from matrix_clients import Client

SCRIPT = "scenario_controller_runtime.py"
PROGRAM = "controller-runtime"
MODULE = Module(str(Path(__file__).resolve().with_name("controller_runtime")), {PROGRAM: "."})


def clients() -> list[Client]:
    return [Client(PROGRAM, SCRIPT)]


def built(client: Client) -> Client:
    """Build the program if it is missing and return the client with its path.

    Other clients are returned unchanged.

    Raises:
        NoBinaries: if it cannot be built.
    """
    if client.script != SCRIPT:
        return client
    return replace(client, program=control_plane_binaries.ensure_version(PROGRAM, MODULE) / PROGRAM)
