"""Records Kubernetes Events about objects; a repeated event raises the count of the first one."""

from __future__ import annotations

import hashlib
import logging
from datetime import datetime, timezone
from typing import Literal

from .catalog import EVENTS
from .client import Cluster
from .errors import AlreadyExists, ClusterError, NotFound
from .types import Object

log = logging.getLogger(__name__)

LONGEST_MESSAGE = 1024
LONGEST_NAME = 253


async def record(
    cluster: Cluster,
    obj: Object,
    type: Literal["Normal", "Warning"],
    reason: str,
    message: str,
    *,
    component: str = "jupyter-workspaces",
) -> None:
    """Record an Event about an object. The same type, reason and message again raises its `count`.

    Logs a failure instead of raising it (the namespace is being deleted, the server does not
    answer): an event must not stop the work that it reports.

    Args:
        cluster: client of the API server.
        obj: the object, with `apiVersion`, `kind` and `metadata`.
        type: `Normal` or `Warning`.
        reason: machine-readable reason in CamelCase.
        message: human-readable description; cut at 1024 characters.
        component: name of the program that reports the event.
    """
    metadata = obj["metadata"]
    namespace, message = metadata.get("namespace") or "default", message[:LONGEST_MESSAGE]
    # The name is a hash of the content, so that a repeated event, also after a restart, finds the
    # first one without a search.
    said = "\0".join((metadata.get("uid", ""), obj["kind"], type, reason, message, component))
    digest = hashlib.sha256(said.encode()).hexdigest()[:16]
    name = f"{metadata['name'][: LONGEST_NAME - len(digest) - 1]}.{digest}"
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": _reference(obj),
        "type": type,
        "reason": reason,
        "message": message,
        "source": {"component": component},
        "reportingComponent": component,
        "reportingInstance": "",
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
    try:
        try:
            await cluster.create(EVENTS, event, namespace)
        except AlreadyExists:
            known = await cluster.get(EVENTS, name, namespace)
            await cluster.patch(
                EVENTS, name, {"count": known.get("count", 1) + 1, "lastTimestamp": now}, namespace
            )
    except NotFound as error:
        log.debug("Event %s of %s: %s", reason, metadata["name"], error)
    except ClusterError as error:
        log.warning(
            "The event %s of %s %s could not be recorded: %s",
            reason,
            obj["kind"],
            metadata["name"],
            error,
        )


def _reference(obj: Object) -> dict[str, str]:
    metadata = obj["metadata"]
    fields = {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "name": metadata["name"]}
    return fields | {
        key: metadata[key] for key in ("namespace", "uid", "resourceVersion") if metadata.get(key)
    }
