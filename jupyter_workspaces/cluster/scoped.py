"""Caches for people who may not see the whole cluster: all namespaces where that is allowed, else those that they work in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from ..resources.catalog import NAMESPACES, Resource
from .client import Cluster
from .errors import ClusterError, Forbidden
from .reflector import Key, Reflector

Object = dict[str, Any]

CHILD_SECONDS = 15.0


class Scoped(Reflector):
    """All objects, else by a reflector for each namespace; the same to those who read it.

    What may not be seen anywhere is empty, and with `strict` `items` raises the cluster's refusal. The whole is asked for again now and
    then, and takes the place of its parts once it is allowed.
    """

    def __init__(
        self, cluster: Cluster, resource: Resource, namespaces: Sequence[str], *, label_selector: str | None = None, strict: bool = False
    ) -> None:
        super().__init__(cluster, resource, label_selector=label_selector)
        self._first, self._strict = list(namespaces), strict
        self._parts: dict[str, Reflector] = {}

    @property
    def parts(self) -> list[str]:
        """The namespaces that are watched one by one; empty while all are."""
        return [] if super().ready else list(self._parts)

    async def add(self, namespace: str) -> None:
        """Watch one more namespace. Raises `Forbidden` when that is not allowed, `ClusterError`, `TimeoutError`."""
        part = self._parts.get(namespace)
        if part is None:
            part = self._parts[namespace] = Reflector(self._cluster, self.resource, namespace, label_selector=self._labels)
            part.listen(self._tell)
            part.start()
        await part.answered(CHILD_SECONDS)
        if (denied := part.denied) is not None:
            raise denied

    async def drop(self, namespace: str) -> None:
        part = self._parts.pop(namespace, None)
        if part is not None:
            await part.stop()

    async def stop(self) -> None:
        await super().stop()
        await asyncio.gather(*(part.stop() for part in self._parts.values()))

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

    async def _list(self) -> None:
        await super()._list()
        for namespace in list(self._parts):
            await self.drop(namespace)


class Namespaces(Scoped):
    """All namespaces, else those that somebody works in, as far as they may be seen."""

    def __init__(self, cluster: Cluster, namespaces: Sequence[str]) -> None:
        super().__init__(cluster, NAMESPACES, namespaces)
        self._known: dict[Key, Object] = {}

    async def learn(self, namespace: str) -> None:
        """Show it among those that somebody works in."""
        try:
            found = await self._cluster.get(NAMESPACES, namespace)
        except ClusterError:
            found = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        self._known["", namespace] = found

    def get(self, name: str, namespace: str = "") -> Object | None:
        return super().get(name) if self.denied is None else self._known.get(("", name))

    def items(self) -> Iterable[Object]:
        return super().items() if self.denied is None else list(self._known.values())

    def __len__(self) -> int:
        return super().__len__() if self.denied is None else len(self._known)

    async def _refused(self, error: Forbidden) -> None:
        await asyncio.gather(*(self.learn(namespace) for namespace in self._first))
        await super()._refused(error)
