"""Garbage collection: deletes objects whose owners are gone.

Implements background, foreground and orphan deletion (Kubernetes docs, “Garbage Collection”).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple

from jupyter_workspaces.common.supervision import ended
from jupyter_workspaces.kube.catalog import (
    CUSTOM_RESOURCE_DEFINITIONS,
    EVENTS,
    LEASES,
    Resource,
)
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import ClusterError, NotFound
from jupyter_workspaces.kube.reflector import Listener
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.kube.work_queue import WorkQueue

from .discovery import served_resources
from .informers import Informers

log = logging.getLogger(__name__)

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
WATCH_DELAY_SECONDS = 0.3
IGNORED = {EVENTS, LEASES}
DISCOVERY_SECONDS = 600.0


class Item(NamedTuple):
    """Identifies one object of the cluster."""

    resource: Resource
    namespace: str
    name: str


class GarbageCollector:
    """The garbage collector. It watches all resources and indexes dependents by owner uid."""

    def __init__(self, cluster: Cluster, informers: Informers) -> None:
        """Create the garbage collector; `run` starts it."""
        self._cluster = cluster
        self._informers = informers
        self._definitions = informers.of(CUSTOM_RESOURCE_DEFINITIONS)
        self._watched: dict[Resource, Callable[[], None]] = {}
        self._dependents: dict[str, set[Item]] = {}
        self._uids: dict[str, Item] = {}
        self._ending: dict[str, float] = {}
        self._discover = asyncio.Event()
        self._queue: WorkQueue[Item] = WorkQueue("garbage collector")

    async def run(self) -> None:
        """Run until cancelled."""
        unsubscribe = self._definitions.listen(lambda *_: self._discover.set())
        tasks = [
            asyncio.create_task(self._keep_discovering(), name="discovery"),
            asyncio.create_task(self._queue.run(self._reconcile), name="garbage collector"),
        ]
        try:
            await asyncio.gather(*tasks)  # the first that fails ends both, and propagates
        finally:
            unsubscribe()
            await ended(tasks)
            for stop in self._watched.values():
                stop()

    async def _keep_discovering(self) -> None:
        """Watch all resources that the cluster serves, including those of new CRDs."""
        while True:
            self._discover.clear()
            try:
                found = {
                    resource
                    for resource in await served_resources(self._cluster)
                    if resource not in IGNORED
                }
            except ClusterError as error:
                log.warning("Cannot list the resources of the cluster: %s", error)
                await asyncio.sleep(1)
                continue
            for resource in self._watched.keys() - found:
                self._watched.pop(resource)()
                await self._informers.drop(resource)
            for resource in found - self._watched.keys():
                self._watch(resource)
            # Not `wait_for`: before Python 3.12 it loses a cancellation at the time of the event.
            timer = asyncio.get_running_loop().call_later(DISCOVERY_SECONDS, self._discover.set)
            try:
                await self._discover.wait()
            finally:
                timer.cancel()

    def _watch(self, resource: Resource) -> None:
        reflector = self._informers.of(resource)
        listener = self._listener(resource)
        self._watched[resource] = reflector.listen(listener)
        for obj in reflector.items():
            listener("ADDED", obj, None)

    def _listener(self, resource: Resource) -> Listener:
        def changed(change: str, obj: Object, previous: Object | None) -> None:
            item = _item(resource, obj)
            for owner in _owners(previous or {}):
                self._forget_dependent(owner["uid"], item)
            if previous is not None:
                self._uids.pop(previous["metadata"]["uid"], None)
            if change == "DELETED":
                self._ending.pop(obj["metadata"]["uid"], None)
                for dependent in self._dependents.get(obj["metadata"]["uid"], ()):
                    self._queue.add(dependent)
            else:
                self._uids[obj["metadata"]["uid"]] = item
                for owner in _owners(obj):
                    self._dependents.setdefault(owner["uid"], set()).add(item)
                if _owners(obj) != _owners(previous or {}) or _is_ending(obj):
                    self._queue.add(item)
            for owner in _owners(obj):  # may wait for this in foreground deletion
                if change == "DELETED" and owner["uid"] in self._uids:
                    self._queue.add(self._uids[owner["uid"]])

        return changed

    def _forget_dependent(self, uid: str, item: Item) -> None:
        held = self._dependents.get(uid)
        if held is not None:
            held.discard(item)
            if not held:
                del self._dependents[uid]

    def _get(self, item: Item) -> Object | None:
        return (
            self._informers.of(item.resource).get(item.name, item.namespace)
            if item.resource in self._watched
            else None
        )

    async def _reconcile(self, item: Item) -> float | None:
        obj = self._get(item)
        if obj is None:
            return None
        finalizers = obj["metadata"].get("finalizers") or ()
        if obj["metadata"].get("deletionTimestamp"):
            if (ORPHAN in finalizers or FOREGROUND in finalizers) and (
                wait := self._watch_delay(obj)
            ) > 0:
                return wait
            if ORPHAN in finalizers:
                return await self._orphan_dependents(item, obj)
            if FOREGROUND in finalizers:
                return await self._delete_dependents(item, obj)
            return None
        return await self._check_owners(item, obj)

    def _watch_delay(self, obj: Object) -> float:
        """Return the seconds until the watches are expected to have reported all dependents.

        Each resource has a watch of its own, so events of owner and dependents are not ordered.
        """
        now = asyncio.get_running_loop().time()
        began = self._ending.setdefault(obj["metadata"]["uid"], now)
        if not all(self._informers.of(resource).ready for resource in self._watched):
            return WATCH_DELAY_SECONDS
        return began + WATCH_DELAY_SECONDS - now

    async def _check_owners(self, item: Item, obj: Object) -> float | None:
        """Delete an object without remaining owners, or remove references to deleted owners."""
        remaining, gone, blocking = [], [], []
        for owner in _owners(obj):
            held = await self._owner(item, owner)
            if held is None:
                gone.append(owner)
            elif held["metadata"].get("deletionTimestamp") and FOREGROUND in (
                held["metadata"].get("finalizers") or ()
            ):
                blocking.append(owner)
            else:
                remaining.append(owner)
        if remaining:
            if gone or blocking:
                patch = {
                    "metadata": {
                        "ownerReferences": remaining,
                        "resourceVersion": obj["metadata"]["resourceVersion"],
                    }
                }
                await self._patch(item, patch)
        elif gone or blocking:
            await self._delete(item, obj, "Foreground" if blocking else "Background")
        return None

    async def _owner(self, item: Item, owner: Object) -> Object | None:
        """Return an owner; None if it was deleted, also if another object has its name.

        Raises:
            ClusterError: The cluster does not serve its kind.
        """
        known = self._uids.get(owner["uid"])
        if (
            known is not None
            and (held := self._get(known)) is not None
            and held["metadata"]["uid"] == owner["uid"]
        ):
            return held
        group, _, _ = owner["apiVersion"].rpartition("/")
        resource = next(
            (
                found
                for found in self._watched
                if (found.group, found.kind) == (group, owner["kind"])
            ),
            None,
        )
        if resource is None:
            raise ClusterError(
                f"The owner of {item.name} is a {owner['kind']} ({owner['apiVersion']}), which "
                "this cluster does not serve"
            )
        if resource.namespaced and not item.namespace:
            # The owner's namespace is not known, so its absence cannot be determined.
            raise ClusterError(
                f"{item.name} has no namespace, but its owner is a {owner['kind']}, which has one"
            )
        try:
            # Not from the cache, which may lag: a deletion cannot be undone.
            held = await self._cluster.get(
                resource, owner["name"], item.namespace if resource.namespaced else None
            )
        except NotFound:
            return None
        return held if held["metadata"]["uid"] == owner["uid"] else None

    async def _orphan_dependents(self, item: Item, obj: Object) -> float | None:
        """Remove the owner's references from its dependents, then its finalizer `orphan`."""
        uid = obj["metadata"]["uid"]
        for dependent in list(self._dependents.get(uid, ())):
            held = self._get(dependent)
            if held is not None:
                kept = [owner for owner in _owners(held) if owner["uid"] != uid]
                await self._patch(
                    dependent,
                    {
                        "metadata": {
                            "ownerReferences": kept,
                            "resourceVersion": held["metadata"]["resourceVersion"],
                        }
                    },
                )
        await self._remove_finalizer(item, obj, ORPHAN)
        return None

    async def _delete_dependents(self, item: Item, obj: Object) -> float | None:
        """Delete dependents, then remove the owner's finalizer once none blocks its deletion."""
        uid, blocked = obj["metadata"]["uid"], False
        for dependent in list(self._dependents.get(uid, ())):
            held = self._get(dependent)
            if held is None:
                continue
            self._queue.add(dependent)
            blocked |= any(
                owner["uid"] == uid and owner.get("blockOwnerDeletion") for owner in _owners(held)
            )
        if not blocked:
            await self._remove_finalizer(item, obj, FOREGROUND)
        return None

    async def _remove_finalizer(self, item: Item, obj: Object, finalizer: str) -> None:
        kept = [held for held in obj["metadata"]["finalizers"] if held != finalizer]
        await self._patch(
            item,
            {
                "metadata": {
                    "finalizers": kept,
                    "resourceVersion": obj["metadata"]["resourceVersion"],
                }
            },
        )

    async def _patch(self, item: Item, patch: Object) -> None:
        try:
            await self._cluster.patch(item.resource, item.name, patch, item.namespace or None)
        except NotFound:
            return

    async def _delete(self, item: Item, obj: Object, propagation: str) -> None:
        # A finalizer of the dependent decides about its own dependents.
        if ORPHAN in (obj["metadata"].get("finalizers") or ()):
            propagation = "Orphan"
        metadata = obj["metadata"]
        try:
            await self._cluster.delete(
                item.resource,
                item.name,
                item.namespace or None,
                propagation=propagation,
                uid=metadata["uid"],
                resource_version=metadata["resourceVersion"],
            )
        except NotFound:
            return


def _item(resource: Resource, obj: Object) -> Item:
    return Item(resource, obj["metadata"].get("namespace") or "", obj["metadata"]["name"])


def _owners(obj: Object) -> list[Object]:
    return (obj.get("metadata") or {}).get("ownerReferences") or []


def _is_ending(obj: Object) -> bool:
    metadata = obj["metadata"]
    return bool(metadata.get("deletionTimestamp")) and not {ORPHAN, FOREGROUND}.isdisjoint(
        metadata.get("finalizers") or ()
    )
