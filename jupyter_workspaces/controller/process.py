"""Runs the controller as a Deployment: several instances, of which one reconciles.

Every instance serves health checks, metrics and the admission webhook. Only the leader runs the
reconcilers (`runner.py`), and only while Kubeflow's own controller does not run.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TypeVar

from jupyter_workspaces.common.supervision import Supervisor, TaskHealth, ended
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.cluster_check import ClusterCheck
from jupyter_workspaces.kube.endpoint import Endpoint
from jupyter_workspaces.kube.errors import ClusterError
from jupyter_workspaces.kube.reflector import Reflector
from jupyter_workspaces.resources import component_names
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS, WORKSPACES

from .health_server import HealthServer
from .kubeflow_watch import KubeflowWatch
from .leader_election import Leadership, StillWorking, Times
from .metrics import Metrics
from .runner import WORKERS, run
from .webhook import Rules, Webhook
from .webhook_certificate import Certificate

log = logging.getLogger(__name__)

T = TypeVar("T")

RETRY_SECONDS = 5.0
STOP_SECONDS = 20.0
"""Time for the work to stop and the Lease to be released: more than twice `Times.stop`."""


@dataclass(frozen=True)
class Options:
    """Settings of an instance.

    Attributes:
        namespace: namespace of the Lease and of the Secret with the certificate.
        identity: name of this instance in the Lease.
        workers: workspaces to reconcile at once.
        health: host and port of health checks and metrics.
        webhook: host and port of the admission webhook; None for no webhook.
        webhook_configuration: ValidatingWebhookConfiguration that trusts the certificate.
        names: DNS names and addresses of the webhook, for its certificate.
        times: durations of the leader election.
    """

    namespace: str
    identity: str
    workers: int = WORKERS
    health: tuple[str, int] = ("0.0.0.0", 8081)
    webhook: tuple[str, int] | None = ("0.0.0.0", 9443)
    webhook_configuration: str = component_names.WEBHOOK_CONFIGURATION
    names: list[str] = field(default_factory=list)
    times: Times = field(default_factory=Times)


class Controller:
    """One instance of the controller. `webhook.port` and `health.port` are set while it serves."""

    def __init__(self, endpoint: Endpoint, options: Options) -> None:
        """Prepare an instance for a cluster; `serve` runs it."""
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
        self.leadership.on_change = self.metrics.leading
        self.kubeflow = KubeflowWatch(self._cluster)
        self._workspaces = Reflector(self._cluster, WORKSPACES)
        self._kinds = Reflector(self._cluster, WORKSPACE_KINDS)
        self.metrics.workspaces(self._workspaces.items)
        rules = Rules(
            self._cluster,
            self._workspaces,
            self._kinds,
            is_disabled=lambda: self.kubeflow.running_at is not None,
        )
        self.webhook = Webhook(rules, self.metrics.reviewed)
        self._check = ClusterCheck(self._cluster, lambda: (self._workspaces, self._kinds))
        self.tasks = Supervisor(log)
        self.tasks.include(self._cache_health)
        ready = {"workspaces and kinds": self._why_not_ready, "tasks": lambda: self.tasks.problem}
        self.health = HealthServer(self.metrics, {"process": lambda: None}, ready)

    async def serve(self) -> None:
        """Serve until cancelled. Failures of the cluster are retried and shown by `/readyz`.

        Raises:
            OSError: a port is taken.
            StillWorking: the work did not stop after the loss of the Lease.
        """
        fatal: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._cluster.close)
            await self.health.start(*self.options.health)
            stack.push_async_callback(self.health.stop)
            for reflector in (self._workspaces, self._kinds):
                reflector.start()
                stack.push_async_callback(reflector.stop)
            self._check.start()
            stack.push_async_callback(self._check.stop)
            stack.push_async_callback(self.kubeflow.stop)
            await _retried(self.kubeflow.start, "the search for Kubeflow's controller")
            stack.push_async_callback(self.tasks.stop, STOP_SECONDS)
            if self.options.webhook is not None:
                certificate = await self._serve_webhook(*self.options.webhook)
                stack.push_async_callback(self.webhook.stop)
                self.tasks.start("webhook certificate", certificate.run)
            self.tasks.start("leadership", lambda: self._lead(fatal))
            await fatal

    def _cache_health(self) -> list[TaskHealth]:
        return [self._check.task.health, *self._workspaces.health, *self._kinds.health]

    def _why_not_ready(self) -> str | None:
        for reflector in (self._workspaces, self._kinds):
            if not reflector.ready:
                reason = reflector.error or "the cluster has not answered yet"
                return f"{reflector.resource.plural} have not been listed: {reason}"
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
        certificate.on_load = self.metrics.certificate
        await _retried(certificate.ensure, "the certificate of the webhook")
        await self.webhook.start(host, port, certificate.tls)
        return certificate

    async def _lead(self, fatal: asyncio.Future[None]) -> None:
        """Compete for the Lease while Kubeflow's controller does not run.

        `fatal` gets an error that requires a restart of the process.
        """
        while True:
            if (place := self.kubeflow.running_at) is not None:
                log.warning("Paused while Kubeflow's own controller runs (%s)", place)
                self.metrics.paused_for_kubeflow(True)
                await self.kubeflow.wait_until(running=False)
                self.metrics.paused_for_kubeflow(False)
                log.info("Resumed: Kubeflow's own controller does not run any more")
            leading = asyncio.create_task(self.leadership.lead(self._work), name="leadership")
            kubeflow_runs = asyncio.create_task(
                self.kubeflow.wait_until(running=True), name="kubeflow"
            )
            try:
                await asyncio.wait({leading, kubeflow_runs}, return_when=asyncio.FIRST_COMPLETED)
                for task in (leading, kubeflow_runs):
                    if task.done():
                        task.result()
            except StillWorking as error:
                fatal.set_exception(error)
                await asyncio.Event().wait()
            finally:
                await ended([leading, kubeflow_runs], STOP_SECONDS, log)

    async def _work(self) -> None:
        """Reconcile with a client that refuses writes once the Lease is lost."""
        async with Cluster(
            self._endpoint,
            answered=self.metrics.answered,
            may_write=lambda: self.leadership.leading,
        ) as cluster:
            await run(
                cluster,
                workers=self.options.workers,
                shared=(self._workspaces, self._kinds),
                monitor=self.metrics,
                within=self.tasks,
            )


async def _retried(attempt: Callable[[], Awaitable[T]], purpose: str) -> T:
    """Return the result of `attempt`, retrying while the cluster refuses or does not answer."""
    while True:
        try:
            return await attempt()
        except (ClusterError, TimeoutError, asyncio.TimeoutError) as error:
            log.warning("Waiting for %s: %s", purpose, error)
            await asyncio.sleep(RETRY_SECONDS)
