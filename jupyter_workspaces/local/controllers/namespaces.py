"""Namespaces: each gets its service account, and one that is deleted is emptied before it goes."""

from __future__ import annotations

from typing import Any

from ...cluster.client import Cluster
from ...cluster.errors import AlreadyExists, ClusterError, Forbidden, NotFound
from ...cluster.reflector import Key, key_of
from ...cluster.workqueue import WorkQueue
from ...resources.catalog import NAMESPACES, SERVICE_ACCOUNTS
from .discovery import served
from .informers import Informers, listed

Object = dict[str, Any]

LOOK_AGAIN_SECONDS = 0.5
ACCOUNT = "default"


class Namespaces:
    """Keeps the account `default` in each namespace, and ends namespaces."""

    def __init__(self, cluster: Cluster, informers: Informers) -> None:
        self._cluster = cluster
        self._namespaces = informers.of(NAMESPACES)
        self._accounts = informers.of(SERVICE_ACCOUNTS)
        self._queue: WorkQueue[Key] = WorkQueue("namespaces")

    async def run(self) -> None:
        forget = (
            self._namespaces.listen(lambda change, obj, previous: self._queue.add(key_of(obj))),
            self._accounts.listen(lambda change, obj, previous: self._queue.add(("", obj["metadata"]["namespace"]))),
        )
        try:
            await listed(self._namespaces, self._accounts)
            for namespace in self._namespaces.items():
                self._queue.add(key_of(namespace))
            await self._queue.run(self._reconcile, workers=2)
        finally:
            for stop in forget:
                stop()

    async def _reconcile(self, key: Key) -> float | None:
        name = key[1]
        namespace = self._namespaces.get(name)
        if namespace is None:
            return None
        if namespace["metadata"].get("deletionTimestamp"):
            return await self._end(namespace)
        if self._accounts.get(ACCOUNT, name) is None:
            account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}}
            try:
                self._accounts.apply(await self._cluster.create(SERVICE_ACCOUNTS, account, name))
            except (AlreadyExists, Forbidden, NotFound):
                return None  # made, or the namespace is going, since we looked
        return None

    async def _end(self, namespace: Object) -> float | None:
        """Empty it and let it go. In how many seconds to look again when something is still there."""
        name = namespace["metadata"]["name"]
        if "kubernetes" not in (namespace["spec"].get("finalizers") or ()):
            return None
        left: list[str] = []
        for resource in await served(self._cluster):
            if not resource.namespaced:
                continue
            listing = await self._cluster.raw("GET", resource.path(name), query={"limit": "1"})
            if not listing.get("items"):
                continue
            try:
                await self._cluster.raw("DELETE", resource.path(name), body={"kind": "DeleteOptions", "apiVersion": "v1"})
            except ClusterError as error:
                left.append(f"{resource.plural} ({error})")
                continue
            remaining = await self._cluster.raw("GET", resource.path(name), query={"limit": "1"})
            if remaining.get("items"):
                left.append(resource.plural)
        if left:
            await self._say_what_is_left(namespace, left)
            return LOOK_AGAIN_SECONDS
        kept = [held for held in namespace["spec"]["finalizers"] if held != "kubernetes"]
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {"finalizers": kept}}
        try:
            await self._cluster.raw("PUT", NAMESPACES.path(name=name) + "/finalize", body=body)
        except NotFound:
            return None
        return None

    async def _say_what_is_left(self, namespace: Object, left: list[str]) -> None:
        conditions = [
            {
                "type": "NamespaceContentRemaining",
                "status": "True",
                "reason": "SomeResourcesRemain",
                "message": f"Still there: {', '.join(left)}",
                "lastTransitionTime": namespace["metadata"]["deletionTimestamp"],
            }
        ]
        if (namespace.get("status") or {}).get("conditions") == conditions:
            return
        name = namespace["metadata"]["name"]
        written = await self._cluster.patch(NAMESPACES, name, {"status": {"conditions": conditions}}, subresource="status")
        self._namespaces.apply(written)
