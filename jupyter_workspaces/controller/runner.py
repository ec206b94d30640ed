"""The controller as one task: watches, queues, workers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from jupyter_workspaces.common.supervision import Supervisor, ended
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import ClusterError
from jupyter_workspaces.kube.reflector import Key, Reflector, key_of
from jupyter_workspaces.kube.work_queue import WorkQueue
from jupyter_workspaces.resources import metadata_keys
from jupyter_workspaces.resources.unreadable import mapping

from .json_logs import subject
from .workspaces.activity import Prober
from .workspaces.cluster_views import View, kind_of
from .workspaces.kind_counts import KindReconciler
from .workspaces.reconciler import WorkspaceReconciler

log = logging.getLogger(__name__)

Object = dict[str, Any]
Reconcile = Callable[[Key], Awaitable[float | None]]

WORKERS = 8
KIND_WORKERS = 2
COUNT_SECONDS = 0.05
"""A kind is counted this long after a change of its workspaces, so that many changes cost one count."""
RETRY_SECONDS = 2.0


class Monitor(Protocol):
    """Who counts what the controller does."""

    def queue(self, name: str, depth: Callable[[], int]) -> None:
        """A queue and how to ask how many keys wait in it."""

    def reconciled(self, name: str, seconds: float, error: BaseException | None) -> None:
        """One reconcile ended, well or not."""


class _Nobody:
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
    """Reconcile until cancelled, at most `workers` workspaces at once.

    Waits for an unreachable API server.

    `shared` are caches of workspaces and kinds that belong to the caller. `within` includes the
    health of the other caches.
    """
    view = View(cluster, shared)
    watched: Monitor = monitor or _Nobody()
    workspaces: WorkQueue[Key] = WorkQueue("workspace")
    kinds: WorkQueue[Key] = WorkQueue("workspace kind")

    def to_probe(key: Key) -> tuple[Object, Object, Object] | None:
        workspace = view.workspaces.get(key[1], key[0])
        kind = view.kinds.get(kind_of(workspace)) if workspace is not None else None
        pod = view.pod_of(workspace) if workspace is not None else None
        if (
            workspace is None
            or kind is None
            or pod is None
            or (workspace.get("status") or {}).get("state") != "Running"
        ):
            return None
        return (workspace, kind, pod) if kind["spec"]["podTemplate"].get("activityProbe") else None

    prober = Prober(cluster, view.secrets, to_probe, workspaces.add)
    reconciler, kind_reconciler = (
        WorkspaceReconciler(cluster, view, prober),
        KindReconciler(cluster, view),
    )
    watched.queue("workspace", workspaces.__len__)
    watched.queue("kind", kinds.__len__)
    _connect(view, workspaces, kinds)
    exclude = within.include(lambda: view.health) if within is not None else None
    try:
        await _synced(view)
        tasks = [
            asyncio.create_task(
                workspaces.run(_watched("workspace", reconciler.reconcile, watched), workers),
                name="workspaces",
            ),
            asyncio.create_task(
                kinds.run(_watched("kind", kind_reconciler.reconcile, watched), KIND_WORKERS),
                name="workspace kinds",
            ),
            asyncio.create_task(prober.run(), name="activity probes"),
        ]
        try:
            await asyncio.gather(
                *tasks
            )  # the first that fails ends all; the supervisor starts anew
        finally:
            await ended(tasks, log=log)
    finally:
        if exclude is not None:
            exclude()
        await view.stop()


def _watched(name: str, reconcile: Reconcile, monitor: Monitor) -> Reconcile:
    """The same, counted; what is logged meanwhile tells of which object."""

    async def counted(key: Key) -> float | None:
        began, error = time.monotonic(), None
        about = subject.set({"controller": name, "namespace": key[0], "name": key[1]})
        try:
            return await reconcile(key)
        except BaseException as raised:
            error = raised
            raise
        finally:
            subject.reset(about)
            monitor.reconciled(name, time.monotonic() - began, error)

    return counted


async def _synced(view: View) -> None:
    while True:
        try:
            return await view.start()
        except (ClusterError, TimeoutError, asyncio.TimeoutError) as error:
            log.warning("The controller waits for the cluster: %s", error)
            await asyncio.sleep(RETRY_SECONDS)


def _connect(view: View, workspaces: WorkQueue[Key], kinds: WorkQueue[Key]) -> None:
    """Which change concerns whom."""

    def workspace_changed(change: str, obj: Object, previous: Object | None) -> None:
        workspaces.add(key_of(obj))
        if previous is None or change == "DELETED" or previous.get("spec") != obj.get("spec"):
            kinds.add(("", kind_of(obj)), COUNT_SECONDS)

    def kind_changed(change: str, obj: Object, previous: Object | None) -> None:
        kinds.add(key_of(obj))
        if previous is None or change == "DELETED" or _shape(previous) != _shape(obj):
            for workspace in view.of_kind(obj["metadata"]["name"]):
                workspaces.add(key_of(workspace))

    def owned_changed(change: str, obj: Object, previous: Object | None) -> None:
        name = (obj["metadata"].get("labels") or {}).get(metadata_keys.WORKSPACE_NAME)
        if name:
            workspaces.add((obj["metadata"]["namespace"], name))

    def picture_changed(change: str, obj: Object, previous: Object | None) -> None:
        key = key_of(obj)
        for kind in view.kinds.items():
            spawner = mapping(mapping(kind.get("spec")).get("spawner"))
            for asset in ("icon", "logo"):
                reference = mapping(mapping(spawner.get(asset)).get("configMap"))
                if (reference.get("namespace"), reference.get("name")) == key:
                    kinds.add(key_of(kind))

    def namespace_changed(change: str, obj: Object, previous: Object | None) -> None:
        if previous is not None and previous["metadata"].get("labels") != obj["metadata"].get(
            "labels"
        ):
            for workspace in view.workspaces.items():
                if workspace["metadata"]["namespace"] == obj["metadata"]["name"]:
                    workspaces.add(key_of(workspace))

    listeners: list[tuple[Reflector, Callable[[str, Object, Object | None], None]]] = [
        (view.workspaces, workspace_changed),
        (view.kinds, kind_changed),
        (view.pictures, picture_changed),
        (view.namespaces, namespace_changed),
    ]
    listeners += [
        (reflector, owned_changed)
        for reflector in (
            view.pods,
            view.stateful_sets,
            view.services,
            view.secrets,
            view.accounts,
            view.bindings,
        )
    ]
    for reflector, listener in listeners:
        view.listen(reflector, listener)


def _shape(kind: Object) -> tuple[Any, Any]:
    """What of a kind its workspaces are made from."""
    return kind["metadata"].get("generation"), (kind["metadata"].get("annotations") or {}).get(
        metadata_keys.TOKEN_ENV
    )
