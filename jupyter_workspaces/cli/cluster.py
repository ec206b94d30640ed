"""The commands on a real cluster: install, upgrade, uninstall, doctor."""

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
    output_option,
    told,
    write,
)
from .session import Session

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
    for command in (install, upgrade, uninstall, doctor):
        cli.add_command(command)


def cluster_options(command: C) -> C:
    """`--kubeconfig` and `--context`."""
    command = click.option("--context", default="", help="Context of the kubeconfig.")(command)
    return click.option(
        "--kubeconfig", default="", help="Cluster. Default: KUBECONFIG, else the pod's own cluster."
    )(command)


def changing_options(command: C) -> C:
    for option in (
        click.option(
            "--timeout",
            type=click.FloatRange(1),
            default=180,
            show_default=True,
            help="Seconds to wait for each object.",
        ),
        click.option("--dry-run", is_flag=True, help="Only say what would be done."),
        click.option("-y", "--yes", is_flag=True, help="Do not ask."),
    ):
        command = option(command)
    return cluster_options(command)


def choosing_options(command: C) -> C:
    for option in (
        click.option(
            "--samples", is_flag=True, help="With the sample kinds: JupyterLab, RStudio, VS Code."
        ),
        click.option("--image", help="Image of controller and server, with its tag."),
        click.option(
            "--header-authentication",
            is_flag=True,
            help="Users by the headers of a proxy in front, as in Kubeflow.",
        ),
        click.option(
            "--crds-only", is_flag=True, help="Only the definitions of Workspace and WorkspaceKind."
        ),
    ):
        command = option(command)
    return command


@click.command()
@choosing_options
@changing_options
@told
def install(**chosen: Any) -> None:
    """Put definitions, rights, controller and server into a cluster."""
    _install(upgrading=False, **chosen)


@click.command()
@choosing_options
@changing_options
@told
def upgrade(**chosen: Any) -> None:
    """Bring what is installed to this version."""
    _install(upgrading=True, **chosen)


@click.command()
@click.option(
    "--with-crds",
    is_flag=True,
    help="The definitions too, and with them all workspaces and kinds. Volumes stay.",
)
@changing_options
@told
def uninstall(
    kubeconfig: str, context: str, yes: bool, dry_run: bool, timeout: float, with_crds: bool
) -> None:
    """Take out what was installed; workspaces and kinds stay unless asked."""
    from jupyter_workspaces.install import manifests, plan, rollout

    endpoint = _endpoint(kubeconfig, context)
    objects = manifests.all_objects(header_authentication=True)

    async def look(cluster: Cluster) -> Plan:
        return await plan.to_uninstall(cluster, objects, crds=with_crds)

    question = (
        "Delete all this, with all workspaces and kinds of the cluster?"
        if with_crds
        else "Delete all this?"
    )
    _carry_out(
        endpoint, look, partial(rollout.delete, seconds=timeout), question, yes=yes, dry_run=dry_run
    )


@click.command()
@cluster_options
@output_option
@told
def doctor(kubeconfig: str, context: str, output: str) -> None:
    """Say what is reachable, allowed and installed, and what to do next. Exit code 1 when something keeps workspaces from working."""
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
                    _say(line)
        if (server := await server_line(AsyncClient(start=False))) is not None:
            lines.append(server)
            if output == "table":
                _say(server)
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
    """What a running server of ours knows of its cluster; None when none runs, which is no fault."""
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
                f"the one at {root} cannot use its cluster: {error.message}",
                error.hint,
            )
        if since is not None:
            advice = "It connects again by itself; what it shows may be old until then."
            return Line(
                "bad",
                "server",
                f"the one at {root} has not heard from {name} since {since}",
                advice,
            )
        return Line("good", "server", f"the one at {root} is connected to {name}")
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
        endpoint, look, partial(rollout.apply, seconds=timeout), "Go on?", yes=yes, dry_run=dry_run
    )


def _carry_out(
    endpoint: Endpoint, look: Any, act: Any, question: str, *, yes: bool, dry_run: bool
) -> None:
    """Look, show, ask, act; the exit code says how it went."""
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
        _show(endpoint, plan)
        if plan.refusals:
            echo("Nothing was done.", err=True)
            sys.exit(REFUSED)
        if dry_run:
            return
        if plan.changes and not yes:
            Session().confirm(question)
        asyncio.run(acted(plan))
    except Unreachable as error:
        complain(error.message)
        sys.exit(UNREACHABLE)
    except ClusterError as error:
        complain(error.message, "`jupyter workspaces doctor` tells what you may do there.")
        sys.exit(REFUSED)
    except NotReady as error:
        complain(str(error))
        sys.exit(TIMEOUT)
    echo("Done." if plan.changes else "Nothing to do.")


def _show(endpoint: Endpoint, plan: Plan) -> None:
    echo(printable(f"Cluster: {endpoint.name} at {endpoint.url}"))
    if plan.installed is not None:
        echo(printable(f"Installed: version {plan.installed}"))
    for step in plan.steps:
        word = click.style(f"{step.action:<7}", fg=_COLOURS.get(step.action))
        echo(f"  {word} {printable(step.title)}" + (f": {indented(step.why)}" if step.why else ""))


def _say(line: Line) -> None:
    sign, colour = _SIGNS[line.state]
    found = f"{printable(line.about)}: {indented(line.found)}"
    echo(
        f"{click.style(sign, fg=colour)} {found}"
        + (f"\n    {indented(line.next)}" if line.next else "")
    )


def _endpoint(kubeconfig: str, context: str, *, local: bool = False) -> Endpoint:
    """The cluster that is named; with `local`, where none is, the local one if it runs. Raises `WorkspaceError`."""
    from jupyter_workspaces.kube.endpoint import find, from_embedded
    from jupyter_workspaces.kube.errors import NoEndpoint
    from jupyter_workspaces.local import launch
    from jupyter_workspaces.localkube.directory import Directory

    try:
        if (found := find(kubeconfig or None, context or None)) is not None:
            return found
        if local and (status := launch.status()).running:
            return from_embedded(Directory(status.directory).kubeconfig)
    except NoEndpoint as error:
        raise WorkspaceError(str(error), status=400) from error
    known = Path.home() / ".kube" / "config"
    hint = f"There is {known}: name it with --kubeconfig." if known.exists() else ""
    if local:
        hint = f"The local cluster does not run either; `jupyter workspaces local start` starts it. {hint}".strip()
    raise WorkspaceError(
        "No cluster is named: set KUBECONFIG or give --kubeconfig.", hint, status=400
    )
