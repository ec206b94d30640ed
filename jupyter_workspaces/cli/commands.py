"""The command group `jupyter workspaces`, and the commands on workspaces and kinds."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

import click

from jupyter_workspaces.client import Workspace, trust
from jupyter_workspaces.client.losses import volumes_stay
from jupyter_workspaces.common.terminal import log_line, printable

from . import claims, cluster, clusters
from .output import (
    done,
    echo,
    flat,
    output_option,
    told,
    write,
)
from .session import (
    Session,
    namespace_option,
    pass_session,
    workspace_argument,
)
from .watch import watch

_STAMP = re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+Z ")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
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

    \b
    Exit codes: 0 success, 1 failed or denied, 2 wrong usage or value, 3 not found,
      4 server not reachable, 5 timeout.
    Completion for bash (similar for zsh and fish):
      eval "$(_JUPYTER_WORKSPACES_COMPLETE=bash_source jupyter-workspaces)"
    """
    context.obj = Session(url)


@cli.command("list")
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
@pass_session
@told
def list_(session: Session, all_namespaces: bool, go_on: bool, output: str) -> None:
    """List workspaces."""
    where = "*" if all_namespaces else session.namespace
    if go_on:
        watch(session.client, where, output)
        return
    found = session.client.list(where)
    if not found and output == "table":
        echo(
            printable(
                f"No workspaces in {found.where}. `jupyter workspaces spawn jupyterlab` creates one."
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


@cli.command()
@output_option
@pass_session
@told
def kinds(session: Session, output: str) -> None:
    """List workspace kinds, with their images and sizes."""
    found = session.client.kinds()
    headings, rows = found.rows()
    write(
        output,
        found.records(),
        [kind.name for kind in found],
        lambda: (headings[:4], [row[:4] for row in rows]),
    )


@cli.command()
@click.argument(
    "kind", shell_complete=lambda context, _, incomplete: Session.of(context).kind_names(incomplete)
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
@pass_session
@told
def spawn(
    session: Session,
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
    labels = dict(_pair("--label", text, "=", "KEY=VALUE") for text in label)
    mounts = dict(_mount(text) for text in data)
    made = session.client.spawn(
        kind, name, image, size, home, mounts, labels=labels, namespace=session.namespace
    )
    if wait or then_open:
        made.wait(timeout=timeout, quiet=output != "table")
    if then_open:
        open_in_browser(made)
    done(output, "Started" if wait else "Created", made.to_dict())
    if output == "table" and not then_open:
        echo(printable(f"`jupyter workspaces open {session.address(made)}` opens it."), err=True)


def open_in_browser(workspace: Workspace) -> None:
    """Open a workspace. Shows the security notice once per user. Raises `WorkspaceError`."""
    said = trust.note(workspace.name)
    if not workspace.opens_apart() and trust.first_time_here():
        echo(printable(said), err=True)
    workspace.open()


@cli.command("open")
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
@pass_session
@told
def open_(session: Session, name: str, only_print: bool, timeout: float, output: str) -> None:
    """Open a workspace in the browser. Resumes it first if it is paused."""
    found = session.workspace(name)
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


@cli.command()
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
@pass_session
@told
def pause(
    session: Session, name: str, yes: bool, wait: bool, timeout: float, now: bool, output: str
) -> None:
    """Pause a workspace. Its files are kept. Asks first if kernels are running."""
    found = session.workspace(name)
    if found.paused and now:
        found.stop_now(wait=False)
    else:
        _confirm_losses(session, "Pause", found, yes)
        found.pause(wait=False, now=now)
    done(output, "Paused" if wait else "Pausing", _after(found, "Paused", wait, timeout, output))


@cli.command()
@workspace_argument
@click.option("--wait/--no-wait", default=True, help="Wait until it is running.")
@click.option(
    "--timeout", type=click.FloatRange(0), default=120, show_default=True, help="Seconds to wait."
)
@namespace_option
@output_option
@pass_session
@told
def resume(session: Session, name: str, wait: bool, timeout: float, output: str) -> None:
    """Start a paused workspace."""
    found = session.workspace(name).resume(wait=False)
    done(output, "Resumed" if wait else "Resuming", _after(found, "Running", wait, timeout, output))


@cli.command()
@workspace_argument
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--wait/--no-wait", default=True, help="Wait until it is running again.")
@click.option(
    "--timeout", type=click.FloatRange(0), default=180, show_default=True, help="Seconds to wait."
)
@namespace_option
@output_option
@pass_session
@told
def restart(
    session: Session, name: str, yes: bool, wait: bool, timeout: float, output: str
) -> None:
    """Stop a workspace and start it again. Asks first if kernels are running."""
    found = session.workspace(name)
    _confirm_losses(session, "Restart", found, yes)
    done(
        output,
        "Restarted" if wait else "Restarting",
        found.restart(wait=wait, timeout=timeout).to_dict(),
    )


@cli.command()
@workspace_argument
@click.option(
    "--tail", type=click.IntRange(min=1), default=100, show_default=True, help="Number of lines."
)
@click.option("-f", "--follow", is_flag=True, help="Keep printing new lines until Ctrl-C.")
@click.option("--previous", is_flag=True, help="Show the log before the last restart.")
@click.option("--timestamps", is_flag=True, help="Show a timestamp before each line.")
@namespace_option
@output_option
@pass_session
@told
def logs(
    session: Session,
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
    found = session.workspace(name)
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


@cli.command()
@click.argument(
    "names",
    nargs=-1,
    required=True,
    shell_complete=lambda context, _, incomplete: Session.of(context).names(incomplete),
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
@pass_session
@told
def delete(
    session: Session, names: tuple[str, ...], yes: bool, wait: bool, now: bool, output: str
) -> None:
    """Delete workspaces. Their volumes are kept."""
    for one in [
        session.workspace(name) for name in names
    ]:  # all must exist before the first is deleted
        if not yes:
            stay = volumes_stay(one.volumes()) or "It has no volumes."
            session.confirm(
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


def _confirm_losses(session: Session, verb: str, found: Workspace, yes: bool) -> None:
    if not yes and (lost := found.losses()):
        session.confirm(f"{verb} {found.name}? {lost}")


def _after(found: Workspace, state: str, wait: bool, timeout: float, output: str) -> dict[str, Any]:
    return (found.wait(state, timeout, quiet=output != "table") if wait else found).to_dict()


def _mount(text: str) -> tuple[str, tuple[str, str]]:
    claim, path = _pair("--data", text, ":", "VOLUME:PATH or VOLUME:PATH:ro")
    path, separator, mode = path.rpartition(":")
    if not separator:
        path, mode = mode, "rw"
    if not path or mode not in ("ro", "rw"):
        raise click.UsageError(
            f"Invalid value '{text}' for --data: use VOLUME:PATH or VOLUME:PATH:ro."
        )
    return claim, (path, mode)


def _pair(option: str, text: str, separator: str, form: str) -> tuple[str, str]:
    key, found, value = text.partition(separator)
    if not key or not found:
        raise click.UsageError(f"Invalid value '{text}' for {option}: use {form}.")
    return key, value


claims.add_to(cli)
clusters.add_to(cli)
cluster.add_to(cli)


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
