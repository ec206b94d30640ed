"""Command line of the controller: `python -m jupyter_workspaces.controller`.

The container of `deploy/controller/deployment.yaml` runs it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import uuid
from types import FrameType

import click

from jupyter_workspaces.common.listeners import descriptors
from jupyter_workspaces.kube.endpoint import Endpoint, find
from jupyter_workspaces.kube.errors import NoEndpoint
from jupyter_workspaces.resources import component_names

from .json_logs import set_up
from .leader_election import StillWorking, Times
from .process import Controller, Options
from .runner import WORKERS

log = logging.getLogger(__name__)


def _address(
    context: click.Context, parameter: click.Parameter, value: str
) -> tuple[str, int] | None:
    if value == "off":
        return None
    host, _, port = value.rpartition(":")
    try:
        return host.strip("[]") or "0.0.0.0", int(port)
    except ValueError:
        raise click.BadParameter("use HOST:PORT or :PORT") from None


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--kubeconfig",
    default="",
    help="Kubeconfig of the cluster. Default: KUBECONFIG, else the cluster of the pod.",
)
@click.option("--context", default="", help="Context of the kubeconfig.")
@click.option(
    "--namespace",
    envvar="POD_NAMESPACE",
    default="",
    help="Namespace of the Lease and the Secret. Default: that of the pod or context.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 100),
    default=WORKERS,
    show_default=True,
    help="Number of workspaces to reconcile at once.",
)
@click.option(
    "--health-address",
    "health",
    default=":8081",
    show_default=True,
    callback=_address,
    help="Address of /healthz, /readyz and /metrics.",
)
@click.option(
    "--webhook-address",
    "webhook",
    default=":9443",
    show_default=True,
    callback=_address,
    help="Address of the admission webhook, or off.",
)
@click.option(
    "--webhook-configuration",
    default=component_names.WEBHOOK_CONFIGURATION,
    show_default=True,
    help="ValidatingWebhookConfiguration whose caBundle the controller writes.",
)
@click.option(
    "--webhook-name",
    "names",
    multiple=True,
    help="DNS name or address of the webhook for the API server. Can be repeated.",
)
@click.option(
    "--lease-seconds",
    type=click.FloatRange(3),
    default=30,
    show_default=True,
    help="Time without a renewal after which another instance takes over.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="Lowest level of log messages.",
)
def main(
    kubeconfig: str,
    context: str,
    namespace: str,
    workers: int,
    health: tuple[str, int] | None,
    webhook: tuple[str, int] | None,
    webhook_configuration: str,
    names: tuple[str, ...],
    lease_seconds: float,
    log_level: str,
) -> None:
    """Reconcile the workspaces of a cluster.

    Several instances may run. One of them works, and the others take over if it stops.
    """
    set_up(log_level)
    descriptors.raise_limit()
    if health is None:
        raise click.UsageError(
            "--health-address cannot be off: the kubelet needs it for its probes."
        )
    try:
        endpoint = find(kubeconfig or None, context or None)
        if endpoint is None:
            raise NoEndpoint(
                "No cluster is configured. Pass --kubeconfig, set KUBECONFIG, or run the "
                "controller in a pod of the cluster."
            )
    except NoEndpoint as error:
        log.error("%s", error)
        sys.exit(2)
    home = namespace or endpoint.namespace
    service = f"{component_names.WEBHOOK}.{home}"
    served = list(names) or [f"{service}.svc", f"{service}.svc.cluster.local"]
    identity = f"{os.environ.get('POD_NAME') or socket.gethostname()}_{uuid.uuid4()}"
    times = Times(lease_seconds, lease_seconds * 2 / 3, lease_seconds / 3)
    options = Options(
        home, identity, workers, health, webhook, webhook_configuration, served, times
    )
    sys.exit(asyncio.run(_serve(endpoint, options)))


async def _serve(endpoint: Endpoint, options: Options) -> int:
    """Serve until a signal arrives. Returns the exit status."""
    controller = asyncio.create_task(Controller(endpoint, options).serve(), name="controller")
    loop = asyncio.get_running_loop()

    def stop(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(controller.cancel)

    for wanted in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wanted, stop)
    log.info(
        "Reconciling the workspaces of %s at %s",
        endpoint.name,
        endpoint.url,
        extra={"identity": options.identity, "namespace": options.namespace},
    )
    try:
        await controller
    except asyncio.CancelledError:
        log.info("Stopped")
        return 0
    except (StillWorking, OSError) as error:
        log.error("%s", error)
        return 1
    return 1


if __name__ == "__main__":
    main()
