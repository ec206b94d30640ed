"""Commands that start programs: `demo`, `serve`, `local` and `kubeconfig`."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jupyter_workspaces.common.paths import home

from .output import (
    NOT_FOUND,
    echo,
    flat,
    output_option,
    told,
    write,
)
from .session import Session

if TYPE_CHECKING:
    from jupyter_workspaces.local.parts import Parts


def add_to(cli: click.Group) -> None:
    """Add the commands of this module."""
    for command in (demo, serve, local, kubeconfig):
        cli.add_command(command)


def parts_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add options for the parts of a local cluster, passed as `parts`; None without options."""

    @functools.wraps(command)
    def with_parts(
        controller: str | None,
        node: str | None,
        without_controller: bool,
        ready_after: float | None,
        pod_log: str | None,
        **others: Any,
    ) -> None:
        from jupyter_workspaces.local.parts import chosen

        parts = None
        if any((controller, node, without_controller, ready_after, pod_log)):
            try:
                parts = chosen(
                    controller or "on",
                    node or "processes",
                    without_controller,
                    ready_after or 0.0,
                    pod_log or "",
                )
            except ValueError as error:
                raise click.UsageError(str(error)) from error
        command(parts=parts, **others)

    for option in reversed(
        (
            click.option(
                "--controller",
                type=click.Choice(["on", "off"]),
                help="Run the workspace controller and its admission checks.",
            ),
            click.option(
                "--node",
                type=click.Choice(["processes", "simulated", "off"]),
                help="How pods run: as processes, simulated, or not at all.",
            ),
            click.option(
                "--without-controller", is_flag=True, help="Short for --controller off --node off."
            ),
            click.option(
                "--ready-after",
                type=float,
                metavar="SECONDS",
                help="Simulated node: seconds until a pod is ready.",
            ),
            click.option(
                "--pod-log",
                type=click.Path(exists=True, dir_okay=False),
                help="Simulated node: file with the log of every container.",
            ),
        )
    ):
        with_parts = option(with_parts)
    return with_parts


@click.command()
@click.option(
    "--headless",
    is_flag=True,
    help="Run the notebook on a temporary cluster, print the duration of each step, and clean up.",
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory for the notebook. Default: jupyter-workspaces-demo.",
)
@told
def demo(headless: bool, directory: Path | None) -> None:
    """Open JupyterLab with the quickstart notebook and a local cluster."""
    from jupyter_workspaces.demo import run, run_headless

    sys.exit(run_headless() if headless else run(directory or Path("jupyter-workspaces-demo")))


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=4000,
    show_default=True,
    help="Port to listen on; 0 selects a free one.",
)
@click.option("--ip", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--no-auth",
    is_flag=True,
    help="Disable authentication. Only on loopback; open to all users of this machine.",
)
@click.option(
    "--trusted-header-auth",
    is_flag=True,
    help="Trust user headers set by a reverse proxy; the cluster's RBAC authorizes requests.",
)
@click.option(
    "--user-header",
    default="kubeflow-userid",
    show_default=True,
    envvar="USERID_HEADER",
    help="Header with the user's name.",
)
@click.option(
    "--user-prefix",
    default=":",
    show_default=True,
    envvar="USERID_PREFIX",
    help="Prefix to remove from the user's name.",
)
@click.option(
    "--groups-header",
    default="kubeflow-groups",
    show_default=True,
    envvar="GROUPS_HEADER",
    help="Header with the user's groups.",
)
@click.option(
    "--groups-prefix",
    default="",
    envvar="GROUPS_PREFIX",
    help="Prefix to remove from each group's name.",
)
@click.option(
    "--kubeconfig",
    default="",
    help="Kubeconfig of the cluster. Default: KUBECONFIG, else the pod's own cluster, else the "
    "local cluster.",
)
@click.option("--context", default="", help="Context in the kubeconfig.")
@click.option(
    "--embedded", is_flag=True, help="Serve the local cluster, even if KUBECONFIG is set."
)
@click.option("--directory", default="", help="Data directory of the local cluster.")
@click.option(
    "--workspaces-url",
    default="",
    help="Separate origin for workspaces, such as http://*.localhost:4001.",
)
@click.option(
    "--workspaces-port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port to listen on for that origin, behind a reverse proxy.",
)
@click.option(
    "--workspaces-ip",
    default="",
    help="Address to listen on with --workspaces-port. Default: 127.0.0.1.",
)
@parts_options
@click.option(
    "--idle-minutes",
    type=float,
    default=0,
    help="Shut down after this many idle minutes. 0: never.",
)
@click.option(
    "--runtime-file", default="", help="File to write url, token and pid to (mode 0600) when ready."
)
@told
def serve(
    port: int,
    ip: str,
    no_auth: bool,
    trusted_header_auth: bool,
    user_header: str,
    user_prefix: str,
    groups_header: str,
    groups_prefix: str,
    kubeconfig: str,
    context: str,
    embedded: bool,
    directory: str,
    workspaces_url: str,
    workspaces_port: int,
    workspaces_ip: str,
    idle_minutes: float,
    runtime_file: str,
    parts: Parts | None,
) -> None:
    """Serve the workspaces API at /api/v1/, without a front end."""
    from jupyter_workspaces.server.serve import main

    main(
        port=port,
        ip=ip,
        no_auth=no_auth,
        trusted_header_auth=trusted_header_auth,
        header_names={
            "user_header": user_header,
            "user_prefix": user_prefix,
            "groups_header": groups_header,
            "groups_prefix": groups_prefix,
        },
        kubeconfig=kubeconfig,
        context=context,
        embedded=embedded,
        directory=directory,
        workspaces_url=workspaces_url,
        workspaces_port=workspaces_port,
        workspaces_ip=workspaces_ip,
        idle_minutes=idle_minutes,
        runtime_file=runtime_file,
        local_parts=parts.arguments() if parts is not None else [],
    )


@click.group()
def local() -> None:
    """Manage the local cluster."""


@local.command("start")
@parts_options
@output_option
@told
def local_start(output: str, parts: Parts | None) -> None:
    """Start the local cluster, if it is not running."""
    from jupyter_workspaces.local import launch

    launch.start(parts=parts)
    _show_status(output)


@local.command("stop")
@click.option("--pods", is_flag=True, help="Also stop the programs of workspaces.")
@output_option
@told
def local_stop(pods: bool, output: str) -> None:
    """Stop the local cluster. Programs of workspaces keep running."""
    from jupyter_workspaces.local import launch

    stopped = launch.stop(pods=pods)
    if output == "table":
        echo("Stopped." if stopped else "Not running.")
    else:
        _show_status(output)


@local.command("status")
@output_option
@told
def local_status(output: str) -> None:
    """Show the status of the local cluster. Exit code 3 if it is not running."""
    sys.exit(0 if _show_status(output) else NOT_FOUND)


@local.command("reset")
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@told
def local_reset(yes: bool) -> None:
    """Stop the local cluster and delete its data, including all volumes."""
    from jupyter_workspaces.local import launch

    if not yes:
        Session().confirm(
            "Delete the local cluster with all workspaces, volumes and their files "
            f"({home()})? This cannot be undone."
        )
    launch.reset()
    echo("Deleted. The next start creates an empty cluster.")


@click.command()
@output_option
@told
def kubeconfig(output: str) -> None:
    """Print the path of the local cluster's kubeconfig. Starts the cluster if needed."""
    from jupyter_workspaces.local import launch

    path = str(launch.start())
    if output in ("table", "name"):
        echo(path)
    else:
        write(output, {"kubeconfig": path}, [path], flat)


def _show_status(output: str) -> bool:
    from jupyter_workspaces.local import launch

    status = launch.status()
    data = {
        "running": status.running,
        "directory": str(status.directory),
        "pid": status.pid,
        "url": status.url,
        "version": status.version,
        "parts": None if status.parts is None else str(status.parts),
        "pods": status.pods,
        "problem": status.problem,
        "memoryMiB": None if status.memory is None else round(status.memory / 2**20),
    }
    rows = [[name, "-" if value is None else str(value)] for name, value in data.items()]
    write(output, data, [str(status.directory)], lambda: (("what", "value"), rows))
    return status.running
