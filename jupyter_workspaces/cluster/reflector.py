"""A cache of one resource, kept true by list and watch."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from typing import Any

from ..resources.catalog import Resource
from .client import Cluster
from .errors import ClusterError, Expired, Forbidden

log = logging.getLogger(__name__)

Object = dict[str, Any]
Key = tuple[str, str]
Listener = Callable[[str, Object, Object | None], None]

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 30.0
DENIED_PAUSE = 60.0
"""Rights do not come by asking often, but they may come."""


def key_of(obj: Object) -> Key:
    """(namespace, name); the namespace of a cluster-scoped object is empty."""
    metadata = obj["metadata"]
    return metadata.get("namespace") or "", metadata["name"]


class Reflector:
    """All objects of a resource as last heard.

    Lists in pages, watches from there, relists on 410, backs off with jitter while the server is away. Objects in it are shared:
    never change one. Listeners are called on the event loop as `(type, object, previous)` with type ADDED, MODIFIED or DELETED,
    also for what a relist finds changed; they must return at once. One task owns it, from `start` to `stop`.
    """

    def __init__(
        self,
        cluster: Cluster,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> None:
        self.resource = resource
        self.namespace = namespace
        self.error: ClusterError | None = None
        self.resource_version = ""
        self._cluster = cluster
        self._labels, self._fields = label_selector, field_selector
        self._objects: dict[Key, Object] = {}
        self._gone: set[str] = set()  # deleted by us, while the watch may still bring older changes of them
        self._listeners: list[Listener] = []
        self._synced = asyncio.Event()
        self._answered = asyncio.Event()
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to list and watch. Does nothing if it runs already."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"reflector {self.resource.plural}")

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def synced(self, seconds: float = 30) -> None:
        """Return once the first list is in. Raises the last `ClusterError`, or `TimeoutError`, when it takes longer."""
        await self._wait(self._synced, seconds)

    async def answered(self, seconds: float = 30) -> None:
        """The same, but that the list may not be seen is an answer too (`denied`)."""
        await self._wait(self._answered, seconds)

    async def _wait(self, event: asyncio.Event, seconds: float) -> None:
        # Not `wait_for`: before Python 3.12 it loses a cancellation that comes together with the event.
        waiter = asyncio.ensure_future(event.wait())
        try:
            done, _ = await asyncio.wait({waiter}, timeout=seconds)
        finally:
            waiter.cancel()
        if not done:
            raise self.error or TimeoutError(f"{self.resource.plural} were not listed within {seconds:g} s")

    def wake(self) -> None:
        """End the pause after a failure: there is reason to believe that the server is back."""
        self._woken.set()

    @property
    def ready(self) -> bool:
        return self._synced.is_set()

    @property
    def denied(self) -> Forbidden | None:
        """The cluster's refusal, in its own words, while the list may not be seen."""
        return self.error if isinstance(self.error, Forbidden) and not self._synced.is_set() else None

    def get(self, name: str, namespace: str = "") -> Object | None:
        return self._objects.get((namespace, name))

    def items(self) -> Iterable[Object]:
        """A snapshot, in no order."""
        return list(self._objects.values())

    def __len__(self) -> int:
        return len(self._objects)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Hear of every change from now on; call what comes back to stop."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def apply(self, obj: Object) -> None:
        """Take in the answer of a write of our own, so that the next read sees it. What the watch has passed already is ignored."""
        seen = int(self.resource_version) if self.resource_version.isdigit() else 0
        if _revision(obj) > seen:
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

    async def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                if not self.resource_version:
                    await self._list()
                pause = FIRST_PAUSE
                await self._watch()
            except Expired:
                self.resource_version = ""
            except ClusterError as error:
                if self.error is None or str(error) != str(self.error):
                    log.warning("Watching %s: %s", self.resource.plural, error)
                self.error = error
                if denied := self.denied:
                    await self._refused(denied)
                    pause = DENIED_PAUSE
                self._woken.clear()
                timer = asyncio.get_running_loop().call_later(pause * random.uniform(0.5, 1.5), self._woken.set)
                try:
                    await self._woken.wait()
                finally:
                    timer.cancel()
                pause = FIRST_PAUSE if denied else min(pause * 2, LONGEST_PAUSE)
                if not self._synced.is_set():
                    self.resource_version = ""

    async def _refused(self, error: Forbidden) -> None:
        """The list may not be seen, and has not been seen before."""
        self._answered.set()

    async def _list(self) -> None:
        listing = await self._cluster.list(self.resource, self.namespace, label_selector=self._labels, field_selector=self._fields)
        fresh = {key_of(obj): obj for obj in listing.items}
        for key in self._objects.keys() - fresh.keys():
            self._drop(self._objects[key])
        for obj in fresh.values():
            self._put(obj)
        self._gone.clear()
        self.resource_version, self.error = listing.resource_version, None
        self._synced.set()
        self._answered.set()

    async def _watch(self) -> None:
        async for event in self._cluster.watch(
            self.resource,
            self.namespace,
            resource_version=self.resource_version,
            label_selector=self._labels,
            field_selector=self._fields,
        ):
            self.error = None
            if event.type == "DELETED":
                self._gone.discard(event.object["metadata"].get("uid"))
                self._drop(event.object)
            elif event.type != "BOOKMARK":
                self._put(event.object)
            self.resource_version = event.object["metadata"]["resourceVersion"]

    def _put(self, obj: Object) -> None:
        known = self._objects.get(key_of(obj))
        if obj["metadata"].get("uid") in self._gone:
            return
        if known is not None and _revision(known) >= _revision(obj) and known["metadata"].get("uid") == obj["metadata"].get("uid"):
            return
        self._objects[key_of(obj)] = obj
        self._tell("ADDED" if known is None else "MODIFIED", obj, known)

    def _drop(self, obj: Object) -> None:
        known = self._objects.pop(key_of(obj), None)
        if known is not None:
            self._tell("DELETED", obj, known)

    def _tell(self, change: str, obj: Object, previous: Object | None) -> None:
        for listener in list(self._listeners):
            try:
                listener(change, obj, previous)
            except Exception:  # one listener's fault must not end the watch for the others
                log.exception("A listener of %s failed", self.resource.plural)


def _revision(obj: Object) -> int:
    """Kubernetes 1.35 made resource versions of built-in and custom resources comparable integers; they were so before in fact."""
    version = obj["metadata"].get("resourceVersion", "0")
    return int(version) if version.isdigit() else 0
