"""Printer columns of pods.

The status is one word from the phase, the conditions and the states of all containers, as in
kubectl.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jupyter_workspaces.kube.types import Object

from .ages import since
from .columns import (
    AGE,
    NAME,
    NONE,
    Column,
    at,
    text,
)


@dataclass
class _Summary:
    reason: str
    restarts: int = 0
    restarted: str | None = None
    """When the most recently restarted container had ended."""
    ready: int = 0
    total: int = 0

    def count(self, status: Object) -> None:
        self.restarts += status.get("restartCount") or 0
        ended = at("lastState", "terminated", "finishedAt")(status)
        if ended and (self.restarted is None or ended > self.restarted):
            self.restarted = ended


def _summary(pod: Object) -> _Summary:
    status, spec = pod.get("status") or {}, pod.get("spec") or {}
    found = _Summary(str(status.get("reason") or status.get("phase") or ""))
    if (_condition(pod, "PodScheduled") or {}).get("reason") == "SchedulingGated":
        found.reason = "SchedulingGated"
    sidecars = {
        one.get("name")
        for one in spec.get("initContainers") or ()
        if one.get("restartPolicy") == "Always"
    }
    found.total = len(spec.get("containers") or ()) + len(sidecars)
    beginning = _summarize_init(pod, found, sidecars)
    if not beginning or (_condition(pod, "Initialized") or {}).get("status") == "True":
        _summarize_containers(pod, found, sidecars)
    if at("metadata", "deletionTimestamp")(pod):
        if status.get("reason") == "NodeLost":
            found.reason = "Unknown"
        elif status.get("phase") not in ("Succeeded", "Failed"):
            found.reason = "Terminating"
    return found


def _summarize_init(pod: Object, found: _Summary, sidecars: set[Any]) -> bool:
    """Summarize init containers. Return whether one of them is not complete."""
    statuses = at("status", "initContainerStatuses")(pod) or ()
    for number, status in enumerate(statuses):
        found.count(status)
        state = status.get("state") or {}
        ended, waiting = state.get("terminated"), (state.get("waiting") or {}).get("reason")
        if ended is not None and not ended.get("exitCode"):
            continue
        if status.get("name") in sidecars and status.get("started"):
            found.ready += bool(status.get("ready"))
            continue
        if ended is not None:
            found.reason = f"Init:{ended.get('reason') or _exit(ended)}"
        elif waiting and waiting != "PodInitializing":
            found.reason = f"Init:{waiting}"
        else:
            found.reason = f"Init:{number}/{len(at('spec', 'initContainers')(pod) or ())}"
        return True
    return False


def _summarize_containers(pod: Object, found: _Summary, sidecars: set[Any]) -> None:
    found.restarts, found.restarted = 0, None
    for status in at("status", "initContainerStatuses")(pod) or ():
        if status.get("name") in sidecars:
            found.count(status)
    running = False
    for status in reversed(at("status", "containerStatuses")(pod) or ()):
        found.count(status)
        state = status.get("state") or {}
        ended = state.get("terminated")
        if waiting := (state.get("waiting") or {}).get("reason"):
            found.reason = waiting
        elif ended is not None:
            found.reason = ended.get("reason") or _exit(ended)
        elif status.get("ready") and state.get("running") is not None:
            running = True
            found.ready += 1
    if found.reason == "Completed" and running:
        found.reason = (
            "Running" if (_condition(pod, "Ready") or {}).get("status") == "True" else "NotReady"
        )


def _exit(ended: Object) -> str:
    return (
        f"Signal:{ended['signal']}"
        if ended.get("signal")
        else f"ExitCode:{ended.get('exitCode', 0)}"
    )


def _condition(pod: Object, kind: str) -> Object | None:
    return next(
        (one for one in at("status", "conditions")(pod) or () if one.get("type") == kind), None
    )


def _ready(pod: Object) -> str:
    found = _summary(pod)
    return f"{found.ready}/{found.total}"


def _restarts(pod: Object) -> str:
    found = _summary(pod)
    return (
        f"{found.restarts} ({since(found.restarted)} ago)"
        if found.restarts and found.restarted
        else str(found.restarts)
    )


def _address(pod: Object) -> str:
    return str(at("status", "podIPs", 0, "ip")(pod) or at("status", "podIP")(pod) or NONE)


def _gates(pod: Object) -> str:
    gates = at("spec", "readinessGates")(pod) or ()
    passed = sum(
        (_condition(pod, gate.get("conditionType", "")) or {}).get("status") == "True"
        for gate in gates
    )
    return f"{passed}/{len(gates)}" if gates else NONE


POD = (
    NAME,
    Column("Ready", _ready),
    Column("Status", lambda pod: _summary(pod).reason),
    Column("Restarts", _restarts),
    AGE,
    Column("IP", _address, priority=1),
    Column("Node", text("spec", "nodeName", otherwise=NONE), priority=1),
    Column("Nominated Node", text("status", "nominatedNodeName", otherwise=NONE), priority=1),
    Column("Readiness Gates", _gates, priority=1),
)
