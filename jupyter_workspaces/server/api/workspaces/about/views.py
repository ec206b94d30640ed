"""Converts facts about server and cluster to models."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from msgspec import UNSET

from jupyter_workspaces._version import __version__
from jupyter_workspaces.common.supervision import TaskHealth
from jupyter_workspaces.kube.endpoint import Endpoint
from jupyter_workspaces.kube.types import ObjectView
from jupyter_workspaces.server.http.times import rfc3339

from . import models

ORIGINAL_VERSION = "1.0.0"
"""What the original has said of itself in all its versions."""


def original_health() -> models.Health:
    """Return the response of the original server, which does not depend on its cluster."""
    return models.Health("Healthy", models.SystemInfo(ORIGINAL_VERSION))


def health(tasks: Iterable[TaskHealth], stale_since: datetime | None) -> models.Health:
    """Return the health: Degraded if a task fails or the caches are stale. Omits namespaces."""
    failing = sorted({task.name for task in tasks if not task.healthy})
    return models.Health(
        "Degraded" if failing or stale_since else "Healthy",
        models.SystemInfo(__version__),
        failing or UNSET,
        rfc3339(stale_since) if stale_since else UNSET,
    )


def namespace(obj: ObjectView) -> models.Namespace:
    """Return the model of a namespace."""
    return models.Namespace(obj["metadata"]["name"])


def cluster(endpoint: Endpoint, user: str, version: str) -> models.ClusterInfo:
    """Return the model of the cluster."""
    return models.ClusterInfo(endpoint.name, endpoint.embedded, user, endpoint.namespace, version)
