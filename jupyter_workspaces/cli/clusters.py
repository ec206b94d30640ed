"""The commands that start things: the demo, the server, the local cluster."""

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
    for command in (demo, serve, local, kubeconfig):
        cli.add_command(command)


def parts_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options that say which parts a local cluster has; the command gets them as `parts`, None when nothing was said."""

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
                help="The workspace controller and its checks on write.",
            ),
            click.option(
                "--node",
                type=click.Choice(["processes", "simulated", "off"]),
                help="What runs pods, or only says so.",
            ),
            click.option(
                "--without-controller", is_flag=True, help="Short for --controller off --node off."
            ),
            click.option(
                "--ready-after",
                type=float,
                metavar="SECONDS",
                help="Simulated node: pods get ready so long after their start.",
            ),
            click.option(
                "--pod-log",
                type=click.Path(exists=True, dir_okay=False),
                help="Simulated node: the log of every container.",
            ),
        )
    ):
        with_parts = option(with_parts)
    return with_parts


@click.command()
@click.option(
    "--headless",
    is_flag=True,
    help="Run the notebook to its end on a throw-away cluster, print each step with its time, and clean up.",
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to put the notebook. Default: jupyter-workspaces-demo.",
)
@told
def demo(headless: bool, directory: Path | None) -> None:
    """Open JupyterLab on the tour, with a cluster of its own on this machine."""
    from jupyter_workspaces.demo import run, run_headless

    sys.exit(run_headless() if headless else run(directory or Path("jupyter-workspaces-demo")))


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=4000,
    show_default=True,
    help="Port; 0 takes a free one.",
)
@click.option("--ip", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--no-auth",
    is_flag=True,
    help="Ask nobody who they are. This machine only, and open to all of its users.",
)
@click.option(
    "--trusted-header-auth",
    is_flag=True,
    help="Believe a proxy's headers; each request is checked by the cluster's RBAC.",
)
@click.option(
    "--user-header",
    default="kubeflow-userid",
    show_default=True,
    envvar="USERID_HEADER",
    help="Header that names the user.",
)
@click.option(
    "--user-prefix",
    default=":",
    show_default=True,
    envvar="USERID_PREFIX",
    help="Cut once from the front of the user's name.",
)
@click.option(
    "--groups-header",
    default="kubeflow-groups",
    show_default=True,
    envvar="GROUPS_HEADER",
    help="Header of the user's groups.",
)
@click.option(
    "--groups-prefix",
    default="",
    envvar="GROUPS_PREFIX",
    help="Cut once from the front of each group's name.",
)
@click.option(
    "--kubeconfig",
    default="",
    help="Cluster to serve. Default: KUBECONFIG, the pod's own cluster, else the local one.",
)
@click.option("--context", default="", help="Context of the kubeconfig.")
@click.option("--embedded", is_flag=True, help="Serve the local cluster whatever KUBECONFIG says.")
@click.option("--directory", default="", help="Where the local cluster keeps its data.")
@click.option(
    "--workspaces-url",
    default="",
    help="Open workspaces at this origin of their own, such as http://*.localhost:4001.",
)
@click.option(
    "--workspaces-port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port to listen on for it, behind a reverse proxy.",
)
@click.option(
    "--workspaces-ip",
    default="",
    help="Address to listen on with --workspaces-port. Default: 127.0.0.1.",
)
@parts_options
@click.option(
    "--idle-minutes", type=float, default=0, help="End after so long without a request. 0: never."
)
@click.option(
    "--runtime-file", default="", help="Write url, token and pid there (mode 0600) once it listens."
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
    """Serve the Workspaces API at /api/v1/, without a front end."""
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
    """The cluster on this machine."""


@local.command("start")
@parts_options
@output_option
@told
def local_start(output: str, parts: Parts | None) -> None:
    """Start it, or find that it runs."""
    from jupyter_workspaces.local import launch

    launch.start(parts=parts)
    _show_status(output)


@local.command("stop")
@click.option("--pods", is_flag=True, help="Stop the workspaces' programs too.")
@output_option
@told
def local_stop(pods: bool, output: str) -> None:
    """Stop it; workspaces keep running."""
    from jupyter_workspaces.local import launch

    stopped = launch.stop(pods=pods)
    if output == "table":
        echo("Stopped." if stopped else "It does not run.")
    else:
        _show_status(output)


@local.command("status")
@output_option
@told
def local_status(output: str) -> None:
    """Say what there is. Exit code 3 when it does not run."""
    sys.exit(0 if _show_status(output) else NOT_FOUND)


@local.command("reset")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@told
def local_reset(yes: bool) -> None:
    """Stop it and delete all it holds, the files in its volumes too."""
    from jupyter_workspaces.local import launch

    if not yes:
        Session().confirm(
            f"Delete the local cluster with all its workspaces, volumes and the files in them ({home()})? Nothing of it stays."
        )
    launch.reset()
    echo("Deleted. The next start begins with an empty cluster.")


@click.command()
@output_option
@told
def kubeconfig(output: str) -> None:
    """Write the path of the local cluster's kubeconfig, for kubectl and other clients."""
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
