"""Commands on the local cluster: `local`, `kubeconfig` and `demo`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jupyter_workspaces.common.paths import home

from .output import (
    NOT_FOUND,
    echo,
    flat,
    handle_errors,
    output_option,
    write,
)
from .parts_options import parts_options
from .state import CommandState

if TYPE_CHECKING:
    from jupyter_workspaces.local.parts import Parts


def add_to(cli: click.Group) -> None:
    """Add the commands of this module."""
    for command in (local, kubeconfig, demo):
        cli.add_command(command)


@click.group()
def local() -> None:
    """Manage the local cluster."""


@local.command("start")
@parts_options
@output_option
@handle_errors
def local_start(output: str, parts: Parts | None) -> None:
    """Start the local cluster, if it is not running."""
    from jupyter_workspaces.local import launch

    launch.start(parts=parts)
    _show_status(output)


@local.command("stop")
@click.option("--pods", is_flag=True, help="Also stop the programs of workspaces.")
@output_option
@handle_errors
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
@handle_errors
def local_status(output: str) -> None:
    """Show the status of the local cluster. Exit code 3 if it is not running."""
    sys.exit(0 if _show_status(output) else NOT_FOUND)


@local.command("reset")
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@handle_errors
def local_reset(yes: bool) -> None:
    """Stop the local cluster and delete its data, including all volumes."""
    from jupyter_workspaces.local import launch

    if not yes:
        CommandState().confirm(
            "Delete the local cluster with all workspaces, volumes and their files "
            f"({home()})? This cannot be undone."
        )
    launch.reset()
    echo("Deleted. The next start creates an empty cluster.")


@click.command()
@output_option
@handle_errors
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
@handle_errors
def demo(headless: bool, directory: Path | None) -> None:
    """Open JupyterLab with the quickstart notebook.

    Starts the local cluster for it.
    """
    from jupyter_workspaces.demo import run, run_headless

    sys.exit(run_headless() if headless else run(directory or Path("jupyter-workspaces-demo")))
