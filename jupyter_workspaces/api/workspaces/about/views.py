"""The server and its cluster to what goes over the wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...._version import __version__
from ....cluster.endpoint import Endpoint
from . import models

Object = Mapping[str, Any]


ORIGINAL_VERSION = "1.0.0"
"""What the original has said of itself in all its versions."""


def health(*, to_the_letter: bool) -> models.Health:
    return models.Health("Healthy", models.SystemInfo(ORIGINAL_VERSION if to_the_letter else __version__))


def namespace(obj: Object) -> models.Namespace:
    return models.Namespace(obj["metadata"]["name"])


def cluster(endpoint: Endpoint, user: str, version: str) -> models.ClusterInfo:
    return models.ClusterInfo(endpoint.name, endpoint.embedded, user, endpoint.namespace, version)
