"""Garbage collection: what belonged to an object that is gone goes too (Kubernetes: background, foreground and orphan)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

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
from jupyter_workspaces.kube.work_queue import WorkQueue

from .discovery import served
from .informers import Informers

log = logging.getLogger(__name__)

Object = dict[str, Any]

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
SETTLE_SECONDS = 0.3
IGNORED = {EVENTS, LEASES}
DISCOVER_SECONDS = 600.0


class Item(NamedTuple):
    """One object of the cluster."""

    resource: Resource
    namespace: str
    name: str


class GarbageCollector:
    """Watches every resource there is, and knows by owner's uid what depends on it: no search is ever made."""

    def __init__(self, cluster: Cluster, informers: Informers) -> None:
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
        forget = self._definitions.listen(lambda *_: self._discover.set())
        tasks = [
            asyncio.create_task(self._keep_discovering(), name="discovery"),
            asyncio.create_task(self._queue.run(self._reconcile), name="garbage collector"),
        ]
        try:
            await asyncio.gather(*tasks)  # the first that fails ends both, and propagates
        finally:
            forget()
            await ended(tasks)
            for stop in self._watched.values():
                stop()

    async def _keep_discovering(self) -> None:
        """Watch what the cluster serves, also what a new CRD adds."""
        while True:
            self._discover.clear()
            try:
                found = {
                    resource for resource in await served(self._cluster) if resource not in IGNORED
                }
            except ClusterError as error:
                log.warning("The cluster's resources could not be listed: %s", error)
                await asyncio.sleep(1)
                continue
            for resource in self._watched.keys() - found:
                self._watched.pop(resource)()
                await self._informers.drop(resource)
            for resource in found - self._watched.keys():
                self._watch(resource)
            # Not `wait_for`: before Python 3.12 it loses a cancellation that comes together with the event.
            timer = asyncio.get_running_loop().call_later(DISCOVER_SECONDS, self._discover.set)
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
            for owner in _owners(obj):  # one that is deleted in the foreground waits for this
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
                wait := self._settling(obj)
            ) > 0:
                return wait
            if ORPHAN in finalizers:
                return await self._set_free(item, obj)
            if FOREGROUND in finalizers:
                return await self._delete_dependents(item, obj)
            return None
        return await self._check_owners(item, obj)

    def _settling(self, obj: Object) -> float:
        """Seconds until the watches can be trusted to have told of all that the owner has: each resource has a watch of its own."""
        now = asyncio.get_running_loop().time()
        began = self._ending.setdefault(obj["metadata"]["uid"], now)
        if not all(self._informers.of(resource).ready for resource in self._watched):
            return SETTLE_SECONDS
        return began + SETTLE_SECONDS - now

    async def _check_owners(self, item: Item, obj: Object) -> float | None:
        """Delete an object all of whose owners are gone; forget those that are gone when others are left."""
        lasting, gone, blocking = [], [], []
        for owner in _owners(obj):
            held = await self._owner(item, owner)
            if held is None:
                gone.append(owner)
            elif held["metadata"].get("deletionTimestamp") and FOREGROUND in (
                held["metadata"].get("finalizers") or ()
            ):
                blocking.append(owner)
            else:
                lasting.append(owner)
        if lasting:
            if gone or blocking:
                patch = {
                    "metadata": {
                        "ownerReferences": lasting,
                        "resourceVersion": obj["metadata"]["resourceVersion"],
                    }
                }
                await self._patch(item, patch)
        elif gone or blocking:
            await self._delete(item, obj, "Foreground" if blocking else "Background")
        return None

    async def _owner(self, item: Item, owner: Object) -> Object | None:
        """An owner as the cluster has it, None when that very one is gone. Raises `ClusterError` when its kind is not known."""
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
                f"{item.name} is owned by a {owner['kind']} ({owner['apiVersion']}), which this cluster does not serve"
            )
        if resource.namespaced and not item.namespace:
            # An owner that cannot be: where it would live is not told. Nothing is deleted for want of it.
            raise ClusterError(
                f"{item.name} belongs to no namespace, but is owned by a {owner['kind']}, which lives in one"
            )
        try:
            # A cache may not know yet what was made a moment ago; what is deleted here does not come back.
            held = await self._cluster.get(
                resource, owner["name"], item.namespace if resource.namespaced else None
            )
        except NotFound:
            return None
        return held if held["metadata"]["uid"] == owner["uid"] else None

    async def _set_free(self, item: Item, obj: Object) -> float | None:
        """The owner goes, what it owned stays: take its reference from each."""
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
        """The owner goes last: delete what it owns, and let it go when nothing is left that holds it up."""
        uid, holding = obj["metadata"]["uid"], False
        for dependent in list(self._dependents.get(uid, ())):
            held = self._get(dependent)
            if held is None:
                continue
            self._queue.add(dependent)
            holding |= any(
                owner["uid"] == uid and owner.get("blockOwnerDeletion") for owner in _owners(held)
            )
        if not holding:
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
        # A finalizer on the dependent says how its own dependents are to be treated.
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
