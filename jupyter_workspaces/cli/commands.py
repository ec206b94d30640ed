"""The commands on workspaces, kinds and claims."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from ..client import Client, Workspace, WorkspaceError
from . import clusters
from .output import done, output_option, told, write

WATCH_SECONDS = 1.0


class Session:
    """What all commands share: which server and which namespace."""

    def __init__(self, url: str | None, namespace: str) -> None:
        self.url, self.namespace = url, namespace
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        if self._client is None:
            self._client = Client(self.url, namespace=self.namespace)
        return self._client

    def workspace(self, name: str) -> Workspace:
        try:
            return self.client.get(name)
        except WorkspaceError as error:
            if error.status == 404:
                raise WorkspaceError(error.message, "`jupyter workspaces list` shows what there is.", status=404) from error
            raise


pass_session = click.make_pass_decorator(Session)


def _complete_workspace(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    found = context.find_object(Session) or Session(None, "default")
    try:
        return [one.name for one in found.client.list() if one.name.startswith(incomplete)]
    except WorkspaceError:
        return []  # a completion that cannot be made stays silent


name_argument = click.argument("name", shell_complete=_complete_workspace)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="jupyter-workspaces")
@click.option(
    "--url", envvar="JUPYTER_WORKSPACES_URL", help="Server to ask. Its token comes from JUPYTER_WORKSPACES_TOKEN, never from here."
)
@click.option("-n", "--namespace", default="default", show_default=True, help="Namespace of the workspaces.")
@click.pass_context
def cli(context: click.Context, url: str | None, namespace: str) -> None:
    """Browse, spawn, pause, resume and manage workspaces of a cluster.

    \b
    Exit codes: 0 done, 1 refused or failed, 2 wrong use, 3 not found, 4 no answer, 5 took too long.
    """
    context.obj = Session(url, namespace)


@cli.command("list")
@click.option("-A", "--all-namespaces", is_flag=True, help="Of all namespaces.")
@click.option("-w", "--watch", is_flag=True, help="Go on, and write again what changed.")
@output_option
@pass_session
@told
def list_(session: Session, all_namespaces: bool, watch: bool, output: str) -> None:
    """List workspaces."""
    shown = None
    while True:
        found = session.client.list("*" if all_namespaces else None)
        headings, rows = found.rows()
        stable = [row[:5] + row[7:] for row in rows]  # ages change by themselves
        if stable != shown:
            if shown is not None and output == "table":
                click.echo()
            shown = stable
            if not rows and output == "table":
                click.echo("No workspaces yet. `jupyter workspaces spawn jupyterlab` makes one.")
            else:
                write(output, [one.to_dict() for one in found], [one.name for one in found], lambda: (headings, rows))
        if not watch:
            return
        sys.stdout.flush()
        time.sleep(WATCH_SECONDS)


@cli.command()
@output_option
@pass_session
@told
def kinds(session: Session, output: str) -> None:
    """List kinds of workspaces, with their images and sizes."""
    found = session.client.kinds()
    data = [
        {
            "name": kind.name,
            "displayName": kind.display_name,
            "description": kind.description,
            "images": [option.id for option in kind.images if not option.hidden],
            "sizes": [option.id for option in kind.sizes if not option.hidden],
        }
        for kind in found
    ]
    headings, rows = found.rows()
    write(output, data, [kind.name for kind in found], lambda: (headings[:4], [row[:4] for row in rows]))


@cli.command()
@click.argument("kind")
@click.argument("name", required=False)
@click.option("--image", help="Image option, by id or name. Default: the kind's.")
@click.option("--size", help="Size option, by id or name. Default: the kind's.")
@click.option("--home", help="Claim for its files; made when it does not exist. Default: home-NAME.")
@click.option("--data", multiple=True, metavar="CLAIM:PATH[:ro]", help="A claim and where it appears; may be given again.")
@click.option("--wait/--no-wait", default=True, help="Wait until it runs.")
@click.option("--timeout", type=float, default=120, show_default=True, help="Seconds to wait.")
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
    wait: bool,
    timeout: float,
    output: str,
) -> None:
    """Make a workspace of a KIND and start it."""
    mounts, read_only = _mounts(data)
    made = session.client.spawn(kind, name, image, size, home, mounts, read_only=read_only)
    if wait:
        made.wait(timeout=timeout, quiet=output != "table")
    done(output, "Started" if wait else "Made", made.to_dict())
    if output == "table" and wait:
        click.echo(f"`jupyter workspaces open {made.name}` opens it.")


@cli.command("open")
@click.option("--print", "only_print", is_flag=True, help="Write the address, start no browser.")
@name_argument
@output_option
@pass_session
@told
def open_(session: Session, name: str, only_print: bool, output: str) -> None:
    """Open a workspace in the browser; a paused one is resumed first."""
    found = session.workspace(name)
    if found.paused:
        found.resume()
    elif found.state != "Running":
        found.wait()
    if not only_print:
        found.open()
    if output == "table":
        click.echo(found.url)
    else:
        done(output, "Opened", {**found.to_dict(), "url": found.url})


@cli.command()
@name_argument
@click.option("--wait/--no-wait", default=True, help="Wait until it has stopped.")
@output_option
@pass_session
@told
def pause(session: Session, name: str, wait: bool, output: str) -> None:
    """Stop a workspace's programs; its files stay."""
    found = session.workspace(name)
    found.pause(wait=False)
    done(output, "Paused" if wait else "Pausing", (found.wait("Paused", 60, quiet=True) if wait else found).to_dict())


@cli.command()
@name_argument
@click.option("--wait/--no-wait", default=True, help="Wait until it runs.")
@output_option
@pass_session
@told
def resume(session: Session, name: str, wait: bool, output: str) -> None:
    """Start a paused workspace."""
    found = session.workspace(name)
    found.resume(wait=False)
    done(output, "Resumed" if wait else "Resuming", (found.wait("Running", 120, quiet=output != "table") if wait else found).to_dict())


@cli.command()
@name_argument
@click.option("--wait/--no-wait", default=True, help="Wait until it runs again.")
@output_option
@pass_session
@told
def restart(session: Session, name: str, wait: bool, output: str) -> None:
    """Stop a workspace and start it again, from any state."""
    done(output, "Restarted" if wait else "Restarting", session.workspace(name).restart(wait=wait).to_dict())


@cli.command()
@name_argument
@click.option("--tail", type=click.IntRange(min=1), default=100, show_default=True, help="How many lines.")
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines as they come.")
@click.option("--previous", is_flag=True, help="Of the run before the last restart.")
@output_option
@pass_session
@told
def logs(session: Session, name: str, tail: int, follow: bool, previous: bool, output: str) -> None:
    """Write a workspace's log."""
    found = session.workspace(name)
    if follow:
        found.logs(tail, follow=True)
        return
    text = found.logs(tail, previous=previous)
    if output in ("json", "yaml"):
        write(output, {"name": name, "lines": text.splitlines()}, [name], lambda: ((), ()))
    else:
        click.echo(name if output == "name" else text.rstrip("\n"))


@cli.command()
@click.argument("names", nargs=-1, required=True, shell_complete=_complete_workspace)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@output_option
@pass_session
@told
def delete(session: Session, names: tuple[str, ...], yes: bool, output: str) -> None:
    """Delete workspaces; their volumes stay."""
    found = [session.workspace(name) for name in names]
    for one in found:
        if not yes:
            homes = ", ".join(one.volumes()) or "none"
            click.confirm(f"Delete {one.name}? Its volumes stay: {homes}.", abort=True, err=True)
        one.delete()
        done(output, "Deleted", {"name": one.name, "namespace": one.namespace})


@cli.command()
@output_option
@pass_session
@told
def claims(session: Session, output: str) -> None:
    """List volumes and who uses them."""
    found = session.client.claims()
    rows = [
        [one["name"], one["pvcSpec"]["requests"]["storage"], ", ".join(user["name"] for user in one["workspaces"]) or "-"] for one in found
    ]
    write(output, found, [one["name"] for one in found], lambda: (("name", "size", "used by"), rows))


def _mounts(data: tuple[str, ...]) -> tuple[dict[str, str], list[str]]:
    """`CLAIM:PATH[:ro]` to claims and their paths, and which are read-only."""
    mounts: dict[str, str] = {}
    read_only = []
    for text in data:
        claim, _, rest = text.partition(":")
        path, _, mode = rest.partition(":")
        if not claim or not path or mode not in ("", "ro", "rw"):
            raise click.UsageError(f"--data {text!r}: write CLAIM:PATH or CLAIM:PATH:ro.")
        mounts[claim] = path
        if mode == "ro":
            read_only.append(claim)
    return mounts, read_only


clusters.add_to(cli)


def main(arguments: list[str] | None = None) -> Any:
    """Entry point of `jupyter workspaces`."""
    return cli.main(args=arguments, prog_name="jupyter workspaces")
