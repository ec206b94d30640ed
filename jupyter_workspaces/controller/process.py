"""The controller as a program of its own: election, work, webhook, health. Every instance serves the webhook, the leader works."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from jupyter_workspaces.common.supervision import Health as TaskHealth
from jupyter_workspaces.common.supervision import Supervisor, ended
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import Endpoint
from jupyter_workspaces.kube.errors import ClusterError
from jupyter_workspaces.kube.pulse import Pulse
from jupyter_workspaces.kube.reflector import Reflector
from jupyter_workspaces.resources import component_names
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS, WORKSPACES

from .health_server import Health
from .kubeflow_watch import KubeflowWatch
from .leader_election import Leadership, StillWorking, Times
from .metrics import Metrics
from .runner import WORKERS, run
from .webhook import Rules, Webhook
from .webhook_certificate import Certificate

log = logging.getLogger(__name__)

SYNC_SECONDS = 60.0
RETRY_SECONDS = 5.0
STOP_SECONDS = 20.0
"""More than `Times.stop`, twice: for the work to end and the lease to be given back."""


@dataclass(frozen=True)
class Options:
    """`webhook` and `health` are host and port; None: no webhook. `names` are those by which the API server calls the webhook."""

    namespace: str
    identity: str
    workers: int = WORKERS
    health: tuple[str, int] = ("0.0.0.0", 8081)
    webhook: tuple[str, int] | None = ("0.0.0.0", 9443)
    webhook_configuration: str = component_names.WEBHOOK_CONFIGURATION
    names: list[str] = field(default_factory=list)
    times: Times = field(default_factory=Times)


class Controller:
    """`serve` until cancelled. `webhook` and `health` tell their ports once it serves."""

    def __init__(self, endpoint: Endpoint, options: Options) -> None:
        self.options, self.metrics = options, Metrics()
        self._endpoint = endpoint
        self._cluster = Cluster(endpoint, answered=self.metrics.answered)
        self.leadership = Leadership(
            self._cluster,
            options.namespace,
            component_names.CONTROLLER,
            options.identity,
            options.times,
        )
        self.leadership.changed = self.metrics.leading
        self.kubeflow = KubeflowWatch(self._cluster)
        self._workspaces, self._kinds = (
            Reflector(self._cluster, WORKSPACES),
            Reflector(self._cluster, WORKSPACE_KINDS),
        )
        self.metrics.workspaces(self._workspaces.items)
        rules = Rules(
            self._cluster,
            self._workspaces,
            self._kinds,
            lambda: self.kubeflow.running_at is not None,
        )
        self.webhook = Webhook(rules, self.metrics.reviewed)
        self._pulse = Pulse(self._cluster, lambda: (self._workspaces, self._kinds))
        self.tasks = Supervisor(log)
        self.tasks.include(self._watches)
        ready = {"workspaces and kinds": self._why_not_ready, "tasks": lambda: self.tasks.problem}
        self.health = Health(self.metrics, {"process": lambda: None}, ready)

    async def serve(self) -> None:
        """Serve until cancelled. Raises `OSError` if a port is taken, and `StillWorking`.

        Other failures are retried and shown by `/readyz`.
        """
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._cluster.close)
            await self.health.start(*self.options.health)
            stack.push_async_callback(self.health.stop)
            for reflector in (self._workspaces, self._kinds):
                reflector.start()
                stack.push_async_callback(reflector.stop)
            self._pulse.start()
            stack.push_async_callback(self._pulse.stop)
            stack.push_async_callback(self.kubeflow.stop)
            await self._once(self.kubeflow.start, "whether Kubeflow's controller runs")
            stack.push_async_callback(self.tasks.stop, STOP_SECONDS)
            if self.options.webhook is not None:
                certificate = await self._serve_webhook(*self.options.webhook)
                stack.push_async_callback(self.webhook.stop)
                self.tasks.start("webhook certificate", certificate.run)
            self.tasks.start("leadership", lambda: self._lead(over))
            await over

    def _watches(self) -> list[TaskHealth]:
        return [self._pulse.task.health, *self._workspaces.health, *self._kinds.health]

    def _why_not_ready(self) -> str | None:
        for reflector in (self._workspaces, self._kinds):
            if not reflector.ready:
                return f"{reflector.resource.plural} have not been listed: {reflector.error or 'the cluster has not answered yet'}"
        if self.options.webhook is not None and not self.webhook.port:
            return "the webhook has no certificate yet"
        return None

    async def _serve_webhook(self, host: str, port: int) -> Certificate:
        options = self.options
        certificate = Certificate(
            self._cluster,
            options.namespace,
            component_names.WEBHOOK,
            options.webhook_configuration,
            options.names,
        )
        certificate.loaded = self.metrics.certificate
        await self._once(certificate.ensure, "the webhook's certificate")
        await self.webhook.start(host, port, certificate.trust)
        return certificate

    async def _once(self, attempt: Any, what: str) -> None:
        """Try until it works: the cluster may be away, or our rights not there yet."""
        while True:
            try:
                return await attempt()  # type: ignore[no-any-return]
            except (ClusterError, TimeoutError, asyncio.TimeoutError) as error:
                log.warning("Waiting for %s: %s", what, error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _lead(self, over: asyncio.Future[None]) -> None:
        """Compete for the lease, but not beside Kubeflow's controller.

        `over` gets an error that requires a restart of the process.
        """
        while True:
            if (place := self.kubeflow.running_at) is not None:
                log.warning("Kubeflow's own controller runs (%s): this one stands back", place)
                self.metrics.stands_back(True)
                await self.kubeflow.wait_until(running=False)
                self.metrics.stands_back(False)
                log.info("Kubeflow's own controller is gone: this one goes on")
            leading = asyncio.create_task(self.leadership.lead(self._work), name="leadership")
            seen = asyncio.create_task(self.kubeflow.wait_until(running=True), name="kubeflow")
            try:
                await asyncio.wait({leading, seen}, return_when=asyncio.FIRST_COMPLETED)
                for task in (leading, seen):
                    if task.done():
                        task.result()
            except StillWorking as error:
                over.set_exception(error)
                await asyncio.Event().wait()
            finally:
                await ended([leading, seen], STOP_SECONDS, log)

    async def _work(self) -> None:
        async with Cluster(
            self._endpoint,
            answered=self.metrics.answered,
            may_write=lambda: self.leadership.leading,
        ) as cluster:
            shared = (self._workspaces, self._kinds)
            await run(
                cluster,
                workers=self.options.workers,
                shared=shared,
                monitor=self.metrics,
                within=self.tasks,
            )
