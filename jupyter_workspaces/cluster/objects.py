"""Known objects of one resource type, and listeners to their changes. A reflector supplies the objects."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from ..resources.catalog import Resource
from ..supervision import traced

log = logging.getLogger(__name__)

Object = dict[str, Any]
Key = tuple[str, str]
Listener = Callable[[str, Object, Object | None], None]


def key_of(obj: Object) -> Key:
    """(namespace, name); the namespace of a cluster-scoped object is empty."""
    metadata = obj["metadata"]
    return metadata.get("namespace") or "", metadata["name"]


class Objects:
    """Objects by key. They are shared: never change one.

    Listeners are called on the event loop as `(type, object, previous)` with type ADDED, MODIFIED or DELETED, also for what a
    list finds changed; they must return at once. One that raises is logged once per kind and counted in `listener_failures`;
    it does not keep the change from the others.
    """

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self.resource_version = ""
        self.listener_failures = 0
        self._objects: dict[Key, Object] = {}
        self._gone: set[str] = set()  # deleted by us, while the watch may still bring older changes of them
        self._written: dict[Key, int] = {}  # revisions of our own writes that the watch has not brought yet
        self._listeners: list[Listener] = []
        self._told: set[tuple[Listener, str]] = set()

    def get(self, name: str, namespace: str = "") -> Object | None:
        return self._objects.get((namespace, name))

    def items(self) -> Iterable[Object]:
        """A snapshot, in no order."""
        return list(self._objects.values())

    def __len__(self) -> int:
        return len(self._objects)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Register a listener for all further changes. Returns a function that unsubscribes it."""
        self._listeners.append(listener)

        def stop() -> None:
            self._listeners.remove(listener)
            self._told = {told for told in self._told if told[0] is not listener}

        return stop

    def apply(self, obj: Object) -> None:
        """Take in the answer of a write of our own, so that the next read sees it. What the watch has passed already is ignored."""
        seen = int(self.resource_version) if self.resource_version.isdigit() else 0
        if revision_of(obj) > seen:
            self._written[key_of(obj)] = revision_of(obj)
            self._put(obj)

    def deleted(self, answer: Object, name: str, namespace: str = "") -> None:
        """Take in the answer of a deletion of our own: the object while something holds it, else a Status or its last state."""
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
        """Become what a list found. Only answers of our own writes that are newer than the list are kept."""
        fresh = {key_of(obj): obj for obj in items}
        listed = int(revision) if revision.isdigit() else 0
        newer = {key for key, written in self._written.items() if written > listed and key in self._objects}
        self._written = {key: self._written[key] for key in newer}
        for key in self._objects.keys() - fresh.keys() - newer:
            self._drop(self._objects[key])
        for key, obj in fresh.items():
            if key not in newer:
                self._put(obj, listed=True)
        self._gone.clear()
        self.resource_version = revision

    def _seen(self, change: str, obj: Object) -> None:
        """Take in an event of the watch."""
        if change == "DELETED":
            self._gone.discard(obj["metadata"].get("uid"))
            self._drop(obj)
        elif change != "BOOKMARK":
            self._put(obj)
        self.resource_version = obj["metadata"]["resourceVersion"]
        if self._written:
            passed = revision_of(obj)
            self._written = {key: written for key, written in self._written.items() if written > passed}

    def _put(self, obj: Object, *, listed: bool = False) -> None:
        """Know `obj`, unless what is known is newer. A list may replace another object of that name whatever its revision:
        a cluster that was reset begins to count anew."""
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
        """Forget `obj`, but not another one that has its name by now."""
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
            except Exception as error:  # one listener's fault must not end the watch for the others
                self.listener_failures += 1
                told = (listener, type(error).__name__)
                if told not in self._told:
                    self._told.add(told)
                    log.error("A listener of %s failed: %s", self.resource.plural, told[1], exc_info=traced(error))


def revision_of(obj: Object) -> int:
    """Kubernetes 1.35 made resource versions of built-in and custom resources comparable integers; they were so before in fact."""
    version = obj["metadata"].get("resourceVersion", "0")
    return int(version) if version.isdigit() else 0


def _is_another(known: Object, obj: Object) -> bool:
    uids = known["metadata"].get("uid"), obj["metadata"].get("uid")
    return None not in uids and uids[0] != uids[1]
