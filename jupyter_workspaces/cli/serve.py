"""`jupyter workspaces serve`: the workspaces server without a Jupyter server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .output import handle_errors
from .parts_options import parts_options

if TYPE_CHECKING:
    from jupyter_workspaces.local.parts import Parts


def add_to(cli: click.Group) -> None:
    """Add the command of this module."""
    cli.add_command(serve)


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
@handle_errors
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
