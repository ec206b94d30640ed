"""Start the servers that a folder of recordings needs, as processes, and stop them by pid."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from control_plane import ControlPlane
from deployed_controller import DeployedController
from waiting import until_started, until_sync

from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import from_kubeconfig
from jupyter_workspaces.local.initial_objects import install
from jupyter_workspaces.localkube.directory import Directory
from jupyter_workspaces.resources.catalog import WORKSPACES

START_SECONDS, STOP_SECONDS = 40.0, 10.0
LOG = "".join(
    f"2026-01-02T03:04:0{second}.000000001Z stdout F line {second}\n" for second in (5, 6, 7)
)
"""Of every container, as a kubelet writes it."""


@contextmanager
def embedded(folder: Path, *, controller: bool = False, node: bool = False) -> Iterator[Path]:
    """Return the kubeconfig of `local start` with the parts that the recordings need."""
    log = folder / "pod.log"
    log.write_text(LOG)
    home = folder / "home"
    flags = [
        "--controller",
        "on" if controller else "off",
        "--node",
        "simulated" if node else "off",
    ]
    environment = os.environ | {"JUPYTER_WORKSPACES_HOME": str(home)}
    local = [sys.executable, "-m", "jupyter_workspaces.cli", "local"]
    subprocess.run(
        [*local, "start", *flags, *(["--pod-log", str(log)] if node else [])],
        env=environment,
        check=True,
        capture_output=True,
    )
    try:
        yield Directory(home).kubeconfig
    finally:
        subprocess.run([*local, "stop"], env=environment, check=True, capture_output=True)


@contextmanager
def real(folder: Path, *, controller: bool = False, node: bool = False) -> Iterator[Path]:
    """Return the kubeconfig of a new real control plane with our CRDs and simulated nodes."""
    plane = ControlPlane(folder / "control-plane")
    plane.start()
    try:
        plane.pod_log.write_text(LOG)
        if node:
            plane.simulated_nodes()
        asyncio.run(_install(plane.kubeconfig))
        until_sync(lambda: plane.ask("GET", WORKSPACES.path())[0] == 200, "served definitions")
        running = (
            DeployedController(plane, plane.kubeconfig, webhook=True).ready()
            if controller
            else None
        )
        try:
            if running is not None:
                running.configure_webhook()
                until_sync(lambda: _refused(plane), "an answer of the webhook")
            yield plane.kubeconfig
        finally:
            if running is not None:
                running.stop()
    finally:
        plane.stop()


async def _install(kubeconfig: Path) -> None:
    async with Cluster(from_kubeconfig(kubeconfig)) as cluster:
        await install(cluster)


def _refused(plane: ControlPlane) -> bool:
    spec = {
        "kind": "none",
        "podTemplate": {"volumes": {}, "options": {"imageConfig": "x", "podConfig": "x"}},
    }
    workspace = {
        "apiVersion": WORKSPACES.api_version,
        "kind": WORKSPACES.kind,
        "metadata": {"name": "x"},
        "spec": spec,
    }
    return plane.ask("POST", f"{WORKSPACES.path('default')}?dryRun=All", workspace)[0] == 422


@contextmanager
def serving(kubeconfig: Path, folder: Path) -> Iterator[str]:
    """The address of `serve --trusted-header-auth` before a cluster."""
    runtime, log = folder / "serve.json", folder / "serve.log"
    program = (
        "import sys; from jupyter_workspaces.server.serve import main; "
        "main(port=0, trusted_header_auth=True, kubeconfig=sys.argv[1], runtime_file=sys.argv[2])"
    )
    with _process(["-c", program, str(kubeconfig), str(runtime)], log) as process:
        until_started(runtime.exists, process, log)
        yield _read(runtime)["url"].rstrip("/")


@contextmanager
def _process(arguments: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    folder = log.parent
    folder.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")
    }
    environment.pop("KUBECONFIG", None)
    with log.open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
