"""Write Kubernetes Events: what happened to an object, in words for people, repeated ones counted."""

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
    """Record one Event about `obj` (with `apiVersion`, `kind`, `metadata`). The same reason and message again raises `count`.

    Raises nothing: an event that cannot be written (its namespace is going, the server is away) must not hold up what it tells of.
    """
    metadata = obj["metadata"]
    namespace, message = metadata.get("namespace") or "default", message[:LONGEST_MESSAGE]
    # A name made of what the event says: whoever records it again, also after a restart, finds the first one without a search.
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
