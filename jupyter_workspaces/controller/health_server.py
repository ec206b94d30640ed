"""Serves `/healthz`, `/readyz` and `/metrics` over HTTP, for the kubelet and Prometheus.

https://kubernetes.io/docs/reference/using-api/health-checks/ describes the format of the answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aiohttp import web

from jupyter_workspaces.common.listeners.connections import Limits
from jupyter_workspaces.common.listeners.site import BoundedSite

from .metrics import CONTENT_TYPE, Metrics

Check = Callable[[], str | None]
"""Returns a problem, or None if there is none."""

STOP_SECONDS = 2.0
LIMITS = Limits(connections=64, buffered=2**20)


class HealthServer:
    """HTTP server for health checks and metrics."""

    def __init__(
        self, metrics: Metrics, live: Mapping[str, Check], ready: Mapping[str, Check]
    ) -> None:
        """Create a server; `start` opens its port.

        Args:
            metrics: content of `/metrics`.
            live: checks of `/healthz`, which fail if only a restart of the process helps.
            ready: checks of `/readyz`, which fail if requests should go to another instance.
        """
        self._metrics, self._live, self._ready = metrics, live, ready
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listen at an address; `port` 0 chooses a free one. Raises `OSError` if it is taken."""
        app = web.Application(client_max_size=2**10)
        app.router.add_get("/healthz", lambda request: _results(self._live))
        app.router.add_get("/readyz", lambda request: _results(self._ready))
        app.router.add_get("/metrics", self._get_metrics)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_SECONDS)
        await self._runner.setup()
        await BoundedSite(self._runner, host, port, LIMITS, name="The health endpoint").start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the port and all connections."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _get_metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})


async def _results(checks: Mapping[str, Check]) -> web.Response:
    problems = {name: check() for name, check in checks.items()}
    lines = [
        f"[{'-' if problem else '+'}]{name} {problem or 'ok'}" for name, problem in problems.items()
    ]
    status = 500 if any(problems.values()) else 200
    return web.Response(status=status, text="\n".join([*lines, ""]))
