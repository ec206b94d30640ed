"""Caches for users who cannot list all namespaces: one reflector for each namespace in use.

With the permission to list all namespaces, one reflector for the whole cluster is used instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from jupyter_workspaces.common.supervision import TaskHealth
from jupyter_workspaces.kube.catalog import NAMESPACES, Resource
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import ClusterError, Forbidden
from jupyter_workspaces.kube.object_store import (
    Key,
    key_of,
    revision_of,
)
from jupyter_workspaces.kube.reflector import Reflector, Times
from jupyter_workspaces.kube.responses import Listing
from jupyter_workspaces.kube.types import Object

CHILD_SECONDS = 15.0


class Scoped(Reflector):
    """Cache of all namespaces, or else of those in use; both have the same interface.

    Objects that may not be listed anywhere are missing; with `strict`, `items` raises the cluster's
    refusal instead. The list of all namespaces is requested again now and then, and replaces the
    parts once it is allowed.
    """

    def __init__(
        self,
        cluster: Cluster,
        resource: Resource,
        namespaces: Sequence[str],
        *,
        label_selector: str | None = None,
        strict: bool = False,
        times: Times | None = None,
    ) -> None:
        """Make an empty cache; `namespaces` are those watched first."""
        super().__init__(cluster, resource, label_selector=label_selector, times=times)
        self._first, self._strict = list(namespaces), strict
        self._parts: dict[str, Reflector] = {}
        self._unsubscribe: dict[str, Callable[[], None]] = {}
        self._replaced: list[Reflector] = []

    @property
    def parts(self) -> list[str]:
        """The namespaces that are watched separately; empty while all are watched together."""
        return [] if super().ready else list(self._parts)

    @property
    def reflectors(self) -> list[Reflector]:
        """The reflector of all namespaces, and those of separate namespaces."""
        return [self, *self._parts.values()]

    async def add(self, namespace: str) -> None:
        """Watch one more namespace, and wait for its list.

        Raises:
            Forbidden: the list is not allowed.
            ClusterError: the list failed.
            TimeoutError: the list took longer than 15 s.
        """
        part = self._parts.get(namespace)
        if part is None:
            part = self._parts[namespace] = Reflector(
                self._cluster,
                self.resource,
                namespace,
                label_selector=self._labels,
                times=self.times,
            )
            self._unsubscribe[namespace] = part.listen(self._tell)
            part.start()
        await part.answered(CHILD_SECONDS)
        if (denied := part.denied) is not None:
            raise denied

    async def drop(self, namespace: str) -> None:
        """Stop watching a namespace; listeners receive DELETED for its objects."""
        part = self._detach(namespace)
        if part is not None:
            for obj in part.items():
                self._tell("DELETED", obj, obj)
            await part.stop()

    def _detach(self, namespace: str) -> Reflector | None:
        part = self._parts.pop(namespace, None)
        if part is not None:
            self._unsubscribe.pop(namespace)()
        return part

    async def stop(self) -> None:
        """Stop watching; keep the cached objects."""
        await super().stop()
        await asyncio.gather(*(part.stop() for part in [*self._parts.values(), *self._replaced]))

    @property
    def stale_since(self) -> datetime | None:
        """Time of the last response of the cluster (UTC); None while the cache is in sync."""
        if super().ready or not self._parts:
            return super().stale_since
        return min(
            (since for part in self._parts.values() if (since := part.stale_since) is not None),
            default=None,
        )

    @property
    def health(self) -> list[TaskHealth]:
        """Health of all tasks."""
        return [*super().health, *(found for part in self._parts.values() for found in part.health)]

    @property
    def ready(self) -> bool:
        """Whether the list of all namespaces or of one has arrived."""
        return super().ready or any(part.ready for part in self._parts.values())

    @property
    def denied(self) -> Forbidden | None:
        """The cluster's refusal if no list is allowed, else None."""
        whole = super().denied
        if whole is None or not self._parts:
            return whole
        refusals = [part.denied for part in self._parts.values()]
        return refusals[0] if all(refusals) else None

    def sees(self, namespace: str) -> bool:
        """Return whether the objects of a namespace have been listed."""
        return super().ready or (namespace in self._parts and self._parts[namespace].ready)

    def get(self, name: str, namespace: str = "") -> Object | None:
        """Return an object, None if it is not in the cache."""
        if super().ready or namespace not in self._parts:
            return super().get(name, namespace)
        return self._parts[namespace].get(name, namespace)

    def items(self) -> Iterable[Object]:
        """Return the objects at this moment, in any order.

        Raises:
            Forbidden: with `strict`, if no list is allowed.
        """
        if self._strict and (denied := self.denied) is not None:
            raise denied
        if super().ready:
            return super().items()
        return [obj for part in self._parts.values() for obj in part.items()]

    def __len__(self) -> int:
        """Return the number of objects."""
        return super().__len__() if super().ready else sum(map(len, self._parts.values()))

    def apply(self, obj: Object) -> None:
        """Store the response of our own write."""
        part = self._parts.get(obj["metadata"].get("namespace") or "")
        if super().ready or part is None:
            super().apply(obj)
        else:
            part.apply(obj)

    def deleted(self, answer: Object, name: str, namespace: str = "") -> None:
        """Store the response of our own delete."""
        part = self._parts.get(namespace)
        if super().ready or part is None:
            super().deleted(answer, name, namespace)
        else:
            part.deleted(answer, name, namespace)

    def wake(self) -> None:
        """End the pauses after failures."""
        super().wake()
        for part in self._parts.values():
            part.wake()

    async def _refused(self, error: Forbidden) -> None:
        if self.resource.namespaced:
            await asyncio.gather(*(self._try(namespace) for namespace in self._first))
        await super()._refused(error)

    async def _try(self, namespace: str) -> None:
        try:
            await self.add(namespace)
        except (ClusterError, TimeoutError, asyncio.TimeoutError):
            return  # its reflector retries, and `denied` has the reason

    def _listed(self, listing: Listing) -> None:
        """Replace the parts. Listeners receive no events for objects that they know."""
        known = [obj for part in self._parts.values() for obj in part.items()]
        listed = int(listing.resource_version) if listing.resource_version.isdigit() else 0
        for obj in known:
            self._objects[key_of(obj)] = obj
            if revision_of(obj) > listed:
                self._written[key_of(obj)] = revision_of(obj)
        replaced = [
            part for namespace in list(self._parts) if (part := self._detach(namespace)) is not None
        ]
        super()._listed(listing)
        self._replaced += replaced

    async def _list(self) -> None:
        await super()._list()
        while self._replaced:
            await self._replaced.pop().stop()


class Namespaces(Scoped):
    """Cache of all namespaces, or else of those in use, as far as they may be read."""

    def __init__(
        self, cluster: Cluster, namespaces: Sequence[str], times: Times | None = None
    ) -> None:
        """Make an empty cache; `namespaces` are those known first."""
        super().__init__(cluster, NAMESPACES, namespaces, times=times)
        self._known: dict[Key, Object] = {}

    async def learn(self, namespace: str) -> None:
        """Add a namespace in use."""
        try:
            found = await self._cluster.get(NAMESPACES, namespace)
        except ClusterError:
            found = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        self._known["", namespace] = found

    def forget(self, namespace: str) -> None:
        """Remove a namespace."""
        self._known.pop(("", namespace), None)

    def get(self, name: str, namespace: str = "") -> Object | None:
        """Return a namespace, None if it is not in the cache."""
        return super().get(name) if self.denied is None else self._known.get(("", name))

    def items(self) -> Iterable[Object]:
        """Return the namespaces at this moment, in any order."""
        return super().items() if self.denied is None else list(self._known.values())

    def __len__(self) -> int:
        """Return the number of namespaces."""
        return super().__len__() if self.denied is None else len(self._known)

    async def _refused(self, error: Forbidden) -> None:
        await asyncio.gather(*(self.learn(namespace) for namespace in self._first))
        await super()._refused(error)
