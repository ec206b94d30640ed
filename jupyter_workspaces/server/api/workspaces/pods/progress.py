"""The start of a workspace as named steps, each with its duration or its reason."""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import UNSET, UnsetType

from jupyter_workspaces.common.timestamps import milliseconds
from jupyter_workspaces.kube.types import ObjectView

from .models import Progress, Step, Stopping

CONTAINER = "main"
NEVER_STARTED = 128
"""Exit code of a container that could not start its program."""
STEPS = (
    ("accepted", "Accepted"),
    ("scheduled", "Scheduled"),
    ("volumes", "Volumes"),
    ("image", "Image"),
    ("started", "Started"),
    ("ready", "Ready"),
)
_IMAGE_REASONS = {
    *(
        "ErrImagePull",
        "ImagePullBackOff",
        "ImageNotAvailable",
        "InvalidImageName",
        "ImageInspectError",
        "ErrImageNeverPull",
    ),
    "RegistryUnavailable",
}
_VOLUME_REASONS = {"ReadOnlyVolumeNotPossible", "VolumeNotPossible", "VolumeNotReady"}
_NO_SUCH_CLAIM = re.compile(r'persistentvolumeclaim "[^"]+" not found')


def progress(
    workspace: ObjectView,
    pod: ObjectView | None,
    claims: Iterable[ObjectView],
    events: Iterable[ObjectView],
    now: int,
) -> Progress:
    """Return the steps of a start.

    The current step is the first that is not done; if the workspace needs attention, it is the
    step that fails.

    Args:
        workspace: The workspace.
        pod: Its pod, if there is one.
        claims: Claims of the workspace, empty for those that do not exist.
        events: Events of the pod.
        now: Current time in ms since 1970.
    """
    status = workspace.get("status") or {}
    state, message = status.get("state", ""), status.get("stateMessage", "")
    paused = bool(workspace["spec"].get("paused"))
    if paused:
        return Progress(
            [Step(step, name, "waiting", 0, None, "") for step, name in STEPS],
            state,
            message,
            _stopping(pod),
        )
    told = list(events)
    ends = _ends(workspace, pod, claims, told)
    failing = _failing(pod, told) if state == "Error" else None
    steps: list[Step] = []
    began, open_step = _begin(workspace, pod), False
    for step, name in STEPS:
        end = ends[step]
        if open_step or (end is None and failing not in (None, step)):
            steps.append(Step(step, name, "waiting", 0, None, ""))
        elif end is not None and failing != step:
            end = max(end, began)
            steps.append(Step(step, name, "done", began, round((end - began) / 1000, 1), ""))
            began = end
        else:
            failed = state == "Error"
            steps.append(
                Step(step, name, "failed" if failed else "current", min(began, now), None, message)
            )
            open_step = True
    return Progress(steps, state, message, _stopping(pod))


def _stopping(pod: ObjectView | None) -> Stopping | UnsetType:
    metadata = (pod or {}).get("metadata") or {}
    until, grace = (
        milliseconds(metadata.get("deletionTimestamp")),
        metadata.get("deletionGracePeriodSeconds") or 0,
    )
    return Stopping(until - 1000 * grace, grace) if until else UNSET


def _failing(pod: ObjectView | None, events: Iterable[ObjectView]) -> str | None:
    """Return the step at which a workspace fails; None if it is the first that is not done."""
    status = (pod or {}).get("status") or {}
    scheduled: ObjectView = next(
        (one for one in status.get("conditions") or () if one["type"] == "PodScheduled"), {}
    )
    if scheduled.get("status") == "False":
        return "volumes" if _NO_SUCH_CLAIM.search(scheduled.get("message") or "") else "scheduled"
    reason = _waiting(status).get("reason")
    if reason in _VOLUME_REASONS:
        return "volumes"
    if reason in _IMAGE_REASONS:
        return "image"
    if reason in ("ContainerCreating", "") and any(
        one.get("reason") in ("FailedMount", "FailedAttachVolume") for one in events
    ):
        return "volumes"
    return None


def _main(status: ObjectView) -> ObjectView:
    return next(
        (one for one in status.get("containerStatuses") or () if one["name"] == CONTAINER), {}
    )


def _waiting(status: ObjectView) -> ObjectView:
    return (_main(status).get("state") or {}).get("waiting") or {}


def _begin(workspace: ObjectView, pod: ObjectView | None) -> int:
    """Return when the start began: its pod is created right after."""
    created = milliseconds(workspace["metadata"].get("creationTimestamp"))
    if pod is None:
        return created
    return max(created, milliseconds(pod["metadata"].get("creationTimestamp")))


def _ends(
    workspace: ObjectView,
    pod: ObjectView | None,
    claims: Iterable[ObjectView],
    events: Iterable[ObjectView],
) -> dict[str, int | None]:
    """Return when each step ended, in ms since 1970; None for one that has not."""
    ends: dict[str, int | None] = dict.fromkeys((step for step, _ in STEPS), None)
    if pod is None:
        return ends
    ends["accepted"] = milliseconds(pod["metadata"].get("creationTimestamp"))
    status = pod.get("status") or {}
    conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
    if conditions.get("PodScheduled", {}).get("status") == "True":
        ends["scheduled"] = milliseconds(conditions["PodScheduled"].get("lastTransitionTime"))
    elif pod["spec"].get("nodeName"):
        ends["scheduled"] = ends["accepted"]
    if ends["scheduled"] is None:
        return ends
    main = _main(status)
    waiting = _waiting(status).get("reason")
    running = (main.get("state") or {}).get("running") or {}
    told = {event.get("reason"): milliseconds(event.get("lastTimestamp")) for event in events}
    bound = bool(running) or all(
        (claim.get("status") or {}).get("phase") == "Bound" for claim in claims
    )
    if bound and waiting not in _VOLUME_REASONS:
        ends["volumes"] = ends["scheduled"]
    before = (main.get("lastState") or {}).get("terminated") or {}
    if not running and waiting == "CrashLoopBackOff" and before.get("exitCode") != NEVER_STARTED:
        running = before  # the container starts, but ends before it is ready
    if running or main.get("ready") or ("Pulled" in told and waiting not in _IMAGE_REASONS):
        ends["image"] = (
            told.get("Pulled") or milliseconds(running.get("startedAt")) or ends["volumes"]
        )
    if running:
        ends["started"] = milliseconds(running.get("startedAt"))
        if conditions.get("Ready", {}).get("status") == "True":
            ends["ready"] = milliseconds(conditions["Ready"].get("lastTransitionTime"))
    return ends
