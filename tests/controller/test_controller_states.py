"""Table of pods and the states and messages that they give."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from jupyter_workspaces.controller.workspaces.states import decide
from jupyter_workspaces.kube.peers import FOREIGN
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources import metadata_keys


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
    """Return a pod.

    `main` is the state of its main container, `conditions` are its conditions by type, as status,
    reason and message.
    """
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
    """Return a pod whose program has run since New Year and has not been ready since `since`."""
    found = pod(
        "Running",
        main=dict(RUNS),
        conditions={**PLACED, "Ready": ("False", "ContainersNotReady", message)},
    )
    found["status"]["conditions"][-1]["lastTransitionTime"] = since
    return found


def behind(init: Object | None = None, beside: Object | None = None) -> Object:
    """Return a pod whose main container does not say why it waits.

    `init` and `beside` are what an init container and another container wait for.
    """
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
    ("found", "state", "words"),
    [
        (None, "Pending", "Waiting for its pod"),
        (pod("Running", main=RUNS, conditions=READY, going=True), "Terminating", "Restarting"),
        (pod(node=""), "Pending", "scheduled on a node"),
        (unscheduled("0/1 nodes are available: 1 Insufficient cpu."), "Pending", "enough free CPU"),
        (
            unscheduled("1 Insufficient memory, 1 Insufficient nvidia.com/gpu."),
            "Pending",
            "GPUs and memory",
        ),
        (unscheduled("1 node(s) had untolerated taint"), "Pending", "untolerated taint"),
        (unscheduled("", "SchedulingGated"), "Pending", "gate"),
        (unscheduled("the scheduler stumbled", "SchedulerError"), "Pending", "stumbled"),
        (pod(conditions=PLACED), "Pending", "volumes and image"),
        (waiting("ContainerCreating"), "Pending", "volumes and image"),
        (waiting("ContainerCreating", "mounting home"), "Pending", "mounting home"),
        (waiting("PodInitializing"), "Pending", "volumes and image"),
        (
            behind({"reason": "ImageNotAvailable", "message": "Map busybox."}),
            "Error",
            "Container prepare: Map busybox.",
        ),
        (behind({"reason": "ContainerCreating"}), "Pending", "volumes and image"),
        (behind(beside={"reason": "ErrImagePull"}), "Pending", "Container proxy: The image envoy"),
        (waiting("WaitingForRoom", "2 others start first"), "Pending", "2 others start first"),
        (waiting("ImageNotAvailable", "Install code-server."), "Error", "Install code-server."),
        (waiting("ErrImagePull"), "Pending", "registry.example/std:1"),
        (waiting("ImagePullBackOff", "Back-off pulling"), "Pending", "Back-off pulling"),
        (
            waiting("CreateContainerConfigError", "secret “x” not found"),
            "Error",
            "secret “x” not found",
        ),
        (waiting("VolumeNotReady", "no volume yet"), "Pending", "no volume yet"),
        (
            waiting("VolumeNotPossible", "The volume claim x does not exist. Make it."),
            "Error",
            "Make it.",
        ),
        (
            waiting("ImagePullBackOff", 'Back-off pulling image "x": manifest unknown'),
            "Error",
            "Choose another",
        ),
        (waiting("ErrImagePull", "dial tcp: i/o timeout"), "Pending", "i/o timeout"),
        (waiting("ErrImageNeverPull"), "Error", "Choose another image"),
        (waiting("RunContainerError", "exec: no such file"), "Error", "no such file"),
        (
            unscheduled('0/1 nodes are available: persistentvolumeclaim "home-x" not found.'),
            "Error",
            "home-x does not exist",
        ),
        (
            unscheduled(
                "No place: it asks for 64 CPU, and this computer has 2 CPU; choose a smaller size"
            ),
            "Error",
            "smaller size",
        ),
        (
            unscheduled(
                "The pod cannot be placed: all 2 nvidia.com/gpu here are in use; "
                "pause the workspace"
            ),
            "Pending",
            "in use",
        ),
        (
            waiting("ReadOnlyVolumeNotPossible", "cannot be read-only here"),
            "Error",
            "cannot be read-only here",
        ),
        (waiting("InvalidImageName", "no/such//name"), "Error", "fix the workspace kind"),
        (waiting("CrashLoopBackOff", lastState=FAILED), "Error", "exit code 3"),
        (waiting("CrashLoopBackOff", lastState=KILLED), "Error", "more memory"),
        (pod("Running", main=RUNS, conditions=UNREADY), "Pending", "until it responds"),
        (silent(since="2025-12-31T23:59:58Z"), "Pending", "until it responds"),
        (
            silent("the command curl cannot run here: …", since="2025-12-31T23:59:58Z"),
            "Pending",
            "(the command curl cannot run",
        ),
        (silent(since="2026-01-01T00:00:00Z"), "Pending", "until it responds"),
        (silent(since="2026-01-01T00:00:09Z"), "Error", "does not respond"),
        (
            silent(FOREIGN, since="2025-12-31T23:59:58Z"),
            "Error",
            "Another user's program listens at this workspace's address",
        ),
        (pod("Running", main=RUNS, conditions=READY), "Running", "Running."),
        (
            pod("Running", main={**RUNS, "lastState": KILLED}, conditions=READY),
            "Running",
            "more memory",
        ),
        (pod("Running", main=dict(FAILED), conditions=UNREADY), "Pending", "exit code 3"),
        (pod("Failed", conditions=PLACED, message="evicted: disk"), "Pending", "evicted: disk"),
        (pod("Succeeded", conditions=PLACED), "Pending", "new one will be created"),
        (pod("Unknown", conditions=PLACED), "Pending", "Preparing"),
    ],
)
def test_the_state_of_a_pod(found: Object | None, state: str, words: str) -> None:
    decided, message = decide(workspace(), found)
    assert decided == state
    assert words in message


@pytest.mark.parametrize(
    ("given", "found", "trouble", "state", "words"),
    [
        (workspace(), None, "exceeded quota: gpus", "Pending", "exceeded quota: gpus"),
        (workspace(paused=True), None, None, "Paused", "files"),
        (workspace(paused=True), None, "exceeded quota", "Paused", "files"),
        (
            workspace(paused=True, because="It was not used for 24 hours."),
            None,
            None,
            "Paused",
            "not used for 24 hours",
        ),
        (
            workspace(paused=True),
            pod("Running", main=RUNS, conditions=READY),
            None,
            "Terminating",
            "Pausing.",
        ),
        (
            workspace(paused=True),
            pod("Running", main=RUNS, conditions=READY, going=True),
            None,
            "Terminating",
            "Pausing: its programs have 30 s",
        ),
        (
            workspace(),
            waiting("ContainerCreating"),
            'MountVolume.SetUp failed: secret "db" not found',
            "Error",
            "Create what is missing",
        ),
        (
            workspace(),
            waiting("ContainerCreating"),
            "Multi-Attach error for volume",
            "Pending",
            "Multi-Attach",
        ),
        (
            workspace(),
            waiting("CrashLoopBackOff", lastState=FAILED),
            'secret "db" not found',
            "Error",
            "exit code 3",
        ),
        (
            workspace(),
            None,
            'pods "ws-x-0" is forbidden: violates PodSecurity "restricted:latest"',
            "Error",
            "administrator",
        ),
    ],
)
def test_the_state_of_a_paused_or_refused_workspace(
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
            "0/3 nodes are available: "
            "3 node(s) had untolerated taint {node.kubernetes.io/not-ready: }.",
            "Pending",
        ),
        (
            "0/3 nodes are available: 1 Insufficient cpu, "
            "2 node(s) didn't match Pod's node affinity/selector.",
            "Pending",
        ),
    ],
)
def test_unsuitable_nodes_are_an_error_only_after_a_while(message: str, later: str) -> None:
    made = datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()
    assert decide(workspace(), unscheduled(message), now=made + 60)[0] == "Pending"
    assert decide(workspace(), unscheduled(message), now=made + 600)[0] == later


def test_a_message_is_one_line_of_limited_length() -> None:
    _, message = decide(workspace(), waiting("ImagePullBackOff", "line\n" * 1000))
    assert "\n" not in message
    assert len(message) <= 400
