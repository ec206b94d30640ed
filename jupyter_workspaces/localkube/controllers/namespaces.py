"""Namespaces: each gets the service account `default`, and is emptied when it is deleted.

Source: Kubernetes docs, “Namespaces” and “Finalizers”; conditions as the namespace controller
writes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone

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
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.kube.work_queue import WorkQueue

from .discovery import served_resources
from .informers import Informers, wait_listed

RETRY_SECONDS = 0.5
PAGE_SIZE = 500
ACCOUNT = "default"


@dataclass
class RemainingContent:
    """What a namespace that is being deleted still contains.

    Attributes:
        content: Number of objects by resource.
        finalizers: Number of objects by finalizer.
        undiscovered: Why the resources of the cluster are not known; empty if they are.
        failures: Resources that could not be listed or deleted, with the error.
    """

    content: dict[str, int] = field(default_factory=dict)
    finalizers: dict[str, int] = field(default_factory=dict)
    undiscovered: str = ""
    failures: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Return whether the namespace cannot be removed yet."""
        return bool(self.content or self.undiscovered or self.failures)

    def conditions(self) -> list[tuple[str, bool, str, str]]:
        """Return the conditions that Kubernetes gives such a namespace.

        Each is a tuple of type, whether there is a problem, reason and message.
        """
        content = ", ".join(f"{name}: {count}" for name, count in sorted(self.content.items()))
        finalizers = ", ".join(
            f"{name} in {count}" for name, count in sorted(self.finalizers.items())
        )
        return [
            _condition(
                "NamespaceDeletionDiscoveryFailure",
                ("DiscoveryFailed", self.undiscovered),
                ("ResourcesDiscovered", "all resources are known"),
            ),
            _condition(
                "NamespaceDeletionGroupVersionParsingFailure",
                ("", ""),
                ("ParsedGroupVersions", "all groups and versions are valid"),
            ),
            _condition(
                "NamespaceDeletionContentFailure",
                ("ContentDeletionFailed", "; ".join(self.failures)),
                ("ContentDeleted", "all content is deleted or being deleted"),
            ),
            _condition(
                "NamespaceContentRemaining",
                ("SomeResourcesRemain", f"remaining objects: {content}" if content else ""),
                ("ContentRemoved", "no objects remain"),
            ),
            _condition(
                "NamespaceFinalizersRemaining",
                (
                    "SomeFinalizersRemain",
                    f"objects with finalizers remain: {finalizers}" if finalizers else "",
                ),
                ("ContentHasNoFinalizers", "no objects with finalizers remain"),
            ),
        ]


def _condition(
    kind: str, problem: tuple[str, str], fine: tuple[str, str]
) -> tuple[str, bool, str, str]:
    return (kind, True, *problem) if problem[1] else (kind, False, *fine)


class Namespaces:
    """The controller that creates default service accounts and deletes namespaces."""

    def __init__(self, cluster: Cluster, informers: Informers) -> None:
        """Create the controller; `run` starts it."""
        self._cluster = cluster
        self._namespaces = informers.of(NAMESPACES)
        self._accounts = informers.of(SERVICE_ACCOUNTS)
        self._queue: WorkQueue[Key] = WorkQueue("namespaces")

    async def run(self) -> None:
        """Run until cancelled."""
        unsubscribe = (
            self._namespaces.listen(lambda change, obj, previous: self._queue.add(key_of(obj))),
            self._accounts.listen(
                lambda change, obj, previous: self._queue.add(("", obj["metadata"]["namespace"]))
            ),
        )
        try:
            await wait_listed(self._namespaces, self._accounts)
            for namespace in self._namespaces.items():
                self._queue.add(key_of(namespace))
            await self._queue.run(self._reconcile, workers=2)
        finally:
            for stop in unsubscribe:
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
                return None  # created meanwhile, or the namespace is being deleted
        return None

    async def _end(self, namespace: Object) -> float | None:
        """Delete the content of a namespace, then the namespace.

        Returns the seconds until the next attempt while content remains.
        """
        name = namespace["metadata"]["name"]
        if "kubernetes" not in (namespace["spec"].get("finalizers") or ()):
            return None
        left = RemainingContent()
        try:
            resources = [
                resource
                for resource in await served_resources(self._cluster)
                if resource.namespaced
            ]
        except ClusterError as error:
            resources, left.undiscovered = [], str(error)
        # Pods first: they may need other objects as long as they run.
        for batch in (
            [resource for resource in resources if resource == PODS],
            [resource for resource in resources if resource != PODS],
        ):
            if not left:
                await self._empty(name, batch, left)
        await self._write_conditions(namespace, left)
        if left:
            return RETRY_SECONDS
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

    async def _empty(
        self, name: str, resources: Sequence[Resource], left: RemainingContent
    ) -> None:
        for resource in resources:
            try:
                if not (await self._list(resource, name, 1))["items"]:
                    continue
                await self._cluster.raw(
                    "DELETE",
                    resource.path(name),
                    body={"kind": "DeleteOptions", "apiVersion": "v1"},
                )
                remaining = await self._list(resource, name, PAGE_SIZE)
            except ClusterError as error:
                left.failures.append(f"{resource.plural} ({error})")
                continue
            items = remaining["items"]
            if not items:
                continue
            full_name = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
            left.content[full_name] = len(items) + remaining["metadata"].get(
                "remainingItemCount", 0
            )
            for finalizer in (
                held for item in items for held in item["metadata"].get("finalizers") or ()
            ):
                left.finalizers[finalizer] = left.finalizers.get(finalizer, 0) + 1

    async def _list(self, resource: Resource, namespace: str, limit: int) -> Object:
        return await self._cluster.raw("GET", resource.path(namespace), query={"limit": str(limit)})

    async def _write_conditions(self, namespace: Object, left: RemainingContent) -> None:
        """Update the conditions of a namespace, keeping the times of those that did not change.

        A namespace that is removed at the first attempt gets none.
        """
        held = {one["type"]: one for one in (namespace.get("status") or {}).get("conditions") or ()}
        if not left and not held:
            return
        conditions = dict(held)
        for kind, problem, reason, message in left.conditions():
            value, known = "True" if problem else "False", held.get(kind, {})
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
