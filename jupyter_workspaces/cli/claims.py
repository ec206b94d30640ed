"""`jupyter workspaces claims`: list, create and delete volumes."""

from __future__ import annotations

import click

from .output import (
    done,
    echo,
    handle_errors,
    output_option,
    write,
)
from .state import CommandState, namespace_option, pass_state


def add_to(cli: click.Group) -> None:
    """Add the commands of this module."""
    cli.add_command(claims)


@click.group(invoke_without_command=True)
@namespace_option
@output_option
@click.pass_context
def claims(context: click.Context, output: str) -> None:
    """List, create and delete volumes."""
    if context.invoked_subcommand is None:
        context.invoke(list_, output=output)


@claims.command("list", hidden=True)
@namespace_option
@output_option
@pass_state
@handle_errors
def list_(state: CommandState, output: str) -> None:
    """List volumes, with the workspaces that use them."""
    found = state.client.claims(state.namespace)
    if not found and output == "table":
        echo("No volumes yet. `jupyter workspaces claims create NAME` creates one.", err=True)
        return
    rows = [
        [
            one["name"],
            one["pvcSpec"]["requests"]["storage"],
            ", ".join(user["name"] for user in one["workspaces"]) or "-",
        ]
        for one in found
    ]
    write(
        output, found, [one["name"] for one in found], lambda: (("name", "size", "used by"), rows)
    )


@claims.command()
@click.argument("name")
@click.option("--size", default="1Gi", show_default=True, help="Size, such as 10Gi.")
@namespace_option
@output_option
@pass_state
@handle_errors
def create(state: CommandState, name: str, size: str, output: str) -> None:
    """Create a volume."""
    state.client.create_claim(name, size, state.namespace)
    done(
        output,
        "Created",
        {"name": name, "namespace": state.namespace or state.client.namespace, "size": size},
    )


@claims.command()
@click.argument("name")
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@namespace_option
@output_option
@pass_state
@handle_errors
def delete(state: CommandState, name: str, yes: bool, output: str) -> None:
    """Delete a volume and its files."""
    if not yes:
        state.confirm(f"Delete the volume {name}? Its files are lost.")
    state.client.delete_claim(name, state.namespace)
    done(
        output,
        "Deleted",
        {"name": name, "namespace": state.namespace or state.client.namespace},
    )
