"""A local cluster that died is started again, and who only needs what is known does not wait for it."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.errors import Unreachable
from jupyter_workspaces.server.api.workspaces.services import Services
from jupyter_workspaces.server.http.problems import Problem


async def test_filled_caches_are_enough_while_a_dead_cluster_is_started_again() -> None:
    asked, go = threading.Event(), threading.Event()

    def choose() -> None:
        asked.set()
        go.wait(10)
        raise Unreachable("it does not start")

    services = Services(choose, "/api/")  # type: ignore[arg-type, return-value]
    services._up = True
    endpoint, workspaces = (
        SimpleNamespace(embedded=True),
        SimpleNamespace(error=Unreachable("away")),
    )
    services.cluster = SimpleNamespace(endpoint=endpoint, workspaces=workspaces)  # type: ignore[assignment]
    try:
        async with timeout(1):
            assert await services.ready(stale=True) is services
        with pytest.raises(Problem, match="not ready yet"):
            await services.ready(0.2)
        assert asked.is_set()
    finally:
        go.set()
        services._up = False
        await services.stop()
