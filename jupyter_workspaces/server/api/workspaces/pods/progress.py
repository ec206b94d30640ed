"""The start of a workspace as named steps, each with its duration or its reason."""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import UNSET, UnsetType

from jupyter_workspaces.common.timestamps import milliseconds
from jupyter_workspaces.kube.types import ObjectView
from jupyter_workspaces.resources.views import PodView, WorkspaceView, container_state

from .models import Progress, Step, Stopping

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
    view = WorkspaceView(workspace)
    state, message = view.state, view.state_message
    if view.spec.get("paused"):
        return Progress(
            [Step(step, name, "waiting", 0, None, "") for step, name in STEPS],
            state,
            message,
            _stopping(pod),
        )
    seen = list(events)
    ends = _ends(pod, claims, seen)
    failing = _failing(pod, seen) if state == "Error" else None
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
    view = PodView(pod or {})
    scheduled = view.conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return "volumes" if _NO_SUCH_CLAIM.search(scheduled.get("message") or "") else "scheduled"
    reason = _waiting(view).get("reason")
    if reason in _VOLUME_REASONS:
        return "volumes"
    if reason in _IMAGE_REASONS:
        return "image"
    if reason in ("ContainerCreating", "") and any(
        one.get("reason") in ("FailedMount", "FailedAttachVolume") for one in events
    ):
        return "volumes"
    return None


def _waiting(pod: PodView) -> ObjectView:
    return container_state(pod.main_status, "waiting") or {}


def _begin(workspace: ObjectView, pod: ObjectView | None) -> int:
    """Return when the start began: its pod is created right after."""
    created = milliseconds(workspace["metadata"].get("creationTimestamp"))
    if pod is None:
        return created
    return max(created, milliseconds(pod["metadata"].get("creationTimestamp")))


def _ends(
    pod: ObjectView | None,
    claims: Iterable[ObjectView],
    events: Iterable[ObjectView],
) -> dict[str, int | None]:
    """Return when each step ended, in ms since 1970; None for one that has not."""
    ends: dict[str, int | None] = dict.fromkeys((step for step, _ in STEPS), None)
    if pod is None:
        return ends
    view = PodView(pod)
    ends["accepted"] = milliseconds(view.metadata.get("creationTimestamp"))
    conditions = view.conditions
    if conditions.get("PodScheduled", {}).get("status") == "True":
        ends["scheduled"] = milliseconds(conditions["PodScheduled"].get("lastTransitionTime"))
    elif view.node_name:
        ends["scheduled"] = ends["accepted"]
    if ends["scheduled"] is None:
        return ends
    main = view.main_status or {}
    waiting = _waiting(view).get("reason")
    running = container_state(main, "running") or {}
    times = {event.get("reason"): milliseconds(event.get("lastTimestamp")) for event in events}
    bound = bool(running) or all(
        (claim.get("status") or {}).get("phase") == "Bound" for claim in claims
    )
    if bound and waiting not in _VOLUME_REASONS:
        ends["volumes"] = ends["scheduled"]
    before = (main.get("lastState") or {}).get("terminated") or {}
    if not running and waiting == "CrashLoopBackOff" and before.get("exitCode") != NEVER_STARTED:
        running = before  # the container starts, but ends before it is ready
    if running or main.get("ready") or ("Pulled" in times and waiting not in _IMAGE_REASONS):
        ends["image"] = (
            times.get("Pulled") or milliseconds(running.get("startedAt")) or ends["volumes"]
        )
    if running:
        ends["started"] = milliseconds(running.get("startedAt"))
        if view.is_ready:
            ends["ready"] = milliseconds(conditions["Ready"].get("lastTransitionTime"))
    return ends
