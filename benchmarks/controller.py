"""The controller on a real API server: load of many workspaces, and requests when idle.

Needs the programs of tests/control_plane, which
`python tests/control_plane/control_plane_binaries.py` builds once. kwok simulates the pods.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from measure import Figure, at_least, at_most

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS / folder) for folder in ("control_plane", "support")]

from control_plane import ControlPlane  # noqa: E402
from deployed_controller import DeployedController, account_kubeconfig, install, requests  # noqa: E402
from waiting import until_sync  # noqa: E402

from jupyter_workspaces.resources import bundled  # noqa: E402
from jupyter_workspaces.resources.catalog import WORKSPACES  # noqa: E402

WORKSPACES_AT_ONCE = 500
CONNECTIONS = 16
LIMIT_SECONDS = 600.0
SETTLE_SECONDS = 15.0
IDLE_SECONDS = 60.0
NODES = 5

WRITES = ("POST", "PUT", "PATCH", "APPLY", "DELETE")
READS = ("GET", "LIST")
WRITTEN = (
    "workspaces",
    "workspaces/status",
    "serviceaccounts",
    "secrets",
    "services",
    "statefulsets",
    "rolebindings",
)
"""What nobody but the controller (and we, who create the workspaces) writes here."""
READ = (*WRITTEN, "workspacekinds", "workspacekinds/status", "configmaps", "deployments")


def measure(count: int = WORKSPACES_AT_ONCE) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="jw-controller-") as folder:
        plane = ControlPlane(Path(folder) / "plane")
        plane.start()
        try:
            return _measure(plane, count)
        finally:
            plane.stop()


def _measure(plane: ControlPlane, count: int) -> list[Figure]:
    plane.simulated_nodes(NODES, pods="1000")
    install(
        plane, [_without_probe(obj) for obj in bundled.samples() if obj["kind"] == "WorkspaceKind"]
    )
    others = _in_a_while(lambda: requests(plane, (*READS, *WRITES), READ))
    controller = DeployedController(plane, account_kubeconfig(plane), webhook=True).ready()
    try:
        until_sync(controller.leads, "a leader")
        controller.configure_webhook()
        before, own = requests(plane, WRITES, WRITTEN), _own_writes(controller)
        began = time.perf_counter()
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(lambda number: _create(plane, number), range(count)))
        created = time.perf_counter() - began
        until_sync(
            lambda: controller.metric("jupyter_workspaces_workspaces", state="Running") == count,
            "all workspaces Running",
            LIMIT_SECONDS,
        )
        running = time.perf_counter() - began
        time.sleep(SETTLE_SECONDS)
        writes, own_writes = (
            requests(plane, WRITES, WRITTEN) - before - count,
            _own_writes(controller) - own,
        )
        reconciles = controller.metric(
            "jupyter_workspaces_reconciles_total", controller="workspace"
        )
        own_before = _own(controller)
        idle = _in_a_while(lambda: requests(plane, (*READS, *WRITES), READ))
        own_idle = (_own(controller) - own_before) * 60 / IDLE_SECONDS
        memory = controller.metric("process_resident_memory_bytes") / 2**20
    finally:
        controller.stop()
    compared = f"{count} workspaces at once, created in {created:.1f} s"
    return [
        Figure(
            "controller: all workspaces Running", f"{running:.1f} s", "told only", True, compared
        ),
        at_least("controller: workspaces Running a second", count / running, 1, "/s", compared),
        at_most(
            "controller: API writes for each workspace",
            own_writes / count,
            12,
            "",
            "the controller's own count, with events",
        ),
        at_most(
            "controller: the same by the API server",
            writes / count,
            12,
            "",
            "its metrics; what it writes of workspaces and what they own",
        ),
        at_most("controller: reconciles for each workspace", reconciles / count, 25, ""),
        at_most(
            "controller: API requests in an idle minute",
            own_idle,
            14,
            "",
            "two for each of six lease renewals",
        ),
        at_most(
            "controller: the same by the API server, without the lease",
            max(0.0, idle - others),
            2,
            "",
            f"{others:.0f} before it ran",
        ),
        at_most("controller: memory", memory, 300, "MiB", compared),
    ]


def _without_probe(kind: dict[str, Any]) -> dict[str, Any]:
    """Without activity probes: simulated pods have no activity, and each probe is a write."""
    kind["spec"]["podTemplate"].pop("activityProbe", None)
    kind["spec"].pop("activityRules", None)
    return kind


def _in_a_while(count: Callable[[], float]) -> float:
    """How much a count grows in a minute in which nobody does anything."""
    before = count()
    time.sleep(IDLE_SECONDS)
    return (count() - before) * 60 / IDLE_SECONDS


def _create(plane: ControlPlane, number: int) -> None:
    options = {"imageConfig": "jupyterlab_scipy_190", "podConfig": "tiny_cpu"}
    spec = {"kind": "jupyterlab", "podTemplate": {"volumes": {"data": []}, "options": options}}
    metadata = {"name": f"w{number}", "namespace": "default"}
    body = {
        "apiVersion": WORKSPACES.api_version,
        "kind": WORKSPACES.kind,
        "metadata": metadata,
        "spec": spec,
    }
    code, answer = plane.ask("POST", WORKSPACES.path("default"), body)
    if code != 201:
        raise RuntimeError(f"workspace {number} was refused: {answer}")


def _own_writes(controller: DeployedController) -> float:
    return sum(
        controller.metric("jupyter_workspaces_api_requests_total", verb=verb)
        for verb in ("POST", "PUT", "PATCH", "DELETE")
    )


def _own(controller: DeployedController) -> float:
    return controller.metric("jupyter_workspaces_api_requests_total")
