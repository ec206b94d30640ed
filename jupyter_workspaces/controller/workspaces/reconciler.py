"""Reconciles a Workspace: makes the cluster match its spec, and writes its status.

`WorkspaceReconciler.reconcile` does, in this order: finish a restart, resolve kind and options,
create the objects, decide the state, write the status, pause an idle workspace.

It is level-based (https://kubernetes.io/docs/concepts/architecture/controller/): it compares what
should be with what is, and does not depend on which change it missed. What it keeps in memory only
delays retries and may be lost at any time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_workspaces.common.supervision import Backoff
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import (
    BadRequest,
    Conflict,
    Invalid,
    NotFound,
)
from jupyter_workspaces.kube.event_recorder import record
from jupyter_workspaces.kube.reflector import Key
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources import metadata_keys, restarts, unreadable
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS, WORKSPACES
from jupyter_workspaces.resources.views import PodView, WorkspaceKindView, WorkspaceView

from . import (
    activity,
    manifests,
    states,
    status,
)
from .caches import Caches
from .manifests import GenerateError
from .options import Option, OptionError, resolve
from .owned_objects import (
    NotAccepted,
    NotAllowed,
    OwnedObjects,
    Refused,
    Stuck,
)
from .pod_events import PATIENCE_SECONDS, PodEvents
from .prober import Prober
from .restarts import is_to_finish, next_reconcile

log = logging.getLogger(__name__)


FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 120.0
SHORTEST_RETRY_SECONDS = 0.1
UNSCHEDULED_SECONDS = 30.0
"""Interval at which a pod without a node is reconciled: its state depends on how long it waits."""


@dataclass
class _Failure:
    """A write that the cluster refused.

    Attributes:
        made_from: parts of workspace and kind that the objects are made from; a change of them
            allows a retry at once.
        error: the refusal.
        backoff: delays of the retries.
        retry_at: time of the next retry on the monotonic clock.
    """

    made_from: tuple[Any, ...]
    error: NotAccepted | NotAllowed
    backoff: Backoff
    retry_at: float


@dataclass
class _Situation:
    """What one reconcile has found out about a workspace."""

    key: Key
    workspace: Object
    pod: Object | None
    kind: Object | None = None
    options: dict[str, Option] | None = None
    trouble: str | None = None
    """Why the cluster does not create the pod or mount its volumes."""


class WorkspaceReconciler:
    """Reconciler of Workspaces; `reconcile` runs once at a time for each workspace."""

    def __init__(self, cluster: Cluster, caches: Caches, prober: Prober) -> None:
        """Use `cluster` for writes, `caches` for reads and `prober` for the last activity."""
        self._cluster, self._caches, self._prober = cluster, caches, prober
        self._owned = OwnedObjects(cluster, caches)
        self._events = PodEvents(cluster)
        self._refused_since: dict[Key, float] = {}
        self._failures: dict[Key, _Failure] = {}

    async def reconcile(self, key: Key) -> float | None:
        """Reconcile a workspace.

        Args:
            key: its namespace and name.

        Returns:
            Seconds until the next reconcile; None if only a change requires one.

        Raises:
            ClusterError: the API server did not answer, or a write conflicts with another one.
        """
        namespace, name = key
        workspace = self._caches.workspaces.get(name, namespace)
        if workspace is None or WorkspaceView(workspace).is_deleting:
            self._forget(key)
            self._failures.pop(key, None)
            if workspace is not None:
                pod = self._caches.pod_of(workspace)
                await self._write_status(workspace, status.terminating(workspace, pod))
            return None
        try:
            return next_reconcile(workspace, await self._reconcile(key, workspace))
        except NotFound as error:
            # The workspace, its kind or its namespace was deleted in the meantime.
            log.debug("Workspace %s/%s: %s", namespace, name, error)
            return PATIENCE_SECONDS
        except unreadable.ERRORS as error:
            log.warning("Workspace %s/%s is malformed", namespace, name, exc_info=error)
            await self._write_unknown(key, workspace)
            return LONGEST_RETRY_SECONDS

    async def _reconcile(self, key: Key, workspace: Object) -> float | None:
        pod = self._caches.pod_of(workspace)
        stateful_sets = self._caches.owned(self._caches.stateful_sets, workspace)
        if is_to_finish(workspace, pod, stateful_sets):
            workspace = await self._patch(workspace, restarts.finished(workspace))
        found = _Situation(key, workspace, pod)
        try:
            found.kind = self._kind(workspace)
            await self._protect(WorkspaceKindView(found.kind))
            found.options = resolve(found.kind, workspace)
            if await self._apply_redirects(workspace, found.options):
                return None  # the change of the workspace causes the next reconcile
            found.workspace = await self._remove_old_reason(workspace)
            await self._reconcile_objects(found, found.kind, found.options)
            self._refused_since.pop(key, None)
            found.trouble = await self._why_not_started(found)
        except Refused as error:
            await self._note_refusal(found, error)
        except (Stuck, OptionError, GenerateError) as error:
            return await self._write_error(found, error)
        await self._finish(found)
        return self._next_retry(found)

    async def _why_not_started(self, found: _Situation) -> str | None:
        if found.pod is not None:
            return await self._events.why_not_mounted(found.key, found.pod)
        if WorkspaceView(found.workspace).is_paused:
            self._events.forget(found.key)
            return None
        stateful_sets = self._caches.owned(self._caches.stateful_sets, found.workspace)
        return await self._events.why_no_pod(found.key, stateful_sets)

    async def _note_refusal(self, found: _Situation, error: Refused) -> None:
        found.trouble = str(error)
        self._refused_since.setdefault(found.key, time.monotonic())
        if found.pod is not None:
            message = f"The workspace could not be updated: {error}"
            await record(self._cluster, found.workspace, "Warning", "NotUpToDate", message)

    async def _write_error(self, found: _Situation, error: Exception) -> float | None:
        """Write the state Error. Returns the seconds until the next reconcile."""
        self._forget(found.key)
        if WorkspaceView(found.workspace).is_paused:
            await self._owned.scale_down(found.workspace)
        await self._write_state(found, "Error", str(error))
        if (failure := self._failures.get(found.key)) is not None:
            return max(failure.retry_at - time.monotonic(), SHORTEST_RETRY_SECONDS)
        # A kind or an option is watched, so its fix causes a reconcile. Other obstacles are not.
        return LONGEST_RETRY_SECONDS if found.options is not None else None

    async def _write_unknown(self, key: Key, workspace: Object) -> None:
        """Write the state Unknown of a malformed workspace. The cluster may refuse the update."""
        self._forget(key)
        has_status = isinstance(workspace.get("status"), Mapping)
        readable = workspace if has_status else {**workspace, "status": {}}
        try:
            built = status.build(
                readable,
                "Unknown",
                unreadable.sentence(workspace),
                pod=None,
                options=None,
                pending_restart=False,
                now=_now(),
            )
            await self._write_status(workspace, built)
        except (Invalid, BadRequest, *unreadable.ERRORS) as error:
            log.debug("Workspace %s/%s gets no status: %s", *key, type(error).__name__)

    async def _reconcile_objects(
        self, found: _Situation, kind: Object, options: dict[str, Option]
    ) -> None:
        """Create and repair the workspace's objects, with a backoff after a refusal.

        Raises the exceptions of `OwnedObjects.reconcile`.
        """
        workspace, annotations = found.workspace, kind["metadata"].get("annotations")
        made_from = (workspace["metadata"]["uid"], workspace["spec"], kind["spec"], annotations)
        failure = self._failures.get(found.key)
        if failure is not None and failure.made_from != made_from:
            failure = None
        if failure is not None and time.monotonic() < failure.retry_at:
            raise type(failure.error)(str(failure.error))
        try:
            await self._owned.reconcile(workspace, kind, options, found.pod)
        except (NotAccepted, NotAllowed) as error:
            backoff = (
                failure.backoff
                if failure is not None
                else Backoff(FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS)
            )
            retry_at = time.monotonic() + backoff.next()
            self._failures[found.key] = _Failure(made_from, error, backoff, retry_at)
            raise
        self._failures.pop(found.key, None)

    def _next_retry(self, found: _Situation) -> float | None:
        """Return the seconds until the next reconcile; None if only a change requires one."""
        if (failure := self._failures.get(found.key)) is not None:
            return max(failure.retry_at - time.monotonic(), SHORTEST_RETRY_SECONDS)
        since = self._refused_since.get(found.key) or self._events.waiting_since(found.key)
        if since is not None:  # the longer it lasts, the more rarely it is retried
            waited = time.monotonic() - since
            return min(max(PATIENCE_SECONDS, waited), LONGEST_RETRY_SECONDS)
        is_paused = WorkspaceView(found.workspace).is_paused
        if found.pod is not None and not is_paused and not PodView(found.pod).node_name:
            return UNSCHEDULED_SECONDS
        return None

    def _forget(self, key: Key) -> None:
        self._prober.forget(key)
        self._events.forget(key)
        self._refused_since.pop(key, None)

    def _kind(self, workspace: Object) -> Object:
        """Return the workspace's kind. Raises `Stuck` if it does not exist."""
        spec = workspace.get("spec")
        if not spec:
            raise LookupError("spec")
        kind = self._caches.kinds.get(spec["kind"])
        if kind is None or not kind.get("spec"):
            raise Stuck(
                f"Its workspace kind “{spec['kind']}” does not exist. Ask your administrator to "
                "restore it, or create a new workspace with the same volumes."
            )
        return kind

    async def _protect(self, kind: WorkspaceKindView) -> None:
        """Add the finalizer that keeps the kind while it has workspaces."""
        if kind.is_deleting or metadata_keys.KIND_PROTECTION in kind.finalizers:
            return
        metadata = {
            "finalizers": [*kind.finalizers, metadata_keys.KIND_PROTECTION],
            "resourceVersion": kind.resource_version,
        }
        changed = await self._cluster.patch(WORKSPACE_KINDS, kind.name, {"metadata": metadata})
        self._caches.kinds.apply(changed)

    async def _apply_redirects(self, workspace: Object, options: Mapping[str, Option]) -> bool:
        """Change the options of a paused workspace with `deferUpdates: false` to their redirects.

        Returns whether the workspace was changed.
        """
        view = WorkspaceView(workspace)
        if view.spec.get("deferUpdates") is not False or not view.is_paused:
            return False
        moved = {
            dimension: option.desired for dimension, option in options.items() if option.redirects
        }
        if not moved:
            return False
        await self._patch(workspace, {"spec": {"podTemplate": {"options": moved}}})
        message = f"Changed to {', '.join(moved.values())}, as its kind redirects."
        await record(self._cluster, workspace, "Normal", "Redirected", message)
        return True

    async def _remove_old_reason(self, workspace: Object) -> Object:
        """Remove the reason of the last automatic pause from a workspace that was resumed."""
        view = WorkspaceView(workspace)
        if view.is_paused or metadata_keys.PAUSED_BECAUSE not in view.annotations:
            return workspace
        annotations = {metadata_keys.PAUSED_BECAUSE: None}
        return await self._patch(workspace, {"metadata": {"annotations": annotations}})

    async def _finish(self, found: _Situation) -> None:
        """Write the status, schedule the next probe, and pause the workspace if it is idle."""
        state, message = states.decide(found.workspace, found.pod, found.trouble, now=_now() / 1000)
        probe = WorkspaceKindView(found.kind).activity_probe if found.kind is not None else None
        if state != "Running" or found.kind is None or found.options is None or probe is None:
            self._prober.forget(found.key)
            await self._write_state(found, state, message)
            return
        namespace = self._caches.namespaces.get(found.key[0]) or {}
        labels = (namespace.get("metadata") or {}).get("labels") or {}
        rule = activity.pause_rule(found.kind, found.options["podConfig"].current, labels)
        result = self._prober.take(found.key)
        now = _now()
        built = status.build(
            found.workspace,
            state,
            message,
            pod=found.pod,
            options=found.options,
            pending_restart=_is_restart_pending(found),
            now=now,
            probed=result or self._prober.latest(found.key),
            rule=rule,
        )
        before = found.workspace.get("status")
        if before is not None and built["lastRunningTime"] != before.get("lastRunningTime"):
            self._prober.forget(found.key)  # its results are of an earlier run
        try:
            written = found.workspace
            if activity.is_worth_writing(built, before, now):
                written = await self._write_status(found.workspace, built)
            if rule is not None and result is not None and activity.is_due(built, rule, now):
                await self._pause(written, built["activity"]["lastActivity"], rule)
                return
        except Conflict:
            self._prober.give_back(found.key, result)
            raise
        self._prober.schedule(found.key, activity.next_probe(built["activity"], probe, now))

    async def _pause(self, workspace: Object, last_activity: int, rule: Mapping[str, Any]) -> None:
        idle = activity.duration(_now() / 1000 - last_activity / 1000)
        limit = activity.duration(rule["config"]["secondsSinceActive"])
        reason = f"It was not used for {idle}; its kind pauses workspaces after {limit}."
        annotations = {metadata_keys.PAUSED_BECAUSE: reason, metadata_keys.RESTART: None}
        await self._patch(
            workspace, {"spec": {"paused": True}, "metadata": {"annotations": annotations}}
        )
        message = f"{reason} Resume it to continue; the files in its volumes stay."
        await record(self._cluster, workspace, "Normal", "PausedWhenIdle", message)

    async def _write_state(self, found: _Situation, state: str, message: str) -> None:
        """Write a status without new activity."""
        built = status.build(
            found.workspace,
            state,
            message,
            pod=found.pod,
            options=found.options,
            pending_restart=_is_restart_pending(found),
            now=_now(),
        )
        await self._write_status(found.workspace, built)

    async def _write_status(self, workspace: Object, built: Object) -> Object:
        """Write a status if it is new. Returns the workspace as it is then."""
        if built == workspace.get("status"):
            return workspace
        changed = workspace | {"status": built}
        answer = await self._cluster.replace(WORKSPACES, changed, subresource="status")
        self._caches.workspaces.apply(answer)
        return answer

    async def _patch(self, workspace: Object, patch: Object) -> Object:
        """Apply a merge patch to this version of the workspace. Raises `Conflict`."""
        view = WorkspaceView(workspace)
        metadata = {**patch.get("metadata", {}), "resourceVersion": view.resource_version}
        changed = await self._cluster.patch(
            WORKSPACES, view.name, patch | {"metadata": metadata}, view.namespace
        )
        self._caches.workspaces.apply(changed)
        return changed


def _is_restart_pending(found: _Situation) -> bool:
    """Return whether the next start uses another option, or a changed template of the kind."""
    if not found.options:
        return False
    if any(option.redirects for option in found.options.values()):
        return True
    if found.pod is None or found.kind is None:
        return False
    made_from = PodView(found.pod).annotations.get(metadata_keys.KIND_TEMPLATE_HASH)
    image, size = found.options["imageConfig"], found.options["podConfig"]
    return made_from is not None and made_from != manifests.kind_hash(found.kind, image, size)


def _now() -> int:
    return int(time.time() * 1000)
