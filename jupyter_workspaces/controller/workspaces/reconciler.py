"""Makes the cluster what each Workspace says, and says in its status what is. From level, not from edge: safe to restart anywhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_workspaces.common.supervision import Backoff
from jupyter_workspaces.common.timestamps import milliseconds
from jupyter_workspaces.kube.catalog import EVENTS
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import (
    BadRequest,
    Conflict,
    Invalid,
    NotFound,
)
from jupyter_workspaces.kube.event_recorder import record
from jupyter_workspaces.kube.reflector import Key
from jupyter_workspaces.resources import metadata_keys, restarts, unreadable
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS, WORKSPACES

from . import (
    activity,
    manifests,
    states,
    status,
)
from .activity import Prober
from .cluster_views import View
from .manifests import GenerateError
from .options import Option, OptionError, resolve
from .owned_objects import (
    NotAccepted,
    NotAllowed,
    Owned,
    Refused,
    Stuck,
)
from .restarts import is_to_finish, next_look

log = logging.getLogger(__name__)

Object = dict[str, Any]

# How long a pod may be missing before its StatefulSet's events are asked why; then it is asked ever more rarely.
PATIENCE_SECONDS = 3.0
LONGEST_PAUSE_SECONDS = 120.0
MOUNT_REASONS = ("FailedMount", "FailedAttachVolume")
FIRST_RETRY_SECONDS = 1.0
UNSCHEDULED_SECONDS = 30.0
MOUNT_WARNING_MS = 150_000
"""A kubelet repeats the event of a failing mount every two minutes at least."""


@dataclass
class _Failure:
    """A write that the cluster refused: of what, how, and before when it is not tried again unless what it is made from changes."""

    made_from: tuple[Any, ...]
    error: NotAccepted | NotAllowed
    backoff: Backoff
    until: float


class WorkspaceReconciler:
    """One call of `reconcile` for one workspace at a time. What it remembers beside the cluster may be lost at any time."""

    def __init__(self, cluster: Cluster, view: View, prober: Prober) -> None:
        self._cluster, self._view, self._prober = cluster, view, prober
        self._owned = Owned(cluster, view)
        self._missing: dict[Key, float] = {}
        self._refused: dict[Key, float] = {}
        self._failures: dict[Key, _Failure] = {}

    async def reconcile(self, key: Key) -> float | None:
        """Seconds until it should look again, None when only a change matters. Raises `ClusterError`."""
        namespace, name = key
        workspace = self._view.workspaces.get(name, namespace)
        if workspace is None or workspace["metadata"].get("deletionTimestamp"):
            self._forget(key)
            self._failures.pop(key, None)
            if workspace is not None:
                await self._write(workspace, status.ending(workspace, self._view.pod_of(workspace)))
            return None
        try:
            return next_look(workspace, await self._reconcile(key, workspace))
        except NotFound as error:  # the workspace, its kind or its namespace went while we looked; the watch tells what holds now
            log.debug("Workspace %s/%s: %s", namespace, name, error)
            return PATIENCE_SECONDS
        except unreadable.ERRORS as error:
            log.warning("Workspace %s/%s cannot be read", namespace, name, exc_info=error)
            await self._say_unknown(key, workspace)
            return LONGEST_PAUSE_SECONDS

    async def _reconcile(self, key: Key, workspace: Object) -> float | None:
        pod = self._view.pod_of(workspace)
        if is_to_finish(workspace, pod, self._view.owned(self._view.stateful_sets, workspace)):
            workspace = await self._patch(workspace, restarts.finished(workspace))
        options: dict[str, Option] | None = None
        kind: Object | None = None
        trouble: str | None = None
        try:
            kind = self._kind(workspace)
            await self._protect(kind)
            options = resolve(kind, workspace)
            if await self._apply_redirects(workspace, options):
                return None  # the change brings this workspace back at once
            workspace = await self._forget_old_reason(workspace)
            await self._make(key, workspace, kind, options, pod)
            self._refused.pop(key, None)
            trouble = (
                await self._why_no_pod(key, workspace, pod)
                if pod is None
                else await self._why_not_mounted(key, pod)
            )
        except Refused as refused:
            trouble = str(refused)
            self._refused.setdefault(key, time.monotonic())
            if pod is not None:
                await record(
                    self._cluster,
                    workspace,
                    "Warning",
                    "NotUpToDate",
                    f"It could not be brought up to date: {trouble}",
                )
        except (Stuck, OptionError, GenerateError) as error:
            self._forget(key)
            if (workspace.get("spec") or {}).get("paused"):
                await self._owned.stop(workspace)
            pending = _pending_restart(kind, options, pod)
            built = status.build(
                workspace,
                "Error",
                str(error),
                pod=pod,
                options=options,
                pending_restart=pending,
                now=_now(),
            )
            await self._write(workspace, built)
            if (failure := self._failures.get(key)) is not None:
                return max(failure.until - time.monotonic(), 0.1)
            # What stands in the way may lie outside of what we watch; a wrong kind or option does not.
            return LONGEST_PAUSE_SECONDS if options is not None else None
        await self._settle(key, workspace, kind, options or {}, pod, trouble)
        if (failure := self._failures.get(key)) is not None:
            return max(failure.until - time.monotonic(), 0.1)
        since = self._refused.get(key) or self._missing.get(key)
        if (
            since is None
            and pod is not None
            and not workspace["spec"].get("paused")
            and not states.is_placed(pod)
        ):
            return UNSCHEDULED_SECONDS  # how long it waits counts, too
        return (
            None
            if since is None
            else min(max(PATIENCE_SECONDS, time.monotonic() - since), LONGEST_PAUSE_SECONDS)
        )

    async def _say_unknown(self, key: Key, workspace: Object) -> None:
        """Set the state Unknown of a malformed workspace. The cluster may refuse the update."""
        self._forget(key)
        kept = (
            workspace
            if isinstance(workspace.get("status"), Mapping)
            else {**workspace, "status": {}}
        )
        try:
            built = status.build(
                kept,
                "Unknown",
                unreadable.sentence(workspace),
                pod=None,
                options=None,
                pending_restart=False,
                now=_now(),
            )
            await self._write(workspace, built)
        except (Invalid, BadRequest, *unreadable.ERRORS) as error:
            log.debug("Workspace %s/%s gets no status: %s", *key, type(error).__name__)

    async def _make(
        self,
        key: Key,
        workspace: Object,
        kind: Object,
        options: dict[str, Option],
        pod: Object | None,
    ) -> None:
        """Make what the workspace owns; what the cluster refused is not tried again before its time. Raises as `Owned.make`."""
        made_from = (
            workspace["metadata"]["uid"],
            workspace["spec"],
            kind["spec"],
            kind["metadata"].get("annotations"),
        )
        failure = self._failures.get(key)
        if failure is not None and failure.made_from != made_from:
            failure = None
        if failure is not None and time.monotonic() < failure.until:
            raise type(failure.error)(str(failure.error))
        try:
            await self._owned.make(workspace, kind, options, pod)
        except (NotAccepted, NotAllowed) as error:
            backoff = (
                failure.backoff
                if failure is not None
                else Backoff(FIRST_RETRY_SECONDS, LONGEST_PAUSE_SECONDS)
            )
            self._failures[key] = _Failure(
                made_from, error, backoff, time.monotonic() + backoff.next()
            )
            raise
        self._failures.pop(key, None)

    def _forget(self, key: Key) -> None:
        self._prober.forget(key)
        self._missing.pop(key, None)
        self._refused.pop(key, None)

    def _kind(self, workspace: Object) -> Object:
        spec = workspace.get("spec")
        if not spec:
            raise LookupError("spec")
        kind = self._view.kinds.get(spec["kind"])
        if kind is None or not kind.get("spec"):
            raise Stuck(
                f"Its kind “{spec['kind']}” is gone. Ask for it back, or make a new workspace with the same volumes."
            )
        return kind

    async def _protect(self, kind: Object) -> None:
        """The kind stays while a workspace is of it."""
        finalizers = kind["metadata"].get("finalizers") or []
        if metadata_keys.KIND_PROTECTION not in finalizers and not kind["metadata"].get(
            "deletionTimestamp"
        ):
            metadata = {
                "finalizers": [*finalizers, metadata_keys.KIND_PROTECTION],
                "resourceVersion": kind["metadata"]["resourceVersion"],
            }
            self._view.kinds.apply(
                await self._cluster.patch(
                    WORKSPACE_KINDS, kind["metadata"]["name"], {"metadata": metadata}
                )
            )

    async def _apply_redirects(self, workspace: Object, options: Mapping[str, Option]) -> bool:
        """A paused workspace that says `deferUpdates: false` moves to where its redirects lead."""
        if workspace["spec"].get("deferUpdates") is not False or not workspace["spec"].get(
            "paused"
        ):
            return False
        moved = {dimension: option.desired for dimension, option in options.items() if option.chain}
        if not moved:
            return False
        await self._patch(workspace, {"spec": {"podTemplate": {"options": moved}}})
        await record(
            self._cluster,
            workspace,
            "Normal",
            "Redirected",
            f"Moved to {', '.join(moved.values())}, as its kind asks.",
        )
        return True

    async def _forget_old_reason(self, workspace: Object) -> Object:
        """A workspace that is wanted again is not paused because of anything."""
        if workspace["spec"].get("paused") or metadata_keys.PAUSED_BECAUSE not in (
            workspace["metadata"].get("annotations") or {}
        ):
            return workspace
        return await self._patch(
            workspace, {"metadata": {"annotations": {metadata_keys.PAUSED_BECAUSE: None}}}
        )

    async def _patch(self, workspace: Object, patch: Object) -> Object:
        """Merge a change into the very version that we know. Raises `Conflict`."""
        metadata = workspace["metadata"]
        patch = patch | {
            "metadata": {
                **patch.get("metadata", {}),
                "resourceVersion": metadata["resourceVersion"],
            }
        }
        changed = await self._cluster.patch(
            WORKSPACES, metadata["name"], patch, metadata["namespace"]
        )
        self._view.workspaces.apply(changed)
        return changed

    async def _why_no_pod(self, key: Key, workspace: Object, pod: Object | None) -> str | None:
        """What the StatefulSet's latest warning says, if its pod has been missing for a while. Warnings of earlier starts do not count."""
        if pod is not None or workspace["spec"].get("paused"):
            self._missing.pop(key, None)
            return None
        missing = time.monotonic() - self._missing.setdefault(key, time.monotonic())
        if missing < PATIENCE_SECONDS:
            return None
        since = _now() - 1000 * missing - 1000  # an event's time has whole seconds
        warnings = []
        for held in self._view.owned(self._view.stateful_sets, workspace):
            selector = f"involvedObject.uid={held['metadata']['uid']},type=Warning"
            warnings += (await self._cluster.list(EVENTS, key[0], field_selector=selector)).items
        recent = [event for event in warnings if milliseconds(event.get("lastTimestamp")) >= since]
        return (
            str(max(recent, key=lambda event: event["lastTimestamp"])["message"])
            if recent
            else None
        )

    async def _why_not_mounted(self, key: Key, pod: Object) -> str | None:
        """Return the kubelet's event about volumes that it cannot mount, once a pod waits long; its status does not show that."""
        waiting = (
            states.is_placed(pod)
            and not pod["metadata"].get("deletionTimestamp")
            and states.waits_for_its_start(pod)
        )
        if not waiting:
            self._missing.pop(key, None)
            return None
        if time.monotonic() - self._missing.setdefault(key, time.monotonic()) < PATIENCE_SECONDS:
            return None
        selector = f"involvedObject.uid={pod['metadata']['uid']},type=Warning"
        told = [
            one
            for one in (await self._cluster.list(EVENTS, key[0], field_selector=selector)).items
            if one.get("reason") in MOUNT_REASONS
        ]
        recent = [
            one
            for one in told
            if milliseconds(one.get("lastTimestamp")) >= _now() - MOUNT_WARNING_MS
        ]
        return str(max(recent, key=lambda one: one["lastTimestamp"])["message"]) if recent else None

    async def _settle(
        self,
        key: Key,
        workspace: Object,
        kind: Object | None,
        options: Mapping[str, Option],
        pod: Object | None,
        trouble: str | None,
    ) -> None:
        """Write the status, plan the next probe, pause what has been idle for long enough."""
        state, message = states.decide(workspace, pod, trouble, now=_now() / 1000)
        pending, now = _pending_restart(kind, options, pod), _now()
        probe = kind["spec"]["podTemplate"].get("activityProbe") if kind is not None else None
        if state != "Running" or kind is None or probe is None:
            self._prober.forget(key)
            built = status.build(
                workspace,
                state,
                message,
                pod=pod,
                options=options or None,
                pending_restart=pending,
                now=now,
            )
            await self._write(workspace, built)
            return
        namespace = self._view.namespaces.get(key[0]) or {}
        labels = (namespace.get("metadata") or {}).get("labels") or {}
        rule = activity.pause_rule(kind, options["podConfig"].current, labels)
        fresh = self._prober.take(key)
        probed = fresh or self._prober.latest(key)
        built = status.build(
            workspace,
            state,
            message,
            pod=pod,
            options=options,
            pending_restart=pending,
            now=now,
            probed=probed,
            rule=rule,
        )
        before = workspace.get("status")
        if before is not None and built["lastRunningTime"] != before.get("lastRunningTime"):
            self._prober.forget(key)  # what was learned was of an earlier run
        try:
            written = (
                await self._write(workspace, built)
                if activity.is_news(built, before, now)
                else workspace
            )
            if fresh is not None and activity.is_due(built, rule, now):
                await self._pause(written, built["activity"]["lastActivity"], rule or {})
                return
        except Conflict:
            self._prober.give_back(key, fresh)
            raise
        self._prober.schedule(key, activity.next_probe(built["activity"], probe, now))

    async def _pause(self, workspace: Object, last_activity: int, rule: Mapping[str, Any]) -> None:
        idle, limit = _now() / 1000 - last_activity / 1000, rule["config"]["secondsSinceActive"]
        because = f"It was not used for {activity.duration(idle)}; its kind pauses workspaces after {activity.duration(limit)}."
        annotations = {metadata_keys.PAUSED_BECAUSE: because, metadata_keys.RESTART: None}
        await self._patch(
            workspace, {"spec": {"paused": True}, "metadata": {"annotations": annotations}}
        )
        await record(
            self._cluster,
            workspace,
            "Normal",
            "PausedWhenIdle",
            f"{because} Resume it to go on; the files stay.",
        )

    async def _write(self, workspace: Object, built: Object) -> Object:
        """Only when it says something new. The workspace as it then is."""
        if built == workspace.get("status"):
            return workspace
        answer = await self._cluster.replace(
            WORKSPACES, workspace | {"status": built}, subresource="status"
        )
        self._view.workspaces.apply(answer)
        return answer


def _pending_restart(
    kind: Object | None, options: Mapping[str, Option] | None, pod: Object | None
) -> bool:
    """Whether the next start gives something else than what runs: another option, or another template of the kind."""
    if not options:
        return False
    if any(option.chain for option in options.values()):
        return True
    if pod is None or kind is None:
        return False
    made_from = (pod["metadata"].get("annotations") or {}).get(metadata_keys.KIND_TEMPLATE_HASH)
    return made_from is not None and made_from != manifests.kind_hash(
        kind, options["imageConfig"], options["podConfig"]
    )


def _now() -> int:
    return int(time.time() * 1000)
