"""`python -m jupyter_workspaces.controller`: reconcile workspaces of a cluster until told to stop."""

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
        raise click.BadParameter("write HOST:PORT or :PORT") from None


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--kubeconfig",
    default="",
    help="Cluster to work in. Default: KUBECONFIG, else the pod's own cluster.",
)
@click.option("--context", default="", help="Context of the kubeconfig.")
@click.option(
    "--namespace",
    envvar="POD_NAMESPACE",
    default="",
    help="Where its lease and its Secret are. Default: the pod's or context's.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 100),
    default=WORKERS,
    show_default=True,
    help="Workspaces that are reconciled at once.",
)
@click.option(
    "--health-address",
    "health",
    default=":8081",
    show_default=True,
    callback=_address,
    help="/healthz, /readyz and /metrics.",
)
@click.option(
    "--webhook-address",
    "webhook",
    default=":9443",
    show_default=True,
    callback=_address,
    help="The webhook; off: none.",
)
@click.option(
    "--webhook-configuration",
    default=component_names.WEBHOOK_CONFIGURATION,
    show_default=True,
    help="ValidatingWebhookConfiguration that learns its authority.",
)
@click.option(
    "--webhook-name",
    "names",
    multiple=True,
    help="Name or address by which the API server calls the webhook; may be given again.",
)
@click.option(
    "--lease-seconds",
    type=click.FloatRange(3),
    default=30,
    show_default=True,
    help="How long others wait for a silent leader.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
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
    """Reconcile workspaces of a cluster until told to stop. Many may run: one works, the others wait for it to go."""
    set_up(log_level)
    descriptors.raise_limit()
    if health is None:
        raise click.UsageError("--health-address cannot be off: the kubelet asks there.")
    try:
        endpoint = find(kubeconfig or None, context or None)
        if endpoint is None:
            raise NoEndpoint(
                "Which cluster? Give --kubeconfig, set KUBECONFIG, or run this in a pod of the cluster."
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
    """The exit status."""
    controller = asyncio.create_task(Controller(endpoint, options).serve(), name="controller")
    loop = asyncio.get_running_loop()

    def stop(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(controller.cancel)

    for wanted in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wanted, stop)
    log.info(
        "Workspaces of %s at %s",
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
