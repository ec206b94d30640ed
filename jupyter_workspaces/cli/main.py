"""The command group `jupyter workspaces` with all commands, and its entry point."""

from __future__ import annotations

import os
from typing import NoReturn

import click

from . import claims, installation, local, serve, workspaces
from .state import CommandState

EPILOG = """\b
Exit codes: 0 success, 1 failed or denied, 2 wrong usage or value, 3 not found,
  4 server not reachable, 5 timeout.
Completion for bash (similar for zsh and fish):
  eval "$(_JUPYTER_WORKSPACES_COMPLETE=bash_source jupyter-workspaces)"
"""


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
)
@click.version_option(package_name="jupyter-workspaces")
@click.option(
    "--url",
    envvar="JUPYTER_WORKSPACES_URL",
    help="URL of the server. Its token is read from JUPYTER_WORKSPACES_TOKEN.",
)
@click.pass_context
def cli(context: click.Context, url: str | None) -> None:
    """Browse, create, pause, resume and manage workspaces of a cluster.

    A NAME can also be NAMESPACE/NAME. Without JUPYTER_WORKSPACES_URL, a local server is started on
    demand, which shuts down when idle.
    """
    context.obj = CommandState(url)


for module in (workspaces, claims, local, serve, installation):
    module.add_to(cli)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry point of `jupyter workspaces`."""
    # Completion scripts need the name of the executable; help shows what users type.
    completing = "_JUPYTER_WORKSPACES_COMPLETE" in os.environ
    cli.main(
        args=arguments,
        prog_name="jupyter-workspaces" if completing else "jupyter workspaces",
        complete_var="_JUPYTER_WORKSPACES_COMPLETE",
    )
    raise SystemExit(0)
