"""What a workspace does now, as one word and one sentence for a person. Pure.

Departs from contracts/kubeflow-workspaces.md §4.2: what heals by waiting is Pending with its reason; only what does not is Error.
A program that was ready and stopped answering is Error too, because somebody may have to restart it.
Events are not asked: a pod's own conditions tell the present, events also the past.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..cluster.peers import FOREIGN
from ..resources import names
from .generate import CONTAINER

Object = Mapping[str, Any]

_IMAGE_WAITS = {"ErrImagePull", "ImagePullBackOff", "ImageNotAvailable", "ImageInspectError", "RegistryUnavailable", "ErrImageNeverPull"}
_GETTING_READY = ("", "ContainerCreating", "PodInitializing")
_TELLING = ("the command ", "the gRPC ", "the program at ", "HTTP ")
"""What a readiness probe found that tells more than that nobody listens yet."""

_INSUFFICIENT = re.compile(r"Insufficient ([\w/-]+(?:\.[\w/-]+)*)")
_RESOURCES = {"cpu": "CPU", "memory": "memory", "nvidia.com/gpu": "GPUs", "ephemeral-storage": "disk"}


def decide(workspace: Object, pod: Object | None, trouble: str | None = None) -> tuple[str, str]:
    """State and message. `trouble` is why the cluster refused to make the pod, if it did."""
    paused = bool(workspace["spec"].get("paused"))
    if pod is None:
        if paused:
            because = (workspace["metadata"].get("annotations") or {}).get(names.PAUSED_BECAUSE)
            return (
                "Paused",
                f"Paused. {_one_line(because)} The files in its volumes stay." if because else "Paused. The files in its volumes stay.",
            )
        if trouble:
            return "Pending", f"Its pod could not be made yet: {trouble}"
        return "Pending", "Waiting for its pod to be made."
    if pod["metadata"].get("deletionTimestamp") or paused:
        return "Terminating", "Stopping: its programs are asked to end." if paused else "Stopping, to start again."
    return _of_pod(pod)


def _of_pod(pod: Object) -> tuple[str, str]:
    status = pod.get("status") or {}
    conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
    scheduled = conditions.get("PodScheduled")
    if scheduled is not None and scheduled.get("status") != "True":
        return "Pending", _unscheduled(scheduled)
    main = next((found for found in status.get("containerStatuses") or () if found["name"] == CONTAINER), None)
    phase = status.get("phase")
    if phase == "Running" and conditions.get("Ready", {}).get("status") == "True":
        return "Running", _restarts(main) or "Running."
    if phase in ("Failed", "Succeeded"):
        why = status.get("message") or status.get("reason") or "its program ended"
        return "Pending", f"Its pod ended ({_one_line(why)}) and will be made again."
    if (other := _held_up(status, main)) is not None:
        found, why = other
        state, message = _waiting(found, why)
        return state, f"Its container {found['name']}: {message}"
    if main is not None and (waiting := (main.get("state") or {}).get("waiting")):
        return _waiting(main, waiting)
    if main is not None and (ended := (main.get("state") or {}).get("terminated")):
        return "Pending", f"Its program ended ({_ending(ended)}) and starts again."
    if scheduled is None and not pod["spec"].get("nodeName"):
        return "Pending", "Waiting for a place on a node."
    if main is not None and (running := (main.get("state") or {}).get("running")) is not None:
        return _unready(conditions.get("Ready") or {}, running)
    return "Pending", "Getting ready: volumes and image."


def _held_up(status: Object, main: Object | None) -> tuple[Object, Object] | None:
    """Another container that waits for something while the main one does not say why it waits: one that comes first, or beside it."""
    waiting = ((main or {}).get("state") or {}).get("waiting") or {}
    if waiting.get("message") or waiting.get("reason") not in (None, *_GETTING_READY):
        return None
    for found in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        why = (found.get("state") or {}).get("waiting") or {}
        if found["name"] != CONTAINER and (why.get("message") or why.get("reason", "") not in _GETTING_READY):
            return found, why
    return None


def _unready(ready: Object, running: Object) -> tuple[str, str]:
    """Of a program that runs and is not ready: it starts, or it was ready and does not answer any more."""
    message = _one_line(ready.get("message") or "")
    if message.startswith(FOREIGN):
        return "Error", f"{message} Restart the workspace: it then gets another address."
    # A new run begins unready; the condition turns after its start only where it was ready meanwhile. Both times are in UTC seconds.
    if ready.get("status") == "False" and (ready.get("lastTransitionTime") or "") > (running.get("startedAt") or "~"):
        return "Error", "Its program does not answer. It may be busy or stopped: wait for it, look at its log, or restart the workspace."
    return "Pending", "Started; waiting until it answers." + (f" ({message})" if message.startswith(_TELLING) else "")


def _unscheduled(condition: Object) -> str:
    message = condition.get("message") or ""
    if condition.get("reason") == "SchedulingGated":
        return "Waiting for its turn: a gate holds it back."
    short = sorted({_RESOURCES.get(name, name) for name in _INSUFFICIENT.findall(message)})
    if short:
        return f"Waiting for room: no node has enough free {' and '.join(short)}. Pause another workspace or take a smaller size. ({_one_line(message)})"
    return f"Waiting for a node that fits. {_one_line(message)}".strip()


def _waiting(main: Object, waiting: Object) -> tuple[str, str]:
    reason, message = waiting.get("reason") or "", _one_line(waiting.get("message") or "")
    if reason == "CrashLoopBackOff":
        ended = (main.get("lastState") or {}).get("terminated") or {}
        return "Error", f"Its program keeps ending ({_ending(ended)}). Look at its log, then restart it or take another size or image."
    if reason == "InvalidImageName":
        return "Error", f"The image's name is not valid. Ask who manages this kind to mend it. {message}".strip()
    if reason in _IMAGE_WAITS:
        return "Pending", message or f"The image {main.get('image', '')} cannot be fetched; it is tried again."
    if reason == "WaitingForRoom":
        return "Pending", message or "Waiting for its turn to start."
    if reason == "CreateContainerConfigError":
        return "Pending", f"Something that it needs is not there: {message}"
    if reason in _GETTING_READY:
        return "Pending", message or "Getting ready: volumes and image."
    return "Pending", f"{message or reason}"


def _restarts(main: Object | None) -> str | None:
    ended = ((main or {}).get("lastState") or {}).get("terminated")
    if not ended:
        return None
    return f"Running again after its program ended ({_ending(ended)})."


def _ending(ended: Object) -> str:
    if ended.get("reason") == "OOMKilled":
        return "it needed more memory than its size has"
    if "exitCode" in ended:
        return f"exit code {ended['exitCode']}"
    return _one_line(ended.get("reason") or "no reason known")


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 400 else line[:399] + "…"
