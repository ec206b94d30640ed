"""Commands on workspaces and workspace kinds: `list`, `spawn`, `open`, `pause` and others."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import Any

import click

from jupyter_workspaces.client import Workspace, trust_notice
from jupyter_workspaces.client.spawning import parse_mount
from jupyter_workspaces.client.stop_warnings import volumes_stay
from jupyter_workspaces.common.terminal import log_line, printable

from .output import (
    done,
    echo,
    flat,
    handle_errors,
    output_option,
    write,
)
from .state import (
    CommandState,
    namespace_option,
    pass_state,
    workspace_argument,
)
from .watch import watch

_STAMP = re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+Z ")


def add_to(cli: click.Group) -> None:
    """Add the commands of this module."""
    for command in (list_, kinds, spawn, open_, pause, resume, restart, logs, delete):
        cli.add_command(command)


@click.command("list")
@click.option("-A", "--all-namespaces", is_flag=True, help="List all namespaces.")
@click.option(
    "-w",
    "--watch",
    "go_on",
    is_flag=True,
    help="Keep listing changes until Ctrl-C; JSON has one object per line.",
)
@namespace_option
@output_option
@pass_state
@handle_errors
def list_(state: CommandState, all_namespaces: bool, go_on: bool, output: str) -> None:
    """List workspaces."""
    where = "*" if all_namespaces else state.namespace
    if go_on:
        watch(state.client, where, output)
        return
    found = state.client.list(where)
    if not found and output == "table":
        echo(
            printable(
                f"No workspaces in {found.where}. "
                "`jupyter workspaces spawn jupyterlab` creates one."
            ),
            err=True,
        )
        return
    if output in ("json", "yaml"):
        found.learn_volumes()
    headings, rows = found.rows()
    if all_namespaces:
        headings = ["namespace", *headings]
        rows = [[one.namespace, *row] for one, row in zip(found, rows, strict=True)]
    names = [f"{one.namespace}/{one.name}" if all_namespaces else one.name for one in found]
    write(output, [one.to_dict() for one in found], names, lambda: (headings, rows))


@click.command()
@output_option
@pass_state
@handle_errors
def kinds(state: CommandState, output: str) -> None:
    """List workspace kinds, with their images and sizes."""
    found = state.client.kinds()
    headings, rows = found.rows()
    write(
        output,
        found.records(),
        [kind.name for kind in found],
        lambda: (headings[:4], [row[:4] for row in rows]),
    )


@click.command()
@click.argument(
    "kind",
    shell_complete=lambda context, _, incomplete: CommandState.of(context).kind_names(incomplete),
)
@click.argument("name", required=False)
@click.option("--image", help="Image, by id or name. Default: the kind's.")
@click.option("--size", help="Size, by id or name. Default: the kind's.")
@click.option(
    "--home",
    help="Volume for its files. Default: home-NAME, created if missing; '' for none.",
)
@click.option(
    "--data",
    multiple=True,
    metavar="VOLUME:PATH[:ro]",
    help="Volume and its mount path; can be repeated.",
)
@click.option(
    "--label", multiple=True, metavar="KEY=VALUE", help="Label for the pod; can be repeated."
)
@click.option("--wait/--no-wait", default=True, help="Wait until it is running.")
@click.option(
    "--timeout", type=click.FloatRange(0), default=120, show_default=True, help="Seconds to wait."
)
@click.option(
    "--open", "then_open", is_flag=True, help="Open it in the browser when it is running."
)
@namespace_option
@output_option
@pass_state
@handle_errors
def spawn(
    state: CommandState,
    kind: str,
    name: str | None,
    image: str | None,
    size: str | None,
    home: str | None,
    data: tuple[str, ...],
    label: tuple[str, ...],
    wait: bool,
    timeout: float,
    then_open: bool,
    output: str,
) -> None:
    """Create and start a workspace of a KIND. Without NAME, a free name is chosen."""
    labels = dict(map(_label, label))
    mounts = dict(map(parse_mount, data))
    made = state.client.spawn(
        kind, name, image, size, home, mounts, labels=labels, namespace=state.namespace
    )
    if wait or then_open:
        made.wait(timeout=timeout, quiet=output != "table")
    if then_open:
        open_in_browser(made)
    done(output, "Started" if wait else "Created", made.to_dict())
    if output == "table" and not then_open:
        echo(printable(f"`jupyter workspaces open {state.address(made)}` opens it."), err=True)


def open_in_browser(workspace: Workspace) -> None:
    """Open a workspace. Shows the security notice once per user. Raises `WorkspaceError`."""
    said = trust_notice.note(workspace.name)
    if not workspace.opens_apart() and trust_notice.first_time_here():
        echo(printable(said), err=True)
    workspace.open()


@click.command("open")
@click.option("--print", "only_print", is_flag=True, help="Only print the URL.")
@click.option(
    "--timeout",
    type=click.FloatRange(0),
    default=120,
    show_default=True,
    help="Seconds to wait until it is running.",
)
@workspace_argument
@namespace_option
@output_option
@pass_state
@handle_errors
def open_(state: CommandState, name: str, only_print: bool, timeout: float, output: str) -> None:
    """Open a workspace in the browser. Resumes it first if it is paused."""
    found = state.workspace(name)
    if found.paused:
        found.resume(wait=False)
    if found.state != "Running":
        found.wait(timeout=timeout, quiet=output != "table")
    if not only_print:
        open_in_browser(found)
    if output in ("json", "yaml"):
        write(output, found.to_dict(), [], flat)
    else:
        echo(printable(found.name if output == "name" else found.url))


@click.command()
@workspace_argument
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--wait/--no-wait", default=True, help="Wait until it is paused.")
@click.option(
    "--timeout", type=click.FloatRange(0), default=60, show_default=True, help="Seconds to wait."
)
@click.option(
    "--now",
    is_flag=True,
    help="Skip the grace period, also of a pause that is in progress.",
)
@namespace_option
@output_option
@pass_state
@handle_errors
def pause(
    state: CommandState, name: str, yes: bool, wait: bool, timeout: float, now: bool, output: str
) -> None:
    """Pause a workspace. Its files are kept. Asks first if kernels are running."""
    found = state.workspace(name)
    if found.paused and now:
        found.stop_now(wait=False)
    else:
        _confirm_losses(state, "Pause", found, yes)
        found.pause(wait=False, now=now)
    done(output, "Paused" if wait else "Pausing", _after(found, "Paused", wait, timeout, output))


@click.command()
@workspace_argument
@click.option("--wait/--no-wait", default=True, help="Wait until it is running.")
@click.option(
    "--timeout", type=click.FloatRange(0), default=120, show_default=True, help="Seconds to wait."
)
@namespace_option
@output_option
@pass_state
@handle_errors
def resume(state: CommandState, name: str, wait: bool, timeout: float, output: str) -> None:
    """Start a paused workspace."""
    found = state.workspace(name).resume(wait=False)
    done(output, "Resumed" if wait else "Resuming", _after(found, "Running", wait, timeout, output))


@click.command()
@workspace_argument
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--wait/--no-wait", default=True, help="Wait until it is running again.")
@click.option(
    "--timeout", type=click.FloatRange(0), default=180, show_default=True, help="Seconds to wait."
)
@namespace_option
@output_option
@pass_state
@handle_errors
def restart(
    state: CommandState, name: str, yes: bool, wait: bool, timeout: float, output: str
) -> None:
    """Stop a workspace and start it again. Asks first if kernels are running."""
    found = state.workspace(name)
    _confirm_losses(state, "Restart", found, yes)
    done(
        output,
        "Restarted" if wait else "Restarting",
        found.restart(wait=wait, timeout=timeout).to_dict(),
    )


@click.command()
@workspace_argument
@click.option(
    "--tail", type=click.IntRange(min=1), default=100, show_default=True, help="Number of lines."
)
@click.option("-f", "--follow", is_flag=True, help="Keep printing new lines until Ctrl-C.")
@click.option("--previous", is_flag=True, help="Show the log before the last restart.")
@click.option("--timestamps", is_flag=True, help="Show a timestamp before each line.")
@namespace_option
@output_option
@pass_state
@handle_errors
def logs(
    state: CommandState,
    name: str,
    tail: int,
    follow: bool,
    previous: bool,
    timestamps: bool,
    output: str,
) -> None:
    """Print the log of a workspace."""
    if follow and previous:
        raise click.UsageError("--previous cannot be used with --follow.")
    found = state.workspace(name)
    lines: Iterable[str] = (
        found.follow(tail)
        if follow
        else found.logs(tail, previous=previous).removesuffix("\n").split("\n")
    )
    if not timestamps:
        lines = (_STAMP.sub("", line) for line in lines)
    if output in ("json", "yaml") and not follow:
        write(
            output,
            {"name": found.name, "namespace": found.namespace, "lines": list(lines)},
            [],
            flat,
        )
        return
    for line in lines:
        if sys.stdout.isatty():
            echo(log_line(line))
        else:
            click.echo(line, color=True)  # unchanged, with its control characters
        if follow:
            sys.stdout.flush()


@click.command()
@click.argument(
    "names",
    nargs=-1,
    required=True,
    shell_complete=lambda context, _, incomplete: CommandState.of(context).names(incomplete),
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--wait/--no-wait", default=True, help="Wait until its programs have stopped.")
@click.option(
    "--now",
    is_flag=True,
    help="Skip the grace period, also of a deletion that is in progress.",
)
@namespace_option
@output_option
@pass_state
@handle_errors
def delete(
    state: CommandState, names: tuple[str, ...], yes: bool, wait: bool, now: bool, output: str
) -> None:
    """Delete workspaces. Their volumes are kept."""
    for one in [
        state.workspace(name) for name in names
    ]:  # all must exist before the first is deleted
        if not yes:
            stay = volumes_stay(one.volumes()) or "It has no volumes."
            state.confirm(
                " ".join(
                    part
                    for part in (f"Delete {one.name}?", one.losses() or "Its programs stop.", stay)
                    if part
                )
            )
        one.delete(wait, now=now, quiet=output != "table")
        done(
            output,
            "Deleted" if wait else "Deleting",
            {"name": one.name, "namespace": one.namespace},
        )


def _confirm_losses(state: CommandState, verb: str, found: Workspace, yes: bool) -> None:
    if not yes and (lost := found.losses()):
        state.confirm(f"{verb} {found.name}? {lost}")


def _after(found: Workspace, state: str, wait: bool, timeout: float, output: str) -> dict[str, Any]:
    return (found.wait(state, timeout, quiet=output != "table") if wait else found).to_dict()


def _label(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not key or not separator:
        raise click.UsageError(f"Invalid value '{text}' for --label: use KEY=VALUE.")
    return key, value
