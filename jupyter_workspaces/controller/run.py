"""The controller as one task: watches, queues, workers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from ..cluster.client import Cluster
from ..cluster.errors import ClusterError
from ..cluster.reflector import Key, Reflector, key_of
from ..cluster.workqueue import WorkQueue
from ..resources import names
from .activity import Prober
from .kinds import KindReconciler
from .views import View
from .workspaces import WorkspaceReconciler

log = logging.getLogger(__name__)

Object = dict[str, Any]

WORKERS = 8
RETRY_SECONDS = 2.0


async def run(cluster: Cluster) -> None:
    """Reconcile until cancelled. An API server that is away is waited for."""
    view = View(cluster)
    workspaces: WorkQueue[Key] = WorkQueue("workspace")
    kinds: WorkQueue[Key] = WorkQueue("workspace kind")

    def to_probe(key: Key) -> tuple[Object, Object, Object] | None:
        workspace = view.workspaces.get(key[1], key[0])
        kind = view.kinds.get(workspace["spec"]["kind"]) if workspace is not None else None
        pod = view.pod_of(workspace) if workspace is not None else None
        if workspace is None or kind is None or pod is None or (workspace.get("status") or {}).get("state") != "Running":
            return None
        return (workspace, kind, pod) if kind["spec"]["podTemplate"].get("activityProbe") else None

    prober = Prober(cluster, to_probe, workspaces.add)
    _connect(view, workspaces, kinds)
    try:
        await _synced(view)
        await asyncio.gather(
            workspaces.run(WorkspaceReconciler(cluster, view, prober).reconcile, WORKERS),
            kinds.run(KindReconciler(cluster, view).reconcile, 2),
            prober.run(),
        )
    finally:
        await view.stop()


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
        if previous is None or change == "DELETED" or previous["spec"] != obj["spec"]:
            kinds.add(("", obj["spec"]["kind"]))

    def kind_changed(change: str, obj: Object, previous: Object | None) -> None:
        kinds.add(key_of(obj))
        if previous is None or change == "DELETED" or previous["metadata"].get("generation") != obj["metadata"].get("generation"):
            for workspace in view.of_kind(obj["metadata"]["name"]):
                workspaces.add(key_of(workspace))

    def owned_changed(change: str, obj: Object, previous: Object | None) -> None:
        name = (obj["metadata"].get("labels") or {}).get(names.WORKSPACE_NAME)
        if name:
            workspaces.add((obj["metadata"]["namespace"], name))

    def picture_changed(change: str, obj: Object, previous: Object | None) -> None:
        key = key_of(obj)
        for kind in view.kinds.items():
            for asset in (kind["spec"]["spawner"]["icon"], kind["spec"]["spawner"]["logo"]):
                reference = asset.get("configMap") or {}
                if (reference.get("namespace"), reference.get("name")) == key:
                    kinds.add(key_of(kind))

    def namespace_changed(change: str, obj: Object, previous: Object | None) -> None:
        if previous is not None and previous["metadata"].get("labels") != obj["metadata"].get("labels"):
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
        for reflector in (view.pods, view.stateful_sets, view.services, view.secrets, view.accounts, view.bindings)
    ]
    for reflector, listener in listeners:
        reflector.listen(listener)
