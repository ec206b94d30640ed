"""`/healthz`, `/readyz` and `/metrics` for the kubelet and Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aiohttp import web

from jupyter_workspaces.common.listeners.connections import Limits
from jupyter_workspaces.common.listeners.site import BoundedSite

from .metrics import CONTENT_TYPE, Metrics

Check = Callable[[], str | None]
"""None when all is well, else what is not."""

STOP_SECONDS = 2.0
LIMITS = Limits(connections=64, buffered=2**20)


class HealthServer:
    """HTTP server of the health checks of Kubernetes, and of the metrics.

    A failed check of `live` restarts the pod, one of `ready` takes it out of its Services.
    """

    def __init__(
        self, metrics: Metrics, live: Mapping[str, Check], ready: Mapping[str, Check]
    ) -> None:
        self._metrics, self._live, self._ready = metrics, live, ready
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Raises `OSError` when it cannot listen there."""
        app = web.Application(client_max_size=2**10)
        app.router.add_get("/healthz", lambda request: _checked(self._live))
        app.router.add_get("/readyz", lambda request: _checked(self._ready))
        app.router.add_get("/metrics", self._scrape)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_SECONDS)
        await self._runner.setup()
        await BoundedSite(self._runner, host, port, LIMITS, name="The health endpoint").start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _scrape(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})


async def _checked(checks: Mapping[str, Check]) -> web.Response:
    found = {name: check() for name, check in checks.items()}
    lines = [
        f"[{'-' if trouble else '+'}]{name} {trouble or 'ok'}" for name, trouble in found.items()
    ]
    return web.Response(status=500 if any(found.values()) else 200, text="\n".join([*lines, ""]))
