"""Store of the objects of one resource type, with listeners. A reflector fills it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from jupyter_workspaces.common.supervision import traced

from .catalog import Resource
from .types import Object

log = logging.getLogger(__name__)

Key = tuple[str, str]
Listener = Callable[[str, Object, Object | None], None]


def key_of(obj: Object) -> Key:
    """Return (namespace, name) of an object; the namespace of a cluster-scoped one is empty."""
    metadata = obj["metadata"]
    return metadata.get("namespace") or "", metadata["name"]


class ObjectStore:
    """Objects by key. They are shared and must not be modified.

    Listeners are called on the event loop as `(type, object, previous)` with type ADDED, MODIFIED
    or DELETED, also for differences that a list finds. They must not block. An exception of one is
    logged once per kind, and does not affect the others.
    """

    def __init__(self, resource: Resource) -> None:
        """Make an empty store for objects of one resource type."""
        self.resource = resource
        self.resource_version = ""
        self._objects: dict[Key, Object] = {}
        self._gone: set[str] = set()  # uids that we deleted; the watch may still send older events
        # Revisions of our own writes that the watch has not sent yet.
        self._written: dict[Key, int] = {}
        self._listeners: list[Listener] = []
        self._told: set[tuple[Listener, str]] = set()

    def get(self, name: str, namespace: str = "") -> Object | None:
        """Return an object, None if it is not in the store."""
        return self._objects.get((namespace, name))

    def items(self) -> Iterable[Object]:
        """Return the objects at this moment, in any order."""
        return list(self._objects.values())

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self._objects)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Register a listener for all further changes. Returns a function that unsubscribes it."""
        self._listeners.append(listener)

        def stop() -> None:
            self._listeners.remove(listener)
            self._told = {told for told in self._told if told[0] is not listener}

        return stop

    def apply(self, obj: Object) -> None:
        """Store the response of our own write, unless it is older: the next read must see it."""
        seen = int(self.resource_version) if self.resource_version.isdigit() else 0
        if revision_of(obj) > seen:
            self._written[key_of(obj)] = revision_of(obj)
            self._put(obj)

    def deleted(self, answer: Object, name: str, namespace: str = "") -> None:
        """Store the response of our own delete: keep an object that is still terminating."""
        metadata = answer.get("metadata") or {}
        if metadata.get("finalizers") or metadata.get("deletionGracePeriodSeconds"):
            self.apply(answer)
            return
        known = self._objects.get((namespace, name))
        uid = metadata.get("uid") or (answer.get("details") or {}).get("uid")
        if known is not None and uid is not None and known["metadata"].get("uid") == uid:
            self._gone.add(uid)
            self._drop(known)

    def _take(self, items: Iterable[Object], revision: str) -> None:
        """Replace all objects by a list, except newer responses of our own writes."""
        fresh = {key_of(obj): obj for obj in items}
        listed = int(revision) if revision.isdigit() else 0
        newer = {
            key
            for key, written in self._written.items()
            if written > listed and key in self._objects
        }
        self._written = {key: self._written[key] for key in newer}
        for key in self._objects.keys() - fresh.keys() - newer:
            self._drop(self._objects[key])
        for key, obj in fresh.items():
            if key not in newer:
                self._put(obj, listed=True)
        self._gone.clear()
        self.resource_version = revision

    def _seen(self, change: str, obj: Object) -> None:
        """Store the object of a watch event."""
        if change == "DELETED":
            self._gone.discard(obj["metadata"].get("uid"))
            self._drop(obj)
        elif change != "BOOKMARK":
            self._put(obj)
        self.resource_version = obj["metadata"]["resourceVersion"]
        if self._written:
            passed = revision_of(obj)
            self._written = {
                key: written for key, written in self._written.items() if written > passed
            }

    def _put(self, obj: Object, *, listed: bool = False) -> None:
        """Store `obj`, unless the stored one is newer.

        A list replaces another object of that name at any revision: a reset cluster restarts them.
        """
        known = self._objects.get(key_of(obj))
        uid = obj["metadata"].get("uid")
        if uid in self._gone:
            return
        same = known is not None and known["metadata"].get("uid") == uid
        if known is not None and (same or not listed) and revision_of(known) >= revision_of(obj):
            return
        self._objects[key_of(obj)] = obj
        self._tell("ADDED" if known is None else "MODIFIED", obj, known)

    def _drop(self, obj: Object) -> None:
        """Remove `obj`, but not a newer object of the same name."""
        key = key_of(obj)
        known = self._objects.get(key)
        if known is None or _is_another(known, obj):
            return
        del self._objects[key]
        self._written.pop(key, None)
        self._tell("DELETED", obj, known)

    def _tell(self, change: str, obj: Object, previous: Object | None) -> None:
        for listener in list(self._listeners):
            try:
                listener(change, obj, previous)
            except Exception as error:  # an error in one listener must not stop the others
                told = (listener, type(error).__name__)
                if told not in self._told:
                    self._told.add(told)
                    log.error(
                        "A listener of %s failed: %s",
                        self.resource.plural,
                        told[1],
                        exc_info=traced(error),
                    )


def revision_of(obj: Object) -> int:
    """Return the resource version as an integer: comparable since Kubernetes 1.35 (KEP-5504)."""
    version = obj["metadata"].get("resourceVersion", "0")
    return int(version) if version.isdigit() else 0


def _is_another(known: Object, obj: Object) -> bool:
    uids = known["metadata"].get("uid"), obj["metadata"].get("uid")
    return None not in uids and uids[0] != uids[1]
