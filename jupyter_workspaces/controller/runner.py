"""Runs the controller: caches, work queues, reconcilers and activity probes.

`run` starts all of it. `_subscribe` says which changes in the caches cause which reconciles.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from jupyter_workspaces.common.supervision import Supervisor, ended
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import ClusterError
from jupyter_workspaces.kube.reflector import Key, Reflector, key_of
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.kube.work_queue import WorkQueue
from jupyter_workspaces.resources import metadata_keys
from jupyter_workspaces.resources.unreadable import mapping
from jupyter_workspaces.resources.views import MetadataView, WorkspaceKindView, WorkspaceView

from .json_logs import log_fields
from .workspaces.caches import Caches
from .workspaces.kind_reconciler import KindReconciler
from .workspaces.prober import Prober, ProbeTarget
from .workspaces.reconciler import WorkspaceReconciler

log = logging.getLogger(__name__)

Reconcile = Callable[[Key], Awaitable[float | None]]

WORKERS = 8
KIND_WORKERS = 2
COUNT_DELAY_SECONDS = 0.05
"""Delay between a change of a workspace and the reconcile of its kind: many changes cause one."""

RETRY_SECONDS = 2.0


class Monitor(Protocol):
    """Receives the numbers that become metrics."""

    def queue(self, name: str, depth: Callable[[], int]) -> None:
        """Register a queue; `depth` returns the number of its waiting keys."""

    def reconciled(self, name: str, seconds: float, error: BaseException | None) -> None:
        """Count a reconcile that ended, with or without an error."""


class _NoMonitor:
    def queue(self, name: str, depth: Callable[[], int]) -> None:
        return

    def reconciled(self, name: str, seconds: float, error: BaseException | None) -> None:
        return


async def run(
    cluster: Cluster,
    *,
    workers: int = WORKERS,
    shared: tuple[Reflector, Reflector] | None = None,
    monitor: Monitor | None = None,
    within: Supervisor | None = None,
) -> None:
    """Reconcile workspaces and kinds until cancelled. Retries while the API server is unreachable.

    Args:
        cluster: API server to work on.
        workers: workspaces to reconcile at once.
        shared: running caches of workspaces and kinds, which belong to the caller.
        monitor: receives numbers for metrics.
        within: supervisor whose health includes that of the other caches.
    """
    caches = Caches(cluster, shared)
    watched: Monitor = monitor or _NoMonitor()
    workspaces: WorkQueue[Key] = WorkQueue("workspace")
    kinds: WorkQueue[Key] = WorkQueue("workspace kind")
    prober = Prober(cluster, caches.secrets, lambda key: _to_probe(caches, key), workspaces.add)
    reconciler = WorkspaceReconciler(cluster, caches, prober)
    kind_reconciler = KindReconciler(cluster, caches)
    watched.queue("workspace", workspaces.__len__)
    watched.queue("kind", kinds.__len__)
    _subscribe(caches, workspaces, kinds)
    exclude = within.include(lambda: caches.health) if within is not None else None
    try:
        await _start(caches)
        tasks = [
            asyncio.create_task(
                workspaces.run(_observed("workspace", reconciler.reconcile, watched), workers),
                name="workspaces",
            ),
            asyncio.create_task(
                kinds.run(_observed("kind", kind_reconciler.reconcile, watched), KIND_WORKERS),
                name="workspace kinds",
            ),
            asyncio.create_task(prober.run(), name="activity probes"),
        ]
        try:
            # A failure of one task ends all; the supervisor of the caller restarts them together.
            await asyncio.gather(*tasks)
        finally:
            await ended(tasks, log=log)
    finally:
        if exclude is not None:
            exclude()
        await caches.stop()


def _to_probe(caches: Caches, key: Key) -> ProbeTarget | None:
    """Return a running workspace whose kind has an activity probe, or None."""
    workspace = caches.workspaces.get(key[1], key[0])
    if workspace is None or WorkspaceView(workspace).state != "Running":
        return None
    kind = caches.kinds.get(WorkspaceView(workspace).kind_name)
    pod = caches.pod_of(workspace)
    if kind is None or pod is None or not WorkspaceKindView(kind).activity_probe:
        return None
    return ProbeTarget(workspace, kind, pod)


def _observed(name: str, reconcile: Reconcile, monitor: Monitor) -> Reconcile:
    """Return `reconcile` with metrics, and with the object's name in log lines."""

    async def observed(key: Key) -> float | None:
        started, error = time.monotonic(), None
        fields = log_fields.set({"controller": name, "namespace": key[0], "name": key[1]})
        try:
            return await reconcile(key)
        except BaseException as raised:
            error = raised
            raise
        finally:
            log_fields.reset(fields)
            monitor.reconciled(name, time.monotonic() - started, error)

    return observed


async def _start(caches: Caches) -> None:
    while True:
        try:
            return await caches.start()
        except (ClusterError, TimeoutError, asyncio.TimeoutError) as error:
            log.warning("The controller waits for the cluster: %s", error)
            await asyncio.sleep(RETRY_SECONDS)


def _subscribe(caches: Caches, workspaces: WorkQueue[Key], kinds: WorkQueue[Key]) -> None:
    """Add keys to the queues when the objects change that their reconcilers read."""

    def workspace_changed(change: str, obj: Object, previous: Object | None) -> None:
        workspaces.add(key_of(obj))
        if previous is None or change == "DELETED" or previous.get("spec") != obj.get("spec"):
            kinds.add(("", WorkspaceView(obj).kind_name), COUNT_DELAY_SECONDS)

    def kind_changed(change: str, obj: Object, previous: Object | None) -> None:
        kinds.add(key_of(obj))
        if previous is None or change == "DELETED" or _shape(previous) != _shape(obj):
            for workspace in caches.of_kind(obj["metadata"]["name"]):
                workspaces.add(key_of(workspace))

    def owned_changed(change: str, obj: Object, previous: Object | None) -> None:
        view = MetadataView(obj)
        if name := view.labels.get(metadata_keys.WORKSPACE_NAME):
            workspaces.add((view.namespace, name))

    def picture_changed(change: str, obj: Object, previous: Object | None) -> None:
        for kind in caches.kinds.items():
            if key_of(obj) in _pictures(kind):
                kinds.add(key_of(kind))

    def namespace_changed(change: str, obj: Object, previous: Object | None) -> None:
        if previous is None or MetadataView(previous).labels == MetadataView(obj).labels:
            return
        for workspace in caches.workspaces.items():
            if WorkspaceView(workspace).namespace == MetadataView(obj).name:
                workspaces.add(key_of(workspace))

    caches.listen(caches.workspaces, workspace_changed)
    caches.listen(caches.kinds, kind_changed)
    caches.listen(caches.pictures, picture_changed)
    caches.listen(caches.namespaces, namespace_changed)
    for reflector in (
        caches.pods,
        caches.stateful_sets,
        caches.services,
        caches.secrets,
        caches.accounts,
        caches.bindings,
    ):
        caches.listen(reflector, owned_changed)


def _shape(kind: Object) -> tuple[int | None, str | None]:
    """Return what decides whether the workspaces of a kind have to be reconciled."""
    view = WorkspaceKindView(kind)
    return view.metadata.get("generation"), view.token_variable


def _pictures(kind: Object) -> list[Key]:
    """Return namespace and name of the ConfigMaps with icon and logo of a kind."""
    spawner = mapping(mapping(kind.get("spec")).get("spawner"))
    references = [
        mapping(mapping(spawner.get(asset)).get("configMap")) for asset in ("icon", "logo")
    ]
    return [
        (reference["namespace"], reference["name"])
        for reference in references
        if "namespace" in reference and "name" in reference
    ]
