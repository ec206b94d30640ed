"""Namespaces: each gets its service account, and one that is deleted is emptied before it goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from jupyter_workspaces.kube.catalog import (
    NAMESPACES,
    PODS,
    SERVICE_ACCOUNTS,
    Resource,
)
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import (
    AlreadyExists,
    ClusterError,
    Forbidden,
    NotFound,
)
from jupyter_workspaces.kube.reflector import Key, key_of
from jupyter_workspaces.kube.work_queue import WorkQueue

from .discovery import served
from .informers import Informers, listed

Object = dict[str, Any]

LOOK_AGAIN_SECONDS = 0.5
PAGE = 500
ACCOUNT = "default"


@dataclass
class Left:
    """What an ending namespace still holds: counts by resource and by finalizer, and what could not be looked at or deleted."""

    content: dict[str, int] = field(default_factory=dict)
    finalizers: dict[str, int] = field(default_factory=dict)
    undiscovered: str = ""
    failures: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.content or self.undiscovered or self.failures)

    def conditions(self) -> list[tuple[str, bool, str, str]]:
        """Type, whether something is amiss, reason and message of each condition that Kubernetes gives such a namespace."""
        content = ", ".join(f"{name}: {count}" for name, count in sorted(self.content.items()))
        finalizers = ", ".join(
            f"{name} in {count}" for name, count in sorted(self.finalizers.items())
        )
        return [
            _told(
                "NamespaceDeletionDiscoveryFailure",
                ("DiscoveryFailed", self.undiscovered),
                ("ResourcesDiscovered", "all kinds of resources are known"),
            ),
            _told(
                "NamespaceDeletionGroupVersionParsingFailure",
                ("", ""),
                ("ParsedGroupVersions", "all groups and versions can be read"),
            ),
            _told(
                "NamespaceDeletionContentFailure",
                ("ContentDeletionFailed", "; ".join(self.failures)),
                ("ContentDeleted", "all content is deleted, or marked for it"),
            ),
            _told(
                "NamespaceContentRemaining",
                ("SomeResourcesRemain", f"still there: {content}" if content else ""),
                ("ContentRemoved", "nothing is left in it"),
            ),
            _told(
                "NamespaceFinalizersRemaining",
                (
                    "SomeFinalizersRemain",
                    f"finalizers hold objects: {finalizers}" if finalizers else "",
                ),
                ("ContentHasNoFinalizers", "no finalizer holds an object"),
            ),
        ]


def _told(kind: str, amiss: tuple[str, str], well: tuple[str, str]) -> tuple[str, bool, str, str]:
    return (kind, True, *amiss) if amiss[1] else (kind, False, *well)


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
            self._accounts.listen(
                lambda change, obj, previous: self._queue.add(("", obj["metadata"]["namespace"]))
            ),
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
        left = Left()
        try:
            resources = [
                resource for resource in await served(self._cluster) if resource.namespaced
            ]
        except ClusterError as error:
            resources, left.undiscovered = [], str(error)
        # Programs first: as long as they run they may need what else there is.
        for batch in (
            [one for one in resources if one == PODS],
            [one for one in resources if one != PODS],
        ):
            if not left:
                await self._empty(name, batch, left)
        await self._say(namespace, left)
        if left:
            return LOOK_AGAIN_SECONDS
        kept = [held for held in namespace["spec"]["finalizers"] if held != "kubernetes"]
        body = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name},
            "spec": {"finalizers": kept},
        }
        try:
            await self._cluster.raw("PUT", NAMESPACES.path(name=name) + "/finalize", body=body)
        except NotFound:
            return None
        return None

    async def _empty(self, name: str, resources: Sequence[Resource], left: Left) -> None:
        for resource in resources:
            try:
                if not (await self._list(resource, name, 1))["items"]:
                    continue
                await self._cluster.raw(
                    "DELETE",
                    resource.path(name),
                    body={"kind": "DeleteOptions", "apiVersion": "v1"},
                )
                remaining = await self._list(resource, name, PAGE)
            except ClusterError as error:
                left.failures.append(f"{resource.plural} ({error})")
                continue
            items = remaining["items"]
            if not items:
                continue
            called = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
            left.content[called] = len(items) + remaining["metadata"].get("remainingItemCount", 0)
            for finalizer in (
                held for item in items for held in item["metadata"].get("finalizers") or ()
            ):
                left.finalizers[finalizer] = left.finalizers.get(finalizer, 0) + 1

    async def _list(self, resource: Resource, namespace: str, limit: int) -> Object:
        return await self._cluster.raw("GET", resource.path(namespace), query={"limit": str(limit)})

    async def _say(self, namespace: Object, left: Left) -> None:
        """Conditions keep the time since when they are as they are; nothing is said of a namespace that goes at once."""
        held = {one["type"]: one for one in (namespace.get("status") or {}).get("conditions") or ()}
        if not left and not held:
            return
        conditions = dict(held)
        for kind, amiss, reason, message in left.conditions():
            value, known = "True" if amiss else "False", held.get(kind, {})
            since = known.get("lastTransitionTime") if known.get("status") == value else None
            now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            conditions[kind] = {
                "type": kind,
                "status": value,
                "lastTransitionTime": since or now,
                "reason": reason,
                "message": message,
            }
        if conditions == held:
            return
        patch = {"status": {"conditions": list(conditions.values())}}
        try:
            self._namespaces.apply(
                await self._cluster.patch(
                    NAMESPACES, namespace["metadata"]["name"], patch, subresource="status"
                )
            )
        except NotFound:
            return
