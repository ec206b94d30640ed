"""Decides the state of a workspace from its pod: one word, and one sentence for people.

Error is only for what needs somebody's help; what can heal by waiting is Pending, with the reason.
A program that was ready and stopped responding is Error, because somebody may have to restart it.
Kubeflow's controller reports Error more often; `docs/controller.md` compares both.

Only conditions and container states of the pod are evaluated, not its events, which also describe
problems that are over. The exceptions are a missing pod and volumes that cannot be mounted, which
only events explain (`pod_events.py`).
"""

from __future__ import annotations

import re

from jupyter_workspaces.common.timestamps import milliseconds
from jupyter_workspaces.kube.peers import FOREIGN
from jupyter_workspaces.kube.types import ObjectView
from jupyter_workspaces.resources import metadata_keys, restarts
from jupyter_workspaces.resources.views import (
    MAIN_CONTAINER,
    PodView,
    WorkspaceView,
    container_state,
)

from .status import grace_period

State = tuple[str, str]
"""State and message."""

UNSUITABLE_NODES_SECONDS = 120.0
"""Time after which a pod that no node suits is an Error: an autoscaler may be adding a node."""

_LONGEST_TEXT = 400
_GETTING_READY = "Preparing volumes and image."

# Reasons of a waiting container
# (https://kubernetes.io/docs/concepts/containers/images/#imagepullbackoff, and localkube/node).
_BEFORE_START = ("", "ContainerCreating", "PodInitializing")
_IMAGE_PULL_REASONS = {
    "ErrImagePull",
    "ImagePullBackOff",
    "ImageInspectError",
    "RegistryUnavailable",
}
_LOCAL_ERRORS = {"ImageNotAvailable", "VolumeNotPossible", "ReadOnlyVolumeNotPossible"}
"""Reasons of the local cluster that do not heal by waiting; their messages say what to do."""

# Texts of Kubernetes and of the local cluster.
_NO_SUCH_IMAGE = re.compile(
    r"not found|manifest unknown|does not exist|unauthorized|denied|forbidden", re.IGNORECASE
)
_NO_SUCH_CLAIM = re.compile(r'persistentvolumeclaim "([^"]+)" not found')
_MISSING = re.compile(r"not found|non-existent|does not exist")
_REFUSED_FOR_GOOD = re.compile(r"violates PodSecurity|admission webhook .* denied| is invalid: ")
_NEVER_FITS_LOCALLY = re.compile(
    r"and this computer has|this one is not; choose another size"
    r"|asks for a computer unlike this one"
)
_UNSUITABLE_NODES = re.compile(
    r"didn't match Pod's node affinity/selector|had untolerated taint|volume node affinity conflict"
)
_TEMPORARY_TAINT = re.compile(r"node\.kubernetes\.io/|node\.cloudprovider\.kubernetes\.io/")
_INSUFFICIENT = re.compile(r"Insufficient ([\w/-]+(?:\.[\w/-]+)*)")
_RESOURCE_NAMES = {
    "cpu": "CPU",
    "memory": "memory",
    "nvidia.com/gpu": "GPUs",
    "ephemeral-storage": "disk",
}
_PROBE_DETAILS = ("the command ", "the gRPC ", "the program at ", "HTTP ")
"""Starts of readiness messages that say more than that the port is not open yet."""


def decide(
    workspace: ObjectView, pod: ObjectView | None, trouble: str | None = None, now: float = 0.0
) -> State:
    """Return state and message of a workspace.

    Args:
        workspace: the Workspace.
        pod: its pod, or None.
        trouble: why the cluster refused to create the pod or to mount its volumes, or None.
        now: current time in seconds since 1970.
    """
    view = WorkspaceView(workspace)
    if pod is None:
        return _without_pod(view, trouble)
    if PodView(pod).is_deleting or view.is_paused:
        pauses = view.is_paused and restarts.id_of(workspace) is None
        return "Terminating", f"{'Pausing' if pauses else 'Restarting'}{grace_period(pod)}."
    return _with_pod(PodView(pod), trouble, now)


def waits_for_its_start(pod: ObjectView) -> bool:
    """Return whether the kubelet has not started the container, and does not say why."""
    main = PodView(pod).main_status
    if main is None:
        return True
    waiting = container_state(main, "waiting") or {}
    return waiting.get("reason", "-") in _BEFORE_START


def _without_pod(workspace: WorkspaceView, trouble: str | None) -> State:
    if workspace.is_paused:
        reason = _one_line(workspace.annotations.get(metadata_keys.PAUSED_BECAUSE) or "")
        return "Paused", " ".join(
            part for part in ("Paused.", reason, "The files in its volumes stay.") if part
        )
    if not trouble:
        return "Pending", "Waiting for its pod to be created."
    if _REFUSED_FOR_GOOD.search(trouble):
        return (
            "Error",
            f"The cluster refuses to create its pod: {_one_line(trouble)} "
            "Ask your administrator to fix the workspace kind.",
        )
    return "Pending", f"Its pod could not be created yet: {trouble}"


def _with_pod(pod: PodView, trouble: str | None, now: float) -> State:
    scheduled = pod.conditions.get("PodScheduled")
    if scheduled is not None and scheduled.get("status") != "True":
        created = milliseconds(pod.metadata.get("creationTimestamp")) / 1000
        return _unscheduled(scheduled, now - created)
    main = pod.main_status
    if pod.phase == "Running" and pod.is_ready:
        return "Running", _restarted(main) or "Running."
    if pod.phase in ("Failed", "Succeeded"):
        reason = pod.status.get("message") or pod.status.get("reason") or "its program ended"
        return "Pending", f"Its pod ended ({_one_line(reason)}). A new one will be created."
    if trouble and waits_for_its_start(pod.obj):
        return _unmounted(trouble)
    if (other := _waiting_container(pod)) is not None:
        state, message = _waiting(other)
        return state, f"Container {other['name']}: {message}"
    if main is not None and container_state(main, "waiting"):
        return _waiting(main)
    if ended := container_state(main, "terminated"):
        return "Pending", f"Its program ended ({_ending(ended)}) and is being restarted."
    if scheduled is None and not pod.node_name:
        return "Pending", "Waiting to be scheduled on a node."
    if (running := container_state(main, "running")) is not None:
        return _not_ready(pod.conditions.get("Ready") or {}, running)
    return "Pending", _GETTING_READY


def _unmounted(trouble: str) -> State:
    if _MISSING.search(trouble):
        return (
            "Error",
            f"A volume cannot be mounted: {_one_line(trouble)} "
            "Create what is missing; the workspace then starts by itself.",
        )
    return "Pending", f"A volume cannot be mounted yet: {_one_line(trouble)}"


def _waiting_container(pod: PodView) -> ObjectView | None:
    """Return another container that waits, if the main container does not say why it waits.

    That is an init container, or one that runs beside the main container.
    """
    main_waiting = container_state(pod.main_status, "waiting") or {}
    if main_waiting.get("message") or main_waiting.get("reason") not in (None, *_BEFORE_START):
        return None
    for status in (
        *(pod.status.get("initContainerStatuses") or ()),
        *(pod.status.get("containerStatuses") or ()),
    ):
        waiting = container_state(status, "waiting") or {}
        says_why = waiting.get("message") or waiting.get("reason", "") not in _BEFORE_START
        if status["name"] != MAIN_CONTAINER and says_why:
            found: ObjectView = status
            return found
    return None


def _not_ready(ready: ObjectView, running: ObjectView) -> State:
    """Return the state of a program that runs and is not ready.

    It starts, or it was ready before and does not respond any more.
    """
    message = _one_line(ready.get("message") or "")
    if message.startswith(FOREIGN):
        return "Error", f"{message} Restart the workspace: it then gets another address."
    # A pod is not ready when its program starts. If the condition changed after the start, the
    # program was ready in between. Both times have seconds in UTC, so they compare as text.
    changed_at, started_at = ready.get("lastTransitionTime") or "", running.get("startedAt") or "~"
    if ready.get("status") == "False" and changed_at > started_at:
        return (
            "Error",
            "Its program does not respond. It may be busy or stopped: wait, look at its log, "
            "or restart the workspace.",
        )
    details = f" ({message})" if message.startswith(_PROBE_DETAILS) else ""
    return "Pending", f"Started; waiting until it responds.{details}"


def _unscheduled(condition: ObjectView, waited: float) -> State:
    """Return the state of a pod without a node, `waited` seconds after its creation."""
    message = condition.get("message") or ""
    if condition.get("reason") == "SchedulingGated":
        return "Pending", "Waiting until its scheduling gates are removed."
    if (claim := _NO_SUCH_CLAIM.search(message)) is not None:
        return (
            "Error",
            f"The volume claim {claim[1]} does not exist. Create it, or delete this workspace and "
            "create it again with another volume.",
        )
    if _NEVER_FITS_LOCALLY.search(message):
        return "Error", f"It cannot run here: {_one_line(message)}."
    lacking = sorted({_RESOURCE_NAMES.get(name, name) for name in _INSUFFICIENT.findall(message)})
    if lacking:
        return (
            "Pending",
            f"Waiting for resources: no node has enough free {' and '.join(lacking)}. "
            f"Pause another workspace or choose a smaller size. ({_one_line(message)})",
        )
    if (
        waited > UNSUITABLE_NODES_SECONDS
        and _UNSUITABLE_NODES.search(message)
        and not _TEMPORARY_TAINT.search(message)
    ):
        return (
            "Error",
            "No node is suitable. Choose another size, or ask your administrator for such a node. "
            f"({_one_line(message)})",
        )
    return "Pending", f"Waiting for a suitable node. {_one_line(message)}".strip()


def _waiting(status: ObjectView) -> State:
    """Return the state of a container that waits, by its reason."""
    waiting = container_state(status, "waiting") or {}
    reason, message = waiting.get("reason") or "", _one_line(waiting.get("message") or "")
    if reason in _IMAGE_PULL_REASONS or reason in ("InvalidImageName", "ErrImageNeverPull"):
        return _waiting_for_image(reason, message, status.get("image", ""))
    if reason == "CrashLoopBackOff":
        ended = (status.get("lastState") or {}).get("terminated") or {}
        return (
            "Error",
            f"Its program keeps exiting ({_ending(ended)}). Look at its log, then restart the "
            "workspace or choose another size or image.",
        )
    if reason in _LOCAL_ERRORS:
        return "Error", message or f"It cannot start: {reason}."
    if reason == "WaitingForRoom":
        return "Pending", message or "Waiting for its turn to start."
    if reason == "CreateContainerConfigError":
        return (
            "Error",
            f"Something that it needs does not exist: {message} "
            "Create it; the workspace then starts by itself.",
        )
    if reason == "RunContainerError":
        return (
            "Error",
            "Its container cannot be started. "
            f"Ask your administrator to fix the workspace kind. ({message})",
        )
    if reason in _BEFORE_START:
        return "Pending", message or _GETTING_READY
    return "Pending", message or reason


def _waiting_for_image(reason: str, message: str, image: str) -> State:
    advice = "Choose another image, or ask your administrator to fix the workspace kind."
    if reason == "InvalidImageName":
        return "Error", f"The name of the image is not valid. {advice} {message}".strip()
    if reason == "ErrImageNeverPull":
        problem = "The pull policy of the image is Never, and the node does not have it."
        return "Error", f"{problem} {advice} {message}".strip()
    if reason in ("ErrImagePull", "ImagePullBackOff") and _NO_SUCH_IMAGE.search(message):
        return "Error", f"The image {image} cannot be pulled. {advice} ({message})"
    return "Pending", message or f"The image {image} cannot be pulled; the node tries again."


def _restarted(main: ObjectView | None) -> str | None:
    """Return the message of a program that runs again after it ended, else None."""
    ended = ((main or {}).get("lastState") or {}).get("terminated")
    return f"Running again after its program ended ({_ending(ended)})." if ended else None


def _ending(terminated: ObjectView) -> str:
    if terminated.get("reason") == "OOMKilled":
        return "it needed more memory than its size has"
    if "exitCode" in terminated:
        return f"exit code {terminated['exitCode']}"
    return _one_line(terminated.get("reason") or "unknown reason")


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_TEXT else line[: _LONGEST_TEXT - 1] + "…"
