"""The server's cache of the cluster: one reflector for each resource type, for all users.

Secrets and events are not cached; the server reads them when a request needs them.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial

from jupyter_workspaces.common.supervision import Supervisor, TaskHealth
from jupyter_workspaces.kube.catalog import (
    CONFIG_MAPS,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    SERVICES,
    STATEFUL_SETS,
    STORAGE_CLASSES,
    Resource,
)
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.cluster_check import ClusterCheck
from jupyter_workspaces.kube.errors import (
    ClusterError,
    Forbidden,
    NotFound,
    Unauthorized,
    Unreachable,
)
from jupyter_workspaces.kube.ownership import (
    age,
    controller,
    controls,
)
from jupyter_workspaces.kube.reflector import (
    Key,
    Reflector,
    Times,
    key_of,
)
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources import metadata_keys
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS, WORKSPACES
from jupyter_workspaces.resources.workspace_objects import (
    current_pod,
    is_workspace_pod,
    is_workspace_service,
)

from .namespace_caches import Namespaces, Scoped

MOST_NAMESPACES = 50
"""Limit of separately watched namespaces; each needs a watch for each resource type."""


class Cache:
    """Reflectors of all resource types that the server shows, and the client for other requests."""

    def __init__(self, cluster: Cluster, *, times: Times | None = None) -> None:
        """Make empty caches of a cluster; `start` fills them."""
        self.cluster = cluster
        self.endpoint = cluster.endpoint
        here = [cluster.endpoint.namespace]
        self.workspaces = Scoped(cluster, WORKSPACES, here, strict=True, times=times)
        self.kinds = Scoped(cluster, WORKSPACE_KINDS, here, strict=True, times=times)
        self.pods = Scoped(cluster, PODS, here, times=times)
        self.stateful_sets = Scoped(cluster, STATEFUL_SETS, here, times=times)
        self.services = Scoped(
            cluster, SERVICES, here, label_selector=metadata_keys.WORKSPACE_NAME, times=times
        )
        self.claims = Scoped(cluster, PERSISTENT_VOLUME_CLAIMS, here, strict=True, times=times)
        self.volumes = Scoped(cluster, PERSISTENT_VOLUMES, here, times=times)
        self.storage_classes = Scoped(cluster, STORAGE_CLASSES, here, strict=True, times=times)
        self.namespaces = Namespaces(cluster, here, times)
        self.pictures = Scoped(
            cluster,
            CONFIG_MAPS,
            here,
            label_selector=f"{metadata_keys.IMAGE_SOURCE}=true",
            times=times,
        )
        self.reflectors: dict[Resource, Scoped] = {
            found.resource: found for found in vars(self).values() if isinstance(found, Scoped)
        }
        self._check = ClusterCheck(cluster, self._leaves, times)
        self._pods_of: dict[Key, set[Key]] = {}
        self._services_of: dict[Key, set[Key]] = {}
        self._sets_of: dict[Key, set[Key]] = {}
        # Namespaces, the least recently used first. Not a cachetools.LRUCache: one that is in use
        # stays, and dropping one stops its watches.
        self._reached: OrderedDict[str, None] = OrderedDict()
        self._held: Counter[str] = Counter()
        self._reaching: dict[str, asyncio.Task[None]] = {}
        self._tasks = Supervisor()
        self.pods.listen(partial(_index, _labelled, self._pods_of))
        self.services.listen(partial(_index, _labelled, self._services_of))
        self.stateful_sets.listen(partial(_index, _controlled, self._sets_of))

    async def start(self, seconds: float = 20) -> None:
        """Start all caches and wait until each has its first list or a refusal.

        Raises:
            Forbidden: workspaces may not be listed.
            ClusterError: a list failed.
            TimeoutError: a list took longer than `seconds`.
        """
        for reflector in self.reflectors.values():
            reflector.start()
        self._check.start()
        await asyncio.gather(
            *(reflector.answered(seconds) for reflector in self.reflectors.values())
        )
        if (denied := self.workspaces.denied) is not None:
            raise denied
        for reflector in self.reflectors.values():
            if not reflector.ready and reflector.denied is None:
                raise _unlisted(reflector)

    async def reach(self, namespace: str) -> None:
        """Wait until a namespace is in sync, also without the permission to list all namespaces.

        Authorize the user first: this opens a watch for each resource type. Callers share one task
        per namespace, which continues if a caller is cancelled.

        Raises:
            Forbidden: workspaces may not be listed there; the message is the cluster's.
            ClusterError: a list failed.
            TimeoutError: a list took too long.
        """
        parts = self.workspaces.parts
        if not parts:
            return
        if namespace in self._reached:
            self._reached.move_to_end(namespace)
            return
        reaching = self._reaching.get(namespace)
        if reaching is None:
            reaching = self._tasks.run_once(
                f"reach namespace {namespace}",
                self._reach(namespace, namespace in parts),
                expected=(ClusterError, TimeoutError, asyncio.TimeoutError),
            )
            self._reaching[namespace] = reaching
            reaching.add_done_callback(lambda task: self._reaching.pop(namespace, None))
        await asyncio.shield(reaching)

    @contextmanager
    def hold(self, namespace: str | None) -> Iterator[None]:
        """Return a context in which a namespace stays watched, for a subscriber to its changes."""
        key = namespace or ""
        self._held[key] += 1
        try:
            yield
        finally:
            self._held[key] -= 1
            if not self._held[key]:
                del self._held[key]

    async def _reach(self, namespace: str, watched: bool) -> None:
        if not watched:
            await self._make_room()
        try:
            await self.workspaces.add(namespace)
        except (ClusterError, TimeoutError, asyncio.TimeoutError):
            if not watched:
                await self.workspaces.drop(namespace)
            raise
        rest = [
            found
            for found in self.reflectors.values()
            if found.parts and found.resource.namespaced and found is not self.workspaces
        ]
        for outcome in await asyncio.gather(
            *(found.add(namespace) for found in rest), return_exceptions=True
        ):
            if isinstance(outcome, BaseException) and not isinstance(
                outcome, (Forbidden, NotFound)
            ):
                raise outcome  # not listed is not empty; the next call retries
        await self.namespaces.learn(namespace)
        self._reached[namespace] = None

    async def _make_room(self) -> None:
        """Stop watching the least recently used namespace. Raises `Forbidden` if all are in use."""
        while len({*(parts := self.workspaces.parts), *self._reaching}) > MOST_NAMESPACES:
            idle = [
                name
                for name in self._reached
                if name in parts and name != self.endpoint.namespace and not self._held[name]
            ]
            if not idle:
                raise Forbidden(
                    f"The limit of {MOST_NAMESPACES} separately watched namespaces is reached, "
                    "and all are in use. Try again later, or ask for the permission to list "
                    "workspaces in all namespaces"
                )
            del self._reached[idle[0]]
            self.namespaces.forget(idle[0])
            await asyncio.gather(*(found.drop(idle[0]) for found in self.reflectors.values()))

    async def stop(self) -> None:
        """Stop all tasks and close the client."""
        await self._check.stop()
        await self._tasks.stop()
        await asyncio.gather(*(reflector.stop() for reflector in self.reflectors.values()))
        await self.cluster.close()

    @property
    def ready(self) -> bool:
        """Whether each cache has its first list or a refusal."""
        return all(reflector.ready or reflector.denied for reflector in self.reflectors.values())

    # Health

    @property
    def stale_since(self) -> datetime | None:
        """Time of the last response of the cluster (UTC) if the cache is stale, else None."""
        return min(
            (
                since
                for found in self.reflectors.values()
                if (since := found.stale_since) is not None
            ),
            default=None,
        )

    @property
    def stale_reason(self) -> str:
        """Human-readable reason why the cache is stale; empty while it is live."""
        stale = [found for found in self._leaves() if found.stale_since is not None]
        if not stale:
            return ""
        errors = [found.error for found in stale]
        if any(isinstance(error, Unauthorized) for error in errors):
            return "The cluster does not accept this server's credentials any more."
        if all(error is None or isinstance(error, Unreachable) for error in errors):
            return "The cluster does not answer."
        return "The cluster answers with errors."

    @property
    def health(self) -> list[TaskHealth]:
        """Health of all tasks, one for each watched resource type and namespace."""
        return [
            self._check.task.health,
            *(found for reflector in self.reflectors.values() for found in reflector.health),
        ]

    @property
    def healthy(self) -> bool:
        """Whether all tasks are healthy."""
        return all(found.healthy for found in self.health)

    def _leaves(self) -> list[Reflector]:
        return [leaf for found in self.reflectors.values() for leaf in found.reflectors]

    def workspace(self, namespace: str, name: str) -> Object | None:
        """Return a workspace, None if it is not in the cache."""
        return self.workspaces.get(name, namespace)

    def kind_of(self, workspace: Object) -> Object | None:
        """Return the kind of a workspace, None if it is not in the cache."""
        spec = workspace.get("spec")
        name = spec.get("kind") if isinstance(spec, dict) else None
        return self.kinds.get(name) if isinstance(name, str) else None

    def pods_of(self, workspace: Object) -> list[Object]:
        """Return the workspace's pods: two while one is replaced by another."""
        keys = self._pods_of.get(_of(workspace), ())
        return [
            pod
            for key in keys
            if (pod := self.pods.get(key[1], key[0])) is not None and self.owns_pod(workspace, pod)
        ]

    def owns_pod(self, workspace: Object, pod: Object) -> bool:
        """Return whether a StatefulSet of the workspace owns the pod. Labels are not trusted.

        Without the permission to list StatefulSets, the status of the workspace must name the pod.
        """
        visible = self.stateful_sets.sees(workspace["metadata"]["namespace"])
        stateful_sets = self._stateful_sets_of(workspace) if visible else None
        return is_workspace_pod(workspace, pod, stateful_sets)

    def has_stateful_set(self, workspace: Object) -> bool:
        """Return whether the workspace controls a StatefulSet in the cache."""
        return bool(self._stateful_sets_of(workspace))

    def _stateful_sets_of(self, workspace: Object) -> list[Object]:
        """Return the StatefulSets that the workspace controls."""
        metadata = workspace["metadata"]
        keys = self._sets_of.get((metadata["namespace"], metadata["uid"]), ())
        held = [
            found for key in keys if (found := self.stateful_sets.get(key[1], key[0])) is not None
        ]
        return [one for one in held if controls(workspace, one)]

    def strangers_of(self, workspace: Object, service: Object) -> list[Object]:
        """Return pods that a Service selects but the workspace does not own.

        Any user can give a pod the labels that a Service selects.
        """
        selector = service["spec"].get("selector") or {}
        keys = self._pods_of.get(_of(workspace), ())
        labelled = [pod for key in keys if (pod := self.pods.get(key[1], key[0])) is not None]
        return [
            pod
            for pod in labelled
            if selector.items() <= (pod["metadata"].get("labels") or {}).items()
            and not self.owns_pod(workspace, pod)
        ]

    def services_of(self, workspace: Object) -> list[Object]:
        """Return the Services of the workspace that lead only to its pods, the oldest first."""
        keys, headless = self._services_of.get(_of(workspace), ()), self.endpoint.embedded
        found = [held for key in keys if (held := self.services.get(key[1], key[0])) is not None]
        return sorted(
            (held for held in found if is_workspace_service(workspace, held, headless=headless)),
            key=age,
        )

    def pod_of(self, workspace: Object) -> Object | None:
        """Return the pod of the workspace (`current_pod`)."""
        return current_pod(workspace, self.pods_of(workspace))

    def service_of(self, workspace: Object) -> Object | None:
        """Return the Service of the workspace; of several the oldest, made by the controller."""
        return next(iter(self.services_of(workspace)), None)


def _unlisted(reflector: Scoped) -> Exception:
    error = next((part.error for part in reflector.reflectors[1:] if part.error is not None), None)
    return error or TimeoutError(f"{reflector.resource.plural} were not listed")


def _index(
    by: Callable[[Object], Key],
    index: dict[Key, set[Key]],
    change: str,
    obj: Object,
    previous: Object | None,
) -> None:
    for known in (previous, obj):
        if known is not None and (held := index.get(by(known))) is not None:
            held.discard(key_of(known))
            if not held:
                del index[by(known)]
    if change != "DELETED" and by(obj)[1]:
        index.setdefault(by(obj), set()).add(key_of(obj))


def _of(workspace: Object) -> Key:
    return workspace["metadata"]["namespace"], workspace["metadata"]["name"]


def _labelled(obj: Object) -> Key:
    """Return the namespace and name of the workspace that the label of an object names."""
    return obj["metadata"]["namespace"], (obj["metadata"].get("labels") or {}).get(
        metadata_keys.WORKSPACE_NAME
    ) or ""


def _controlled(obj: Object) -> Key:
    """Return the namespace of an object and the uid of its controller."""
    return obj["metadata"]["namespace"], controller(obj).get("uid") or ""
