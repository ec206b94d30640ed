"""Builds the status of a pod from the states of its containers. Pure.

Source: Kubernetes docs, “Pod Lifecycle”; API reference, PodStatus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from jupyter_workspaces.kube.types import ObjectView

from .records import Ended


@dataclass
class ContainerState:
    """State of a container: running (`started_at`), ended for good (`over`), or waiting.

    Attributes:
        name: Name of the container.
        image: Its image.
        container_prefix: Beginning of container ids; the number of the run follows.
        attempt: Number of the present or last run, counted from 1; 0 before the first.
        reason: Reason of the waiting state.
        message: Message of the waiting state.
        started_at: Start of the present run, in seconds since the epoch; None if none runs.
        over: Whether the container has ended and is not restarted.
        ended: End of the last run.
        previous: End of the run before.
        restarts: Number of restarts.
        ready: Whether the container is ready.
        started: Whether its startup probe has succeeded.
        problem: What its readiness probe found while it runs and is not ready.
    """

    name: str
    image: str
    container_prefix: str = ""
    attempt: int = 0
    reason: str = "ContainerCreating"
    message: str = ""
    started_at: float | None = None
    over: bool = False
    ended: Ended | None = None
    previous: Ended | None = None
    restarts: int = 0
    ready: bool = False
    started: bool = False
    problem: str = ""

    @property
    def container_id(self) -> str:
        """Id of the present run; empty before the first."""
        return self.id_of(self.attempt)

    def id_of(self, attempt: int) -> str:
        """Return the container id of a run; empty for run 0."""
        return f"{self.container_prefix}{attempt}" if attempt else ""


def build(
    pod: ObjectView,
    address: str,
    started_at: float,
    containers: Sequence[ContainerState],
    init_containers: Sequence[ContainerState] = (),
    ending: bool = False,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Return the status of a pod.

    Conditions that did not change keep their times; conditions of other writers are kept.

    Args:
        pod: The pod.
        address: Its IP address; empty before it has one.
        started_at: Its start, in seconds since the epoch.
        containers: States of its containers.
        init_containers: States of its init containers.
        ending: Whether the pod is being deleted.
        now: Time of conditions that change; the present time by default.
    """
    before = pod.get("status") or {}
    policy = pod["spec"].get("restartPolicy", "Always")
    initialized = all(
        state.over and state.ended is not None and state.ended.exit_code == 0
        for state in init_containers
    )
    ready = initialized and not ending and all(state.ready for state in containers)
    reason, message = ("", "") if ready else _unready([*init_containers, *containers])
    conditions = {
        "PodScheduled": (True, "", ""),
        "Initialized": (
            initialized,
            "" if initialized else "ContainersNotInitialized",
            "" if initialized else message,
        ),
        "ContainersReady": (ready, reason, message),
        "Ready": (ready, reason, message),
    }
    status: dict[str, Any] = {
        "phase": _phase(policy, containers, init_containers),
        "hostIP": "127.0.0.1",
        "hostIPs": [{"ip": "127.0.0.1"}],
        "startTime": rfc3339(started_at),
        "conditions": _conditions(
            before.get("conditions") or (), conditions, now or datetime.now(timezone.utc)
        ),
        "containerStatuses": [_container(state) for state in containers],
    }
    if status["phase"] == "Failed":
        status["message"] = _failure([*init_containers, *containers])
    if address:
        status |= {"podIP": address, "podIPs": [{"ip": address}]}
    if init_containers:
        status["initContainerStatuses"] = [_container(state) for state in init_containers]
    return status


def rfc3339(seconds: float) -> str:
    """Return a time in seconds since the epoch as text of the API (RFC 3339)."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _phase(
    policy: str, containers: Sequence[ContainerState], init_containers: Sequence[ContainerState]
) -> str:
    if any(
        state.over and state.ended is not None and state.ended.exit_code != 0
        for state in init_containers
    ):
        return "Failed"
    if containers and all(state.over for state in containers) and policy != "Always":
        return (
            "Succeeded"
            if all(state.ended is not None and state.ended.exit_code == 0 for state in containers)
            else "Failed"
        )
    # A pod whose container is between two runs is still Running: only new pods are Pending.
    if all(
        state.started_at is not None or state.over or state.ended is not None
        for state in containers
    ):
        return "Running"
    return "Pending"


def _failure(states: Sequence[ContainerState]) -> str:
    for state in states:
        if state.over and state.ended is not None and state.ended.exit_code != 0:
            last = state.ended.message.rpartition("\n")[2]
            return f"{state.name} ended with exit code {state.ended.exit_code}" + (
                f": {last}" if last else ""
            )
    return ""


def _unready(states: Sequence[ContainerState]) -> tuple[str, str]:
    names = [state.name for state in states if not state.ready]
    waits = next(
        (state.message for state in states if state.started_at is None and state.message), ""
    )
    waits = waits or next((state.problem for state in states if state.problem), "")
    return "ContainersNotReady", waits or f"containers with unready status: [{' '.join(names)}]"


def _conditions(
    before: Sequence[ObjectView], wanted: Mapping[str, tuple[bool, str, str]], now: datetime
) -> list[dict[str, Any]]:
    held = {found["type"]: found for found in before}
    made: list[dict[str, Any]] = [dict(found) for name, found in held.items() if name not in wanted]
    for name, (good, reason, message) in wanted.items():
        status = "True" if good else "False"
        old = held.get(name) or {}
        moment = old.get("lastTransitionTime") if old.get("status") == status else None
        condition = {
            "type": name,
            "status": status,
            "lastTransitionTime": moment or now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        if reason:
            condition |= {"reason": reason, "message": message}
        made.append(condition)
    return made


def _container(state: ContainerState) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": state.name,
        "image": state.image,
        "imageID": "",
        "ready": state.ready,
        "started": state.started,
        "restartCount": state.restarts,
        "state": {},
        "lastState": {},
    }
    if state.container_id:
        found["containerID"] = state.container_id
    if state.over:
        found |= {
            "state": _terminated(state, state.ended),
            "lastState": _terminated(state, state.previous),
        }
        return found
    found["lastState"] = _terminated(state, state.ended)
    if state.started_at is not None:
        found["state"] = {"running": {"startedAt": rfc3339(state.started_at)}}
    else:
        found["state"] = {
            "waiting": {"reason": state.reason}
            | ({"message": state.message} if state.message else {})
        }
    return found


def _terminated(state: ContainerState, ended: Ended | None) -> dict[str, Any]:
    if ended is None:
        return {}
    found: dict[str, Any] = {
        "exitCode": ended.exit_code,
        "reason": ended.reason,
        "startedAt": rfc3339(ended.started_at),
        "finishedAt": rfc3339(ended.finished_at),
    }
    if ended.signal is not None:
        found["signal"] = ended.signal
    if ended.message:
        found["message"] = ended.message
    if container_id := state.id_of(ended.attempt or state.attempt):
        found["containerID"] = container_id
    return {"terminated": found}
