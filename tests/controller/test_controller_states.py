"""State and message from a pod, as a table: what heals by waiting is Pending and says why, only what does not is Error."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from jupyter_workspaces.controller.workspaces.states import decide
from jupyter_workspaces.kube.peers import FOREIGN
from jupyter_workspaces.resources import metadata_keys

Object = dict[str, Any]


def workspace(paused: bool = False, because: str = "") -> Object:
    return {
        "metadata": {
            "name": "dora",
            "annotations": {metadata_keys.PAUSED_BECAUSE: because} if because else {},
        },
        "spec": {"paused": paused},
    }


def pod(
    phase: str = "Pending",
    *,
    main: Object | None = None,
    node: str = "local",
    going: bool = False,
    **status: Any,
) -> Object:
    """`main` is the container's state; conditions by type in `status`, as (status, reason, message)."""
    conditions = [
        {"type": name, "status": value[0], "reason": value[1], "message": value[2]}
        for name, value in status.pop("conditions", {}).items()
    ]
    if main is not None:
        last = main.pop("lastState", {})
        status["containerStatuses"] = [
            {"name": "main", "image": "registry.example/std:1", "state": main, "lastState": last}
        ]
    metadata = {"name": "ws-dora-0"} | (
        {"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 30}
        if going
        else {}
    )
    metadata["creationTimestamp"] = "2026-01-01T00:00:00Z"
    return {
        "metadata": metadata,
        "spec": {"nodeName": node},
        "status": {"phase": phase, "conditions": conditions, **status},
    }


def waiting(reason: str, message: str = "", **more: Any) -> Object:
    return pod(main={"waiting": {"reason": reason, "message": message}, **more}, conditions=PLACED)


def silent(message: str = "containers with unready status: [main]", *, since: str) -> Object:
    """A program that runs since New Year, and is not ready `since` a moment."""
    found = pod(
        "Running",
        main=dict(RUNS),
        conditions={**PLACED, "Ready": ("False", "ContainersNotReady", message)},
    )
    found["status"]["conditions"][-1]["lastTransitionTime"] = since
    return found


def behind(init: Object | None = None, beside: Object | None = None) -> Object:
    """A main container that does not say why it waits; an init container and one beside it, by what they wait for."""
    found = pod(main={"waiting": {"reason": "PodInitializing"}}, conditions=PLACED)
    if init is not None:
        found["status"]["initContainerStatuses"] = [
            {"name": "prepare", "image": "busybox", "state": {"waiting": init}}
        ]
    if beside is not None:
        found["status"]["containerStatuses"].append(
            {"name": "proxy", "image": "envoy", "state": {"waiting": beside}}
        )
    return found


PLACED = {"PodScheduled": ("True", "", "")}
READY = {**PLACED, "Ready": ("True", "", "")}
UNREADY = {**PLACED, "Ready": ("False", "ContainersNotReady", "")}
RUNS = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
KILLED = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
FAILED = {"terminated": {"exitCode": 3, "reason": "Error"}}


def unscheduled(message: str, reason: str = "Unschedulable") -> Object:
    return pod(node="", conditions={"PodScheduled": ("False", reason, message)})


@pytest.mark.parametrize(
    ("given", "found", "trouble", "state", "words"),
    [
        (workspace(), None, None, "Pending", "Waiting for its pod"),
        (workspace(), None, "exceeded quota: gpus", "Pending", "exceeded quota: gpus"),
        (workspace(paused=True), None, None, "Paused", "files"),
        (workspace(paused=True), None, "exceeded quota", "Paused", "files"),
        (workspace(paused=True, because="It was not used for 24 hours."), None, None, "Paused", "not used for 24 hours"),
        (workspace(paused=True), pod("Running", main=RUNS, conditions=READY), None, "Terminating", "Pausing."),
        (workspace(paused=True), pod("Running", main=RUNS, conditions=READY, going=True), None, "Terminating", "Pausing: its programs have 30 s"),
        (workspace(), pod("Running", main=RUNS, conditions=READY, going=True), None, "Terminating", "Restarting"),
        (workspace(), pod(node=""), None, "Pending", "scheduled on a node"),
        (workspace(), unscheduled("0/1 nodes are available: 1 Insufficient cpu."), None, "Pending", "enough free CPU"),
        (workspace(), unscheduled("1 Insufficient memory, 1 Insufficient nvidia.com/gpu."), None, "Pending", "GPUs and memory"),
        (workspace(), unscheduled("1 node(s) had untolerated taint"), None, "Pending", "untolerated taint"),
        (workspace(), unscheduled("", "SchedulingGated"), None, "Pending", "gate"),
        (workspace(), unscheduled("the scheduler stumbled", "SchedulerError"), None, "Pending", "stumbled"),
        (workspace(), pod(conditions=PLACED), None, "Pending", "volumes and image"),
        (workspace(), waiting("ContainerCreating"), None, "Pending", "volumes and image"),
        (workspace(), waiting("ContainerCreating", "mounting home"), None, "Pending", "mounting home"),
        (workspace(), waiting("PodInitializing"), None, "Pending", "volumes and image"),
        (workspace(), behind({"reason": "ImageNotAvailable", "message": "Map busybox."}), None, "Error", "Container prepare: Map busybox."),
        (workspace(), behind({"reason": "ContainerCreating"}), None, "Pending", "volumes and image"),
        (workspace(), behind(beside={"reason": "ErrImagePull"}), None, "Pending", "Container proxy: The image envoy"),
        (workspace(), waiting("WaitingForRoom", "2 others start first"), None, "Pending", "2 others start first"),
        (workspace(), waiting("ImageNotAvailable", "Install code-server."), None, "Error", "Install code-server."),
        (workspace(), waiting("ErrImagePull"), None, "Pending", "registry.example/std:1"),
        (workspace(), waiting("ImagePullBackOff", "Back-off pulling"), None, "Pending", "Back-off pulling"),
        (workspace(), waiting("CreateContainerConfigError", "secret “x” not found"), None, "Error", "secret “x” not found"),
        (workspace(), waiting("VolumeNotReady", "no volume yet"), None, "Pending", "no volume yet"),
        (workspace(), waiting("VolumeNotPossible", "The volume claim x does not exist. Make it."), None, "Error", "Make it."),
        (workspace(), waiting("ImagePullBackOff", 'Back-off pulling image "x": manifest unknown'), None, "Error", "Choose another"),
        (workspace(), waiting("ErrImagePull", "dial tcp: i/o timeout"), None, "Pending", "i/o timeout"),
        (workspace(), waiting("ErrImageNeverPull"), None, "Error", "Choose another image"),
        (workspace(), waiting("RunContainerError", "exec: no such file"), None, "Error", "no such file"),
        (workspace(), waiting("ContainerCreating"), 'MountVolume.SetUp failed: secret "db" not found', "Error", "Create what is missing"),
        (workspace(), waiting("ContainerCreating"), "Multi-Attach error for volume", "Pending", "Multi-Attach"),
        (workspace(), waiting("CrashLoopBackOff", lastState=FAILED), 'secret "db" not found', "Error", "exit code 3"),
        (workspace(), unscheduled('0/1 nodes are available: persistentvolumeclaim "home-x" not found.'), None, "Error", "home-x does not exist"),
        (workspace(), unscheduled("No place: it asks for 64 CPU, and this computer has 2 CPU; choose a smaller size"), None, "Error", "smaller size"),
        (workspace(), unscheduled("The pod cannot be placed: all 2 nvidia.com/gpu here are in use; pause the workspace"), None, "Pending", "in use"),
        (workspace(), None, 'pods "ws-x-0" is forbidden: violates PodSecurity "restricted:latest"', "Error", "administrator"),
        (workspace(), waiting("ReadOnlyVolumeNotPossible", "cannot be read-only here"), None, "Error", "cannot be read-only here"),
        (workspace(), waiting("InvalidImageName", "no/such//name"), None, "Error", "fix the workspace kind"),
        (workspace(), waiting("CrashLoopBackOff", lastState=FAILED), None, "Error", "exit code 3"),
        (workspace(), waiting("CrashLoopBackOff", lastState=KILLED), None, "Error", "more memory"),
        (workspace(), pod("Running", main=RUNS, conditions=UNREADY), None, "Pending", "until it responds"),
        (workspace(), silent(since="2025-12-31T23:59:58Z"), None, "Pending", "until it responds"),
        (workspace(), silent("the command curl cannot run here: …", since="2025-12-31T23:59:58Z"), None, "Pending", "(the command curl cannot run"),
        (workspace(), silent(since="2026-01-01T00:00:00Z"), None, "Pending", "until it responds"),
        (workspace(), silent(since="2026-01-01T00:00:09Z"), None, "Error", "does not respond"),
        (workspace(), silent(FOREIGN, since="2025-12-31T23:59:58Z"), None, "Error", "Another user's program listens at this workspace's address"),
        (workspace(), pod("Running", main=RUNS, conditions=READY), None, "Running", "Running."),
        (workspace(), pod("Running", main={**RUNS, "lastState": KILLED}, conditions=READY), None, "Running", "more memory"),
        (workspace(), pod("Running", main=dict(FAILED), conditions=UNREADY), None, "Pending", "exit code 3"),
        (workspace(), pod("Failed", conditions=PLACED, message="evicted: disk"), None, "Pending", "evicted: disk"),
        (workspace(), pod("Succeeded", conditions=PLACED), None, "Pending", "new one will be created"),
        (workspace(), pod("Unknown", conditions=PLACED), None, "Pending", "Preparing"),
    ],
)  # fmt: skip
def test_state_and_message(
    given: Object, found: Object | None, trouble: str | None, state: str, words: str
) -> None:
    decided, message = decide(given, found, trouble)
    assert decided == state
    assert words in message


@pytest.mark.parametrize(
    ("message", "later"),
    [
        ("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.", "Error"),
        ("0/3 nodes are available: 3 node(s) had untolerated taint {team: red}.", "Error"),
        (
            "0/3 nodes are available: 3 node(s) had untolerated taint {node.kubernetes.io/not-ready: }.",
            "Pending",
        ),
        (
            "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't match Pod's node affinity/selector.",
            "Pending",
        ),
    ],
)
def test_a_node_that_an_autoscaler_may_bring_is_waited_for_and_then_somebody_is_needed(
    message: str, later: str
) -> None:
    made = datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()
    assert decide(workspace(), unscheduled(message), now=made + 60)[0] == "Pending"
    assert decide(workspace(), unscheduled(message), now=made + 600)[0] == later


def test_a_message_is_one_line_of_a_bearable_length() -> None:
    _, message = decide(workspace(), waiting("ImagePullBackOff", "line\n" * 1000))
    assert "\n" not in message
    assert len(message) <= 400
