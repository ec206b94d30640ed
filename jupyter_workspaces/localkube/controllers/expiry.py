"""Deletes events after an hour, as Kubernetes does, so that they do not fill the store."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta, timezone
from typing import Any

from jupyter_workspaces.kube.catalog import EVENTS
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import ClusterError, NotFound

log = logging.getLogger(__name__)

KEEP = timedelta(hours=1)
INTERVAL_SECONDS = 600.0


async def expire_events(cluster: Cluster) -> None:
    """Delete old events every ten minutes, until cancelled."""
    while True:
        try:
            for event in (await cluster.list(EVENTS)).items:
                if _age(event) > KEEP:
                    await _delete(cluster, event)
        except ClusterError as error:
            log.warning("Cannot delete old events: %s", error)
        await asyncio.sleep(INTERVAL_SECONDS)


async def _delete(cluster: Cluster, event: dict[str, Any]) -> None:
    metadata = event["metadata"]
    try:
        await cluster.delete(
            EVENTS, metadata["name"], metadata.get("namespace"), uid=metadata["uid"]
        )
    except NotFound:
        pass


def _age(event: dict[str, Any]) -> timedelta:
    last = (
        event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"]["creationTimestamp"]
    )
    try:
        moment = datetime.fromisoformat(last.replace("Z", "+00:00"))
    except ValueError:
        moment = datetime.fromisoformat(
            event["metadata"]["creationTimestamp"].replace("Z", "+00:00")
        )
    return datetime.now(timezone.utc) - moment
