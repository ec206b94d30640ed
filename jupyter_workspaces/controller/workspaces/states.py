"""What a workspace does now, as one word and one sentence for a person. Pure.

Departs from contracts/kubeflow-workspaces.md §4.2: what heals by waiting is Pending with its reason; only what does not is Error.
A program that was ready and stopped answering is Error too, because somebody may have to restart it.
Events are not asked: a pod's own conditions tell the present, events also the past.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jupyter_workspaces.common.timestamps import milliseconds
from jupyter_workspaces.kube.peers import FOREIGN
from jupyter_workspaces.resources import metadata_keys, restarts

from .manifests import CONTAINER
from .status import grace

Object = Mapping[str, Any]

_IMAGE_WAITS = {"ErrImagePull", "ImagePullBackOff", "ImageInspectError", "RegistryUnavailable"}
_NO_SUCH_IMAGE = re.compile(
    r"not found|manifest unknown|does not exist|unauthorized|denied|forbidden", re.IGNORECASE
)
_NEEDS_HELP = {"ImageNotAvailable", "VolumeNotPossible", "ReadOnlyVolumeNotPossible"}
"""Reasons of the local node that do not heal by waiting; their messages say what to do."""

_NO_SUCH_CLAIM = re.compile(r'persistentvolumeclaim "([^"]+)" not found')
_MISSING = re.compile(r"not found|non-existent|does not exist")
_REFUSED_FOR_GOOD = re.compile(r"violates PodSecurity|admission webhook .* denied| is invalid: ")
_NEVER_FITS = re.compile(
    r"and this computer has|this one is not; choose another size|asks for a computer unlike this one"
)
_NO_NODE_LIKE_THIS = re.compile(
    r"didn't match Pod's node affinity/selector|had untolerated taint|volume node affinity conflict"
)
_PASSING_TAINT = re.compile(r"node\.kubernetes\.io/|node\.cloudprovider\.kubernetes\.io/")
UNFIT_SECONDS = 120.0
"""A node that fits may be on its way: an autoscaler makes one for a pod that waits."""

_TELLING = ("the command ", "the gRPC ", "the program at ", "HTTP ")
"""Findings of a readiness probe that say more than that the port is not open yet."""

_INSUFFICIENT = re.compile(r"Insufficient ([\w/-]+(?:\.[\w/-]+)*)")
_RESOURCES = {
    "cpu": "CPU",
    "memory": "memory",
    "nvidia.com/gpu": "GPUs",
    "ephemeral-storage": "disk",
}
_BEFORE_START = ("", "ContainerCreating", "PodInitializing")


def decide(
    workspace: Object, pod: Object | None, trouble: str | None = None, now: float = 0.0
) -> tuple[str, str]:
    """State and message. `trouble` is why the cluster refused to make the pod, or to mount its volumes; `now` in seconds."""
    paused = bool(workspace["spec"].get("paused"))
    if pod is None:
        if paused:
            because = (workspace["metadata"].get("annotations") or {}).get(
                metadata_keys.PAUSED_BECAUSE
            )
            return (
                "Paused",
                f"Paused. {_one_line(because)} The files in its volumes stay."
                if because
                else "Paused. The files in its volumes stay.",
            )
        if trouble and _REFUSED_FOR_GOOD.search(trouble):
            return (
                "Error",
                f"The cluster does not let its pod be made: {_one_line(trouble)} Ask your cluster's administrator to fix it.",
            )
        if trouble:
            return "Pending", f"Its pod could not be made yet: {trouble}"
        return "Pending", "Waiting for its pod to be made."
    if pod["metadata"].get("deletionTimestamp") or paused:
        stays = paused and restarts.id_of(workspace) is None
        return "Terminating", f"{'Pausing' if stays else 'Stopping, to start again'}{grace(pod)}."
    return _of_pod(pod, trouble, now)


def is_placed(pod: Object) -> bool:
    """Whether a pod has a node."""
    return bool(pod["spec"].get("nodeName"))


def waits_for_its_start(pod: Object) -> bool:
    """Whether the kubelet has not said yet what the container waits for."""
    main = _main(pod.get("status") or {})
    return (
        main is None
        or ((main.get("state") or {}).get("waiting") or {}).get("reason", "-") in _BEFORE_START
    )


def _main(status: Object) -> Object | None:
    return next(
        (found for found in status.get("containerStatuses") or () if found["name"] == CONTAINER),
        None,
    )


def _of_pod(pod: Object, trouble: str | None, now: float) -> tuple[str, str]:
    status = pod.get("status") or {}
    conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
    scheduled = conditions.get("PodScheduled")
    if scheduled is not None and scheduled.get("status") != "True":
        return _unscheduled(
            scheduled, now - milliseconds(pod["metadata"].get("creationTimestamp")) / 1000
        )
    main = _main(status)
    phase = status.get("phase")
    if phase == "Running" and conditions.get("Ready", {}).get("status") == "True":
        return "Running", _restarts(main) or "Running."
    if phase in ("Failed", "Succeeded"):
        why = status.get("message") or status.get("reason") or "its program ended"
        return "Pending", f"Its pod ended ({_one_line(why)}) and will be made again."
    if trouble and waits_for_its_start(pod):
        if _MISSING.search(trouble):
            return (
                "Error",
                f"A volume cannot be mounted: {_one_line(trouble)} Create what is missing, and the workspace starts by itself.",
            )
        return "Pending", f"A volume cannot be mounted yet: {_one_line(trouble)}"
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
    if waiting.get("message") or waiting.get("reason") not in (None, *_BEFORE_START):
        return None
    for found in (
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    ):
        why = (found.get("state") or {}).get("waiting") or {}
        if found["name"] != CONTAINER and (
            why.get("message") or why.get("reason", "") not in _BEFORE_START
        ):
            return found, why
    return None


def _unready(ready: Object, running: Object) -> tuple[str, str]:
    """Of a program that runs and is not ready: it starts, or it was ready and does not answer any more."""
    message = _one_line(ready.get("message") or "")
    if message.startswith(FOREIGN):
        return "Error", f"{message} Restart the workspace: it then gets another address."
    # A new run begins unready; the condition turns after its start only where it was ready meanwhile. Both times are in UTC seconds.
    if ready.get("status") == "False" and (ready.get("lastTransitionTime") or "") > (
        running.get("startedAt") or "~"
    ):
        return (
            "Error",
            "Its program does not answer. It may be busy or stopped: wait for it, look at its log, or restart the workspace.",
        )
    return "Pending", "Started; waiting until it answers." + (
        f" ({message})" if message.startswith(_TELLING) else ""
    )


def _unscheduled(condition: Object, waited: float) -> tuple[str, str]:
    message = condition.get("message") or ""
    if condition.get("reason") == "SchedulingGated":
        return "Pending", "Waiting for its turn: a gate holds it back."
    if (claim := _NO_SUCH_CLAIM.search(message)) is not None:
        return (
            "Error",
            f"The volume claim {claim[1]} does not exist. Create it, or delete this workspace and make it with another volume.",
        )
    if _NEVER_FITS.search(message):
        return "Error", f"It cannot run here: {_one_line(message)}."
    short = sorted({_RESOURCES.get(name, name) for name in _INSUFFICIENT.findall(message)})
    if short:
        return (
            "Pending",
            f"Waiting for room: no node has enough free {' and '.join(short)}. "
            f"Pause another workspace or take a smaller size. ({_one_line(message)})",
        )
    if (
        waited > UNFIT_SECONDS
        and _NO_NODE_LIKE_THIS.search(message)
        and not _PASSING_TAINT.search(message)
    ):
        return (
            "Error",
            f"No node fits. Choose another size, or ask your cluster's administrator for such a node. ({_one_line(message)})",
        )
    return "Pending", f"Waiting for a node that fits. {_one_line(message)}".strip()


def _waiting(main: Object, waiting: Object) -> tuple[str, str]:
    reason, message = waiting.get("reason") or "", _one_line(waiting.get("message") or "")
    image = main.get("image", "")
    if reason == "CrashLoopBackOff":
        ended = (main.get("lastState") or {}).get("terminated") or {}
        return (
            "Error",
            f"Its program keeps ending ({_ending(ended)}). Look at its log, then restart it or take another size or image.",
        )
    if reason in ("InvalidImageName", "ErrImageNeverPull"):
        what = (
            "name is not valid"
            if reason == "InvalidImageName"
            else "pull policy is Never, and no node has it"
        )
        return (
            "Error",
            f"The image's {what}. Choose another image, or ask your cluster's administrator to fix the kind. {message}".strip(),
        )
    if reason in ("ErrImagePull", "ImagePullBackOff") and _NO_SUCH_IMAGE.search(message):
        return (
            "Error",
            f"The image {image} cannot be fetched. Choose another, or ask your cluster's administrator to fix it. ({message})",
        )
    if reason in _IMAGE_WAITS:
        return "Pending", message or f"The image {image} cannot be fetched; it is tried again."
    if reason in _NEEDS_HELP:
        return "Error", message or f"It cannot start: {reason}."
    if reason == "WaitingForRoom":
        return "Pending", message or "Waiting for its turn to start."
    if reason == "CreateContainerConfigError":
        return (
            "Error",
            f"Something that it needs does not exist: {message} Create it, and the workspace starts by itself.",
        )
    if reason == "RunContainerError":
        return (
            "Error",
            f"Its container cannot be started. Ask your cluster's administrator to fix the kind. ({message})",
        )
    if reason in _BEFORE_START:
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
