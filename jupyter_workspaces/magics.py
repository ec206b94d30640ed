"""`%workspaces` and `%workspace`: the command line's words in a cell."""

from __future__ import annotations

import shlex
from argparse import ArgumentParser
from typing import TYPE_CHECKING, Any, NoReturn

from .client import WorkspaceError, default

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

ACTIONS = ("status", "open", "pause", "resume", "restart", "logs", "events", "delete")


class _Parser(ArgumentParser):
    """Wrong words become a readable error instead of an exit."""

    def error(self, message: str) -> NoReturn:
        raise WorkspaceError(f"%{self.prog}: {message}", self.format_usage().strip())


def _workspaces_parser() -> _Parser:
    parser = _Parser("workspaces", description="List workspaces, or show the panel.", add_help=False)
    parser.add_argument("what", nargs="?", choices=("list", "panel", "kinds"), default="list")
    parser.add_argument("-n", "--namespace")
    return parser


def _workspace_parser() -> _Parser:
    parser = _Parser("workspace", description="Do something with one workspace.", add_help=False)
    actions = parser.add_subparsers(dest="action", required=True, metavar="{spawn," + ",".join(ACTIONS) + "}", parser_class=_Parser)
    spawn = actions.add_parser("spawn", add_help=False)
    spawn.add_argument("kind")
    spawn.add_argument("name", nargs="?")
    for option in ("image", "size", "home"):
        spawn.add_argument(f"--{option}")
    spawn.add_argument("--data", action="append", default=[], metavar="CLAIM:PATH")
    spawn.add_argument("--no-wait", action="store_true")
    for action in ACTIONS:
        other = actions.add_parser(action, add_help=False)
        other.add_argument("name")
        if action == "logs":
            other.add_argument("--tail", type=int, default=100)
        if action == "delete":
            other.add_argument("-y", "--yes", action="store_true")
    return parser


def workspaces(line: str) -> Any:
    """`%workspaces [list|panel|kinds] [-n NAMESPACE]`: the list, the panel, or the kinds."""
    chosen = _workspaces_parser().parse_args(shlex.split(line))
    if chosen.what == "panel":
        from .panel import panel

        return panel(chosen.namespace, default())
    return default().kinds() if chosen.what == "kinds" else default().list(chosen.namespace)


def workspace(line: str) -> Any:
    """`%workspace spawn KIND [NAME] [--image I] [--size S] [--home CLAIM] [--data CLAIM:PATH] [--no-wait]`, or
    `%workspace status|open|pause|resume|restart|logs|events|delete NAME`."""
    chosen = _workspace_parser().parse_args(shlex.split(line))
    if chosen.action == "spawn":
        data = dict(_pair(text) for text in chosen.data)
        made = default().spawn(chosen.kind, chosen.name, chosen.image, chosen.size, chosen.home, data)
        return made if chosen.no_wait else made.wait()
    found = default().get(chosen.name)
    match chosen.action:
        case "status":
            return found
        case "logs":
            print(found.logs(chosen.tail))
            return None
        case "events":
            return found.events()
        case "open":
            found.open()
            return None
        case "delete":
            if not chosen.yes:
                text = f"This would delete {found.name}; its volumes stay."
                raise WorkspaceError(text, f"Add -y to do it: %workspace delete {found.name} -y")
            found.delete()
            print(f"Deleted {found.name}. Its volumes stay.")
            return None
    return getattr(found, chosen.action)()


def complete(shell: Any, event: Any) -> list[str]:
    """Actions, kinds and names of workspaces behind `%workspace`."""
    words = event.line.split()
    try:
        if len(words) <= 1 or (len(words) == 2 and not event.line.endswith(" ")):
            return ["spawn", *ACTIONS]
        if words[1] == "spawn":
            return [kind.name for kind in default().kinds()]
        return [one.name for one in default().list()]
    except WorkspaceError:
        return []


def register(shell: InteractiveShell) -> None:
    """Make both magics known to an IPython shell."""
    manager: Any = shell  # IPython types these methods for subclasses only
    manager.register_magic_function(workspaces, "line", "workspaces")
    manager.register_magic_function(workspace, "line", "workspace")
    manager.set_hook("complete_command", complete, str_key="%workspace")


def _pair(text: str) -> tuple[str, str]:
    claim, separator, path = text.partition(":")
    if not separator or not claim or not path:
        raise WorkspaceError(f"--data {text}: write CLAIM:PATH.")
    return claim, path
