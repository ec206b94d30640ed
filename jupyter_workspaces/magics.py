"""IPython magics `%workspaces` and `%workspace`, with the commands of the command line."""

from __future__ import annotations

import shlex
import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any, NoReturn

from .client import (
    Client,
    Workspace,
    WorkspaceError,
    default,
)
from .client.spawning import parse_mount
from .client.stop_warnings import volumes_stay
from .common.terminal import log_line, printable

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

ACTIONS = ("status", "open", "pause", "resume", "restart", "logs", "events", "delete")
LISTS = ("list", "panel", "kinds", "claims")
USAGE = {
    "workspaces": f"%workspaces [{'|'.join(LISTS)}] [-n NAMESPACE]",
    "workspace": (
        "%workspace spawn KIND [NAME] [--image IMAGE] [--size SIZE] [--home VOLUME] "
        "[--data VOLUME:PATH[:ro]] [--no-wait] [-n NAMESPACE], "
        f"or %workspace {'|'.join(ACTIONS)} NAME [-n NAMESPACE]"
    ),
}


class _Parser(ArgumentParser):
    """Raises `WorkspaceError` for wrong arguments, instead of exiting the kernel."""

    def error(self, message: str) -> NoReturn:
        magic = self.prog.partition(" ")[0]
        raise WorkspaceError(f"%{self.prog}: {message}.", USAGE[magic])


def workspaces(line: str) -> Any:
    """Show workspaces, the panel, workspace kinds or volumes.

    Usage: `%workspaces [list|panel|kinds|claims] [-n NAMESPACE]`.
    """
    chosen = _workspaces_parser().parse_args(_words(line))
    if chosen.what == "panel":
        from .panel import panel

        return panel(chosen.namespace, default())
    if chosen.what == "kinds":
        return default().kinds()
    return (
        default().claims(chosen.namespace)
        if chosen.what == "claims"
        else default().list(chosen.namespace)
    )


def workspace(line: str) -> Any:
    """Create a workspace, or run an action on one.

    Usage: `%workspace spawn KIND [NAME] [--image IMAGE] [--size SIZE] [--home VOLUME]
    [--data VOLUME:PATH[:ro]] [--no-wait] [-n NAMESPACE]`, or
    `%workspace status|open|pause|resume|restart|logs|events|delete NAME [-n NAMESPACE]`.
    """
    words = _words(line)
    if not words:
        raise WorkspaceError(
            "%workspace needs an action.",
            USAGE["workspace"],
        )
    chosen = _workspace_parser().parse_args(words)
    if chosen.action == "spawn":
        data = dict(map(parse_mount, chosen.data))
        client = default()
        made = client.spawn(
            chosen.kind,
            chosen.name,
            chosen.image,
            chosen.size,
            chosen.home,
            data,
            namespace=chosen.namespace,
        )
        return made if chosen.no_wait else made.wait()
    return _act(default().get(chosen.name, chosen.namespace), chosen)


def complete(shell: Any, event: Any) -> list[str]:
    """Return completions for both magics. Does not start a server."""
    words = event.line.split()
    if words[0].lstrip("%") == "workspaces":
        return list(LISTS)
    beginning = 1 if event.line.endswith(" ") else 0
    if len(words) + beginning <= 2:
        return ["spawn", *ACTIONS]
    known = default()
    client = known if known.asynchronous.is_chosen else Client(start=False)
    try:
        return (
            [kind.name for kind in client.kinds()]
            if words[1] == "spawn"
            else [one.name for one in client.list()]
        )
    except WorkspaceError:
        return []


def register(shell: InteractiveShell) -> None:
    """Register both magics in an IPython shell."""
    for magic in (workspaces, workspace):
        shell.register_magic_function(magic, "line", magic.__name__)  # type: ignore[arg-type]  # typed as a method
        shell.set_hook("complete_command", complete, str_key=f"%{magic.__name__}")


def _act(found: Workspace, chosen: Namespace) -> Any:
    match chosen.action:
        case "status":
            return found
        case "pause":
            _confirm_losses("pause", found, chosen.yes)
            return found.pause()
        case "resume":
            return found.resume()
        case "restart":
            _confirm_losses("restart", found, chosen.yes)
            return found.restart()
        case "events":
            return found.events()
        case "logs":
            for line in found.logs(chosen.tail).rstrip("\n").split("\n"):
                print(log_line(line) if sys.stdout.isatty() else line)
        case "open":
            found.open()
        case "delete":
            if not chosen.yes:
                stay = volumes_stay(found.volumes()) or "It has no volumes."
                text = " ".join(
                    part
                    for part in (f"This would delete {found.name}.", found.losses(), stay)
                    if part
                )
                raise WorkspaceError(text, f"Add -y to confirm: %workspace delete {found.name} -y")
            found.delete()
            print(printable(f"Deleted {found.name}."))
    return None


def _confirm_losses(action: str, found: Workspace, yes: bool) -> None:
    if not yes and (lost := found.losses()):
        raise WorkspaceError(
            f"This would {action} {found.name}. {lost}",
            f"Add -y to confirm: %workspace {action} {found.name} -y",
        )


def _workspaces_parser() -> _Parser:
    parser = _Parser("workspaces", add_help=False)
    parser.add_argument("what", nargs="?", choices=LISTS, default="list")
    parser.add_argument("-n", "--namespace")
    return parser


def _workspace_parser() -> _Parser:
    parser = _Parser("workspace", add_help=False)
    actions = parser.add_subparsers(dest="action", required=True, parser_class=_Parser)
    spawn = actions.add_parser("spawn", add_help=False)
    spawn.add_argument("kind")
    spawn.add_argument("name", nargs="?")
    for option in ("image", "size", "home"):
        spawn.add_argument(f"--{option}")
    spawn.add_argument("--data", action="append", default=[])
    spawn.add_argument("--no-wait", action="store_true")
    spawn.add_argument("-n", "--namespace")
    for action in ACTIONS:
        other = actions.add_parser(action, add_help=False)
        other.add_argument("name")
        other.add_argument("-n", "--namespace")
        if action == "logs":
            other.add_argument("--tail", type=int, default=100)
        if action in ("pause", "restart", "delete"):
            other.add_argument("-y", "--yes", action="store_true")
    return parser


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise WorkspaceError(f"Cannot parse the line: {error}.", "Close the quotes.") from error
