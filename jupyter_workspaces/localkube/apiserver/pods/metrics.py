"""The metrics API (`metrics.k8s.io/v1beta1`): current CPU and memory use of pods and nodes.

Objects are computed for each request and not stored. A node provides the measurements.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Protocol

from aiohttp import web

from jupyter_workspaces.kube.catalog import NODES, PODS, Resource
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.http import replies, status
from jupyter_workspaces.localkube.apiserver.http.requests import Target
from jupyter_workspaces.localkube.apiserver.http.status import Refusal
from jupyter_workspaces.localkube.apiserver.objects import field_selectors
from jupyter_workspaces.localkube.apiserver.objects.rows import Registry, Row
from jupyter_workspaces.localkube.apiserver.store.store import Store, Stored
from jupyter_workspaces.localkube.apiserver.tables.columns import NAME, Column, at

GROUP = "metrics.k8s.io"
READ = ("get", "list")


class ResourceUsage(Protocol):
    """CPU and memory that a container or node uses."""

    @property
    def cpu(self) -> float:
        """CPU in cores."""

    @property
    def memory(self) -> int:
        """Memory in bytes."""


class UsageSource(Protocol):
    """Measurements of a node, over the last `window` seconds."""

    @property
    def window(self) -> float:
        """Length of the measured time in seconds."""

    @property
    def containers(self) -> Mapping[tuple[str, str], ResourceUsage]:
        """Usage by uid of the pod and name of the container."""

    def node(self) -> tuple[str, ResourceUsage]:
        """Return name and usage of the node."""


def _usage_column(name: str) -> Column:
    return Column(name, lambda found: at("usage", name)(found) or "")


ROWS = (
    Row(
        Resource(GROUP, "v1beta1", "nodes", "NodeMetrics", namespaced=False),
        verbs=READ,
        columns=(NAME, _usage_column("cpu"), _usage_column("memory")),
    ),
    Row(Resource(GROUP, "v1beta1", "pods", "PodMetrics"), verbs=READ),
)


class Metrics:
    """Serves the metrics API. Its group is registered while a node provides measurements."""

    def __init__(self, store: Store, registry: Registry) -> None:
        """Create it for the objects of a store."""
        self._store = store
        self._registry = registry
        self._usage: UsageSource | None = None

    def use(self, usage: UsageSource | None) -> None:
        """Set the source of measurements; None removes the API group."""
        self._usage = usage
        for row in ROWS:
            if usage is None:
                self._registry.remove(GROUP, row.resource.plural)
            else:
                self._registry.add(row)

    def answer(self, request: web.Request, row: Row, target: Target) -> web.StreamResponse:
        """Respond to a request for metrics.

        Raises:
            Refusal: 404 without measurements, 405 for writes.
        """
        if request.method not in ("GET", "HEAD"):
            raise status.method_not_allowed()
        if target.subresource is not None or (
            target.namespace is not None and not row.resource.namespaced
        ):
            raise status.page_not_found()
        held = PODS if row.resource.namespaced else NODES
        if target.name is not None:
            stored = self._store.get(held.plural, target.namespace or "", target.name)
            found = None if stored is None else self._measured(row, stored)
            if found is None:
                raise _metrics_not_found(row, target.namespace, target.name)
            return replies.answer(found)
        predicate = field_selectors.predicate(
            request.query.get("labelSelector"), request.query.get("fieldSelector"), held.plural
        )
        listed: Iterable[Stored] = self._store.list(held.plural, target.namespace)
        items = [
            found
            for stored in listed
            if predicate is None or predicate(stored)
            if (found := self._measured(row, stored))
        ]
        kind = {"kind": f"{row.resource.kind}List", "apiVersion": row.resource.api_version}
        return replies.answer({**kind, "metadata": {}, "items": items})

    def _measured(self, row: Row, stored: Stored) -> Object | None:
        """Return the metrics of an object; None if it has no measurements yet."""
        if self._usage is None:
            return None
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        metadata: Object = {"name": stored.name, "creationTimestamp": now}
        if stored.labels:
            metadata["labels"] = stored.labels
        found = {
            "kind": row.resource.kind,
            "apiVersion": row.resource.api_version,
            "metadata": metadata,
        }
        found |= {"timestamp": now, "window": f"{self._usage.window:g}s"}
        if not row.resource.namespaced:
            name, used = self._usage.node()
            return found | {"usage": _quantities(used)} if name == stored.name else None
        metadata["namespace"] = stored.namespace
        names = [container["name"] for container in stored.decode()["spec"]["containers"]]
        held = self._usage.containers
        measured = [(name, held[stored.uid, name]) for name in names if (stored.uid, name) in held]
        if not measured:
            return None
        return found | {
            "containers": [{"name": name, "usage": _quantities(used)} for name, used in measured]
        }


def _quantities(used: ResourceUsage) -> Object:
    return {"cpu": f"{round(used.cpu * 1e9)}n", "memory": f"{used.memory // 1024}Ki"}


def _metrics_not_found(row: Row, namespace: str | None, name: str) -> Refusal:
    where = f"{namespace}/{name}" if namespace else name
    kind = row.resource.kind.lower()
    return Refusal(
        404,
        "NotFound",
        f'{kind}.{GROUP} "{where}" not found',
        details={"name": where, "group": GROUP, "kind": kind},
    )
