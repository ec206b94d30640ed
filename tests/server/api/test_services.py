"""A local cluster that died is restarted; requests that need only the cache do not wait."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.errors import Unreachable
from jupyter_workspaces.server.connection import ClusterConnection, NotReady


async def test_filled_caches_are_enough_while_a_dead_cluster_is_started_again() -> None:
    asked, go = threading.Event(), threading.Event()

    def choose() -> None:
        asked.set()
        go.wait(10)
        raise Unreachable("it does not start")

    connection = ClusterConnection(choose)  # type: ignore[arg-type, return-value]
    connection._up = True
    endpoint, workspaces = (
        SimpleNamespace(embedded=True),
        SimpleNamespace(error=Unreachable("away")),
    )
    connection.cluster = SimpleNamespace(endpoint=endpoint, workspaces=workspaces)  # type: ignore[assignment]
    try:
        async with timeout(1):
            await connection.ready(stale=True)
        with pytest.raises(NotReady, match="not ready yet"):
            await connection.ready(0.2)
        assert asked.is_set()
    finally:
        go.set()
        connection._up = False
        await connection.stop()
