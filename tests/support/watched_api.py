"""Replacement for the Kubernetes client: tests decide what lists and watches return."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from typing import Any

from jupyter_workspaces.kube.catalog import Resource
from jupyter_workspaces.kube.endpoint import Endpoint
from jupyter_workspaces.kube.errors import Forbidden, NotFound
from jupyter_workspaces.kube.responses import Listing, WatchEvent
from jupyter_workspaces.kube.types import Object


def known(name: str, uid: str, revision: int, namespace: str = "team-a", **metadata: Any) -> Object:
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": uid,
            "resourceVersion": str(revision),
            **metadata,
        }
    }


class WatchedApi:
    """Kubernetes client whose lists and watches return what a test sets.

    `objects` are what a list returns, by plural. `put` sends an event to the open watches of the
    object's namespace and of all namespaces. `wide` says whether lists of all namespaces are
    allowed. `failures` are raised by lists, by (plural, namespace), and `broken` by watches.
    """

    def __init__(self) -> None:
        async def token() -> str:
            return "x"

        self.endpoint = Endpoint("http://127.0.0.1:1", "watched", None, token, namespace="team-a")
        self.wide = True
        self.revision = 10
        self.objects: dict[str, list[Object]] = {}
        self.failures: dict[tuple[str, str | None], Exception] = {}
        self.broken: Exception | None = None
        self.asked: Counter[tuple[str, str | None]] = Counter()
        self.before_list: Callable[[str, str | None], Any] | None = None
        self._watches: list[tuple[str, str | None, asyncio.Queue[WatchEvent | None]]] = []

    async def list(self, resource: Resource, namespace: str | None = None, **_: Any) -> Listing:
        self.asked[resource.plural, namespace] += 1
        revision = self.revision
        if (
            self.before_list is not None
            and (wait := self.before_list(resource.plural, namespace)) is not None
        ):
            await wait
        if (error := self.failures.get((resource.plural, namespace))) is not None:
            raise error
        if not self.wide and namespace is None and resource.namespaced:
            raise Forbidden(f"{resource.plural} is forbidden")
        found = self.objects.get(resource.plural, [])
        chosen = [obj for obj in found if namespace in (None, obj["metadata"]["namespace"])]
        return Listing(
            [obj for obj in chosen if int(obj["metadata"]["resourceVersion"]) <= revision],
            str(revision),
        )

    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        opened: Callable[[], None],
        **_: Any,
    ) -> AsyncGenerator[WatchEvent, None]:
        if self.broken is not None:
            raise self.broken
        queue: asyncio.Queue[WatchEvent | None] = asyncio.Queue()
        entry = (resource.plural, namespace, queue)
        self._watches.append(entry)
        opened()
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._watches.remove(entry)

    def watched(self, plural: str) -> list[str | None]:
        """The namespaces of the open watches of a type."""
        return [namespace for name, namespace, _ in self._watches if name == plural]

    def put(self, plural: str, change: str, obj: Object) -> None:
        for name, namespace, queue in self._watches:
            if name == plural and namespace in (None, obj["metadata"]["namespace"]):
                queue.put_nowait(WatchEvent(change, obj))

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        raise NotFound(f"{name} is not there")

    async def raw(self, method: str, path: str, **_: Any) -> Object:
        return {"gitVersion": "v1.36.0"}

    async def close(self) -> None:
        return
