"""Metrics of the controller in the format of Prometheus.

`docs/controller.md` lists them. Their names begin with `jupyter_workspaces_`.
"""

from __future__ import annotations

import asyncio
from collections import Counter as Count
from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from jupyter_workspaces._version import __version__
from jupyter_workspaces.kube.errors import Conflict, Unreachable
from jupyter_workspaces.resources.views import WorkspaceView

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0)


class Metrics:
    """The metrics of one process; a `Monitor` of `run`."""

    def __init__(self) -> None:
        """Register all metrics."""
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        Gauge(
            "jupyter_workspaces_build_info",
            "Version of the controller.",
            ["version"],
            registry=registry,
        ).labels(__version__).set(1)
        self._leading = Gauge(
            "jupyter_workspaces_leading",
            "1 while this instance is the leader.",
            registry=registry,
        )
        self._stands_back = Gauge(
            "jupyter_workspaces_stands_back",
            "1 while Kubeflow's own controller runs.",
            registry=registry,
        )
        self._depth = Gauge(
            "jupyter_workspaces_queue_depth",
            "Objects that wait to be reconciled.",
            ["controller"],
            registry=registry,
        )
        self._seconds = Histogram(
            "jupyter_workspaces_reconcile_seconds",
            "Duration of a reconcile.",
            ["controller"],
            buckets=SECONDS,
            registry=registry,
        )
        self._ended = Counter(
            "jupyter_workspaces_reconciles",
            "Reconciles by result.",
            ["controller", "result"],
            registry=registry,
        )
        self._answers = Counter(
            "jupyter_workspaces_api_requests",
            "Requests to the API server.",
            ["verb", "code"],
            registry=registry,
        )
        self._reviews = Counter(
            "jupyter_workspaces_admission_reviews",
            "Writes that the webhook reviewed.",
            ["resource", "operation", "allowed"],
            registry=registry,
        )
        self._expires = Gauge(
            "jupyter_workspaces_webhook_certificate_expires_seconds",
            "Unix time at which the certificate of the webhook expires.",
            registry=registry,
        )

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)

    def leading(self, leading: bool) -> None:
        """Record whether this instance is the leader."""
        self._leading.set(leading)

    def paused_for_kubeflow(self, paused: bool) -> None:
        """Record whether the controller pauses because Kubeflow's own one runs."""
        self._stands_back.set(paused)

    def queue(self, name: str, depth: Callable[[], int]) -> None:
        """Register a queue; `depth` returns the number of its waiting keys."""
        self._depth.labels(name).set_function(depth)

    def reconciled(self, name: str, seconds: float, error: BaseException | None) -> None:
        """Count a reconcile that ended, with or without an error."""
        result = "done"
        if isinstance(error, (Conflict, Unreachable)):
            result = "again"
        elif isinstance(error, asyncio.CancelledError):
            result = "cancelled"
        elif error is not None:
            result = "failed"
        self._seconds.labels(name).observe(seconds)
        self._ended.labels(name, result).inc()

    def answered(self, method: str, status: int) -> None:
        """Count a response of the API server."""
        self._answers.labels(method, str(status)).inc()

    def reviewed(self, resource: str, operation: str, allowed: bool) -> None:
        """Count a review of the webhook."""
        self._reviews.labels(resource, operation, str(allowed).lower()).inc()

    def certificate(self, expires: float) -> None:
        """Record when the certificate of the webhook expires, in seconds since 1970."""
        self._expires.set(expires)

    def workspaces(self, items: Callable[[], Iterable[dict[str, Any]]]) -> None:
        """Count the workspaces by state at each scrape."""
        self._registry.register(_States(items))


class _States(Collector):
    def __init__(self, items: Callable[[], Iterable[dict[str, Any]]]) -> None:
        self._items = items

    def collect(self) -> Iterable[GaugeMetricFamily]:
        states = Count(WorkspaceView(one).state or "Unknown" for one in self._items())
        family = GaugeMetricFamily(
            "jupyter_workspaces_workspaces", "Workspaces by state.", labels=["state"]
        )
        for state, number in sorted(states.items()):
            family.add_metric([state], number)
        yield family
