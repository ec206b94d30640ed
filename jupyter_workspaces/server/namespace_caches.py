"""Caches for people who may not see the whole cluster: all namespaces where that is allowed, else those that they work in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from jupyter_workspaces.common.supervision import Health
from jupyter_workspaces.kube.catalog import NAMESPACES, Resource
from jupyter_workspaces.kube.client import Cluster, Listing
from jupyter_workspaces.kube.errors import ClusterError, Forbidden
from jupyter_workspaces.kube.object_store import (
    Key,
    key_of,
    revision_of,
)
from jupyter_workspaces.kube.reflector import Reflector, Times
from jupyter_workspaces.kube.types import Object

CHILD_SECONDS = 15.0


class Scoped(Reflector):
    """All objects, else by a reflector for each namespace; the same to those who read it.

    What may not be seen anywhere is empty, and with `strict` `items` raises the cluster's refusal. The whole is asked for again now and
    then, and takes the place of its parts once it is allowed.
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
        super().__init__(cluster, resource, label_selector=label_selector, times=times)
        self._first, self._strict = list(namespaces), strict
        self._parts: dict[str, Reflector] = {}
        self._unsubscribe: dict[str, Callable[[], None]] = {}
        self._replaced: list[Reflector] = []

    @property
    def parts(self) -> list[str]:
        """The namespaces that are watched one by one; empty while all are."""
        return [] if super().ready else list(self._parts)

    @property
    def reflectors(self) -> list[Reflector]:
        """Itself, and the reflectors of separately watched namespaces."""
        return [self, *self._parts.values()]

    async def add(self, namespace: str) -> None:
        """Watch one more namespace. Raises `Forbidden` when that is not allowed, `ClusterError`, `TimeoutError`."""
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
        await super().stop()
        await asyncio.gather(*(part.stop() for part in [*self._parts.values(), *self._replaced]))

    @property
    def stale_since(self) -> datetime | None:
        if super().ready or not self._parts:
            return super().stale_since
        return min(
            (since for part in self._parts.values() if (since := part.stale_since) is not None),
            default=None,
        )

    @property
    def health(self) -> list[Health]:
        return [*super().health, *(found for part in self._parts.values() for found in part.health)]

    @property
    def ready(self) -> bool:
        return super().ready or any(part.ready for part in self._parts.values())

    @property
    def denied(self) -> Forbidden | None:
        whole = super().denied
        if whole is None or not self._parts:
            return whole
        refusals = [part.denied for part in self._parts.values()]
        return refusals[0] if all(refusals) else None

    def sees(self, namespace: str) -> bool:
        """Whether the objects of a namespace have been listed."""
        return super().ready or (namespace in self._parts and self._parts[namespace].ready)

    def get(self, name: str, namespace: str = "") -> Object | None:
        if super().ready or namespace not in self._parts:
            return super().get(name, namespace)
        return self._parts[namespace].get(name, namespace)

    def items(self) -> Iterable[Object]:
        if self._strict and (denied := self.denied) is not None:
            raise denied
        if super().ready:
            return super().items()
        return [obj for part in self._parts.values() for obj in part.items()]

    def __len__(self) -> int:
        return super().__len__() if super().ready else sum(map(len, self._parts.values()))

    def apply(self, obj: Object) -> None:
        part = self._parts.get(obj["metadata"].get("namespace") or "")
        if super().ready or part is None:
            super().apply(obj)
        else:
            part.apply(obj)

    def deleted(self, answer: Object, name: str, namespace: str = "") -> None:
        part = self._parts.get(namespace)
        if super().ready or part is None:
            super().deleted(answer, name, namespace)
        else:
            part.deleted(answer, name, namespace)

    def wake(self) -> None:
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
            return  # it goes on trying, and `denied` tells why

    def _listed(self, listing: Listing) -> None:
        """Replace the parts; listeners receive no events for objects that these have already."""
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
    """All namespaces, else those that somebody works in, as far as they may be seen."""

    def __init__(
        self, cluster: Cluster, namespaces: Sequence[str], times: Times | None = None
    ) -> None:
        super().__init__(cluster, NAMESPACES, namespaces, times=times)
        self._known: dict[Key, Object] = {}

    async def learn(self, namespace: str) -> None:
        """Show it among those that somebody works in."""
        try:
            found = await self._cluster.get(NAMESPACES, namespace)
        except ClusterError:
            found = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        self._known["", namespace] = found

    def forget(self, namespace: str) -> None:
        """Remove a namespace and its objects."""
        self._known.pop(("", namespace), None)

    def get(self, name: str, namespace: str = "") -> Object | None:
        return super().get(name) if self.denied is None else self._known.get(("", name))

    def items(self) -> Iterable[Object]:
        return super().items() if self.denied is None else list(self._known.values())

    def __len__(self) -> int:
        return super().__len__() if self.denied is None else len(self._known)

    async def _refused(self, error: Forbidden) -> None:
        await asyncio.gather(*(self.learn(namespace) for namespace in self._first))
        await super()._refused(error)
