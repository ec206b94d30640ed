"""Commands on a real cluster: `install`, `upgrade`, `uninstall` and `doctor`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from jupyter_workspaces.client import WorkspaceError
from jupyter_workspaces.common.terminal import indented, printable

from .output import (
    REFUSED,
    TIMEOUT,
    UNREACHABLE,
    complain,
    echo,
    flat,
    handle_errors,
    output_option,
    write,
)
from .state import CommandState

if TYPE_CHECKING:
    from jupyter_workspaces.client.asynchronous import AsyncClient
    from jupyter_workspaces.install.doctor import Line
    from jupyter_workspaces.install.plan import Plan
    from jupyter_workspaces.kube.client import Cluster
    from jupyter_workspaces.kube.endpoint import Endpoint

C = TypeVar("C", bound=Callable[..., Any])

_SIGNS = {"good": ("✓", "green"), "note": ("·", "yellow"), "bad": ("✗", "red")}
_COLOURS = {"create": "green", "change": "yellow", "delete": "red", "refuse": "red"}


def add_to(cli: click.Group) -> None:
    """Add the commands of this module."""
    for command in (install, upgrade, uninstall, doctor):
        cli.add_command(command)


def cluster_options(command: C) -> C:
    """Add `--kubeconfig` and `--context`."""
    command = click.option("--context", default="", help="Context in the kubeconfig.")(command)
    return click.option(
        "--kubeconfig",
        default="",
        help="Kubeconfig of the cluster. Default: KUBECONFIG, else the pod's own cluster.",
    )(command)


def changing_options(command: C) -> C:
    """Add the options of commands that change a cluster."""
    for option in (
        click.option(
            "--timeout",
            type=click.FloatRange(1),
            default=180,
            show_default=True,
            help="Seconds to wait for each object.",
        ),
        click.option("--dry-run", is_flag=True, help="Only show what would change."),
        click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation."),
    ):
        command = option(command)
    return cluster_options(command)


def choosing_options(command: C) -> C:
    """Add the options that select what is installed."""
    for option in (
        click.option(
            "--samples",
            is_flag=True,
            help="Also install the sample kinds: JupyterLab, RStudio, VS Code.",
        ),
        click.option("--image", help="Image of controller and server, with a tag."),
        click.option(
            "--header-authentication",
            is_flag=True,
            help="Trust user headers set by a reverse proxy, as in Kubeflow.",
        ),
        click.option(
            "--crds-only", is_flag=True, help="Only install the CRDs Workspace and WorkspaceKind."
        ),
    ):
        command = option(command)
    return command


@click.command()
@choosing_options
@changing_options
@handle_errors
def install(**chosen: Any) -> None:
    """Install CRDs, RBAC rules, controller and server."""
    _install(upgrading=False, **chosen)


@click.command()
@choosing_options
@changing_options
@handle_errors
def upgrade(**chosen: Any) -> None:
    """Upgrade an installation to this version."""
    _install(upgrading=True, **chosen)


@click.command()
@click.option(
    "--with-crds",
    is_flag=True,
    help="Also delete the CRDs, and with them all workspaces and kinds. Volumes are kept.",
)
@changing_options
@handle_errors
def uninstall(
    kubeconfig: str, context: str, yes: bool, dry_run: bool, timeout: float, with_crds: bool
) -> None:
    """Remove an installation. Workspaces, kinds and volumes are kept."""
    from jupyter_workspaces.install import manifests, plan, rollout

    endpoint = _endpoint(kubeconfig, context)
    objects = manifests.all_objects(header_authentication=True)

    async def look(cluster: Cluster) -> Plan:
        return await plan.to_uninstall(cluster, objects, crds=with_crds)

    question = (
        "Delete these objects, and all workspaces and kinds of the cluster?"
        if with_crds
        else "Delete these objects?"
    )
    _carry_out(
        endpoint, look, partial(rollout.delete, seconds=timeout), question, yes=yes, dry_run=dry_run
    )


@click.command()
@cluster_options
@output_option
@handle_errors
def doctor(kubeconfig: str, context: str, output: str) -> None:
    """Check connection, permissions and installation.

    Suggests a fix for each problem. Exit code 1 if a problem prevents workspaces from working.
    """
    from jupyter_workspaces.client.asynchronous import AsyncClient
    from jupyter_workspaces.install.doctor import examine
    from jupyter_workspaces.kube.client import Cluster

    endpoint = _endpoint(kubeconfig, context, local=True)

    async def run() -> list[Line]:
        lines = []
        async with Cluster(endpoint) as cluster:
            async for line in examine(cluster):
                lines.append(line)
                if output == "table":
                    print_line(line)
        if (server := await server_line(AsyncClient(start=False))) is not None:
            lines.append(server)
            if output == "table":
                print_line(server)
        return lines

    lines = asyncio.run(run())
    if output != "table":
        write(
            output,
            [asdict(line) for line in lines],
            [line.about for line in lines if line.state == "bad"],
            flat,
        )
    sys.exit(REFUSED if any(line.state == "bad" for line in lines) else 0)


async def server_line(client: AsyncClient) -> Line | None:
    """Return the check of the running workspaces server; None if none is running."""
    from jupyter_workspaces.client.errors import WorkspaceError
    from jupyter_workspaces.install.doctor import Line

    try:
        try:
            root = (await client.connect()).root
        except WorkspaceError:
            return None
        try:
            name, since = (await client.cluster()).get("name"), await client.stale_since()
        except WorkspaceError as error:
            return Line(
                "bad",
                "server",
                f"{root} cannot use its cluster: {error.message}",
                error.hint,
            )
        if since is not None:
            advice = "It reconnects automatically; until then it may show old data."
            return Line(
                "bad",
                "server",
                f"{root} has had no connection to {name} since {since}",
                advice,
            )
        return Line("good", "server", f"{root} is connected to {name}")
    finally:
        await client.close()


def _install(
    *,
    upgrading: bool,
    kubeconfig: str,
    context: str,
    yes: bool,
    dry_run: bool,
    timeout: float,
    crds_only: bool,
    header_authentication: bool,
    image: str | None,
    samples: bool,
) -> None:
    from jupyter_workspaces.install import manifests, plan, rollout

    endpoint = _endpoint(kubeconfig, context)
    objects = manifests.all_objects(
        header_authentication=header_authentication, image=image, samples=samples
    )

    async def look(cluster: Cluster) -> Plan:
        return await plan.to_install(cluster, objects, crds_only=crds_only, upgrade=upgrading)

    _carry_out(
        endpoint,
        look,
        partial(rollout.apply, seconds=timeout),
        "Continue?",
        yes=yes,
        dry_run=dry_run,
    )


def _carry_out(
    endpoint: Endpoint, look: Any, act: Any, question: str, *, yes: bool, dry_run: bool
) -> None:
    """Make a plan, show it, ask for confirmation, and carry it out. Exits on errors."""
    from jupyter_workspaces.install.rollout import NotReady
    from jupyter_workspaces.kube.client import Cluster
    from jupyter_workspaces.kube.errors import ClusterError, Unreachable

    async def looked() -> Plan:
        async with Cluster(endpoint) as cluster:
            plan: Plan = await look(cluster)
            return plan

    async def acted(plan: Plan) -> None:
        async with Cluster(endpoint) as cluster:
            await act(cluster, plan, lambda line: echo(printable(line)))

    try:
        plan = asyncio.run(looked())
        show_plan(endpoint, plan)
        if plan.refusals:
            echo("Nothing was changed.", err=True)
            sys.exit(REFUSED)
        if dry_run:
            return
        if plan.changes and not yes:
            CommandState().confirm(question)
        asyncio.run(acted(plan))
    except Unreachable as error:
        complain(error.message)
        sys.exit(UNREACHABLE)
    except ClusterError as error:
        complain(error.message, "`jupyter workspaces doctor` shows your permissions.")
        sys.exit(REFUSED)
    except NotReady as error:
        complain(str(error))
        sys.exit(TIMEOUT)
    echo("Done." if plan.changes else "Nothing to change.")


def show_plan(endpoint: Endpoint, plan: Plan) -> None:
    """Print a plan: the cluster, and each step with its reason."""
    echo(printable(f"Cluster: {endpoint.name} at {endpoint.url}"))
    if plan.installed is not None:
        echo(printable(f"Installed: version {plan.installed}"))
    for step in plan.steps:
        word = click.style(f"{step.action:<7}", fg=_COLOURS.get(step.action))
        echo(f"  {word} {printable(step.title)}" + (f": {indented(step.why)}" if step.why else ""))


def print_line(line: Line) -> None:
    """Print a line of the doctor: sign, finding and what to do."""
    sign, colour = _SIGNS[line.state]
    found = f"{printable(line.about)}: {indented(line.found)}"
    echo(
        f"{click.style(sign, fg=colour)} {found}"
        + (f"\n    {indented(line.next)}" if line.next else "")
    )


def _endpoint(kubeconfig: str, context: str, *, local: bool = False) -> Endpoint:
    """Return the selected cluster; with `local`, else the running local cluster.

    Raises `WorkspaceError`.
    """
    from jupyter_workspaces.kube.endpoint import find, from_embedded
    from jupyter_workspaces.kube.errors import NoEndpoint
    from jupyter_workspaces.local import launch

    try:
        if (found := find(kubeconfig or None, context or None)) is not None:
            return found
        if local and (status := launch.status()).running:
            return from_embedded(launch.Directory(status.directory).kubeconfig)
    except NoEndpoint as error:
        raise WorkspaceError(str(error), status=400) from error
    known = Path.home() / ".kube" / "config"
    hint = f"To use {known}, pass it with --kubeconfig." if known.exists() else ""
    if local:
        hint = f"`jupyter workspaces local start` starts the local cluster. {hint}".strip()
    raise WorkspaceError(
        "No cluster selected: set KUBECONFIG or pass --kubeconfig.", hint, status=400
    )
