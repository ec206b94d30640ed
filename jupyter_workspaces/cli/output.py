"""Output of commands: tables, JSON, YAML and names, error messages, and exit codes."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import click

from jupyter_workspaces.client import (
    TimedOut,
    Unreachable,
    WorkspaceError,
    WrongArgument,
)
from jupyter_workspaces.client.display import text_table
from jupyter_workspaces.common.terminal import (
    indented,
    printable,
    to_json,
    to_yaml,
)
from jupyter_workspaces.common.terminal import output as safe_output

P = ParamSpec("P")
T = TypeVar("T")

REFUSED, WRONG_USE, NOT_FOUND, UNREACHABLE, TIMEOUT = 1, 2, 3, 4, 5
"""Exit codes for errors (docs/command-line.md)."""

INTERRUPTED = 130

_WORDS = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r'jw\.create_claim\("([^"]*)"\)', r"`jupyter workspaces claims create \1`"),
        (r"jw\.(list|kinds|claims)\(\)", r"`jupyter workspaces \1`"),
        (
            r"ws\.wait\(timeout=None\) waits without limit; ws\.progress\(\) shows the steps\.",
            "It continues in the background; use --timeout to wait longer.",
        ),
        (r"ws\.events\(\) and ws\.logs\(\)", "`jupyter workspaces logs NAME`"),
        (r"ws\.(\w+)\(\)", r"`jupyter workspaces \1 NAME`"),
    )
)

FORMATS = ("table", "json", "yaml", "name")
_COLOURS = {
    "Running": "green",
    "Starting": "blue",
    "Needs attention": "red",
    "Paused": "bright_black",
}


def output_option(command: Callable[P, T]) -> Callable[P, T]:
    """Add `-o/--output`."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="Output format.",
    )(command)


def echo(text: str, *, err: bool = False) -> None:
    """Print text. All commands use this function to print.

    It escapes all control sequences except colours. Pass text from the cluster through `printable`
    or `indented` first, so that it cannot add lines.
    """
    click.echo(safe_output(text), err=err)


def write(
    output: str,
    data: Any,
    names: Sequence[str],
    table: Callable[[], tuple[Sequence[str], Sequence[Sequence[str]]]],
) -> None:
    """Print a result: `data` as JSON or YAML, `names`, or the headings and rows of `table`."""
    if output == "json":
        echo(to_json(data, indent=2))
    elif output == "yaml":
        echo(to_yaml(data))
    elif output == "name":
        for name in names:
            echo(printable(name))
    else:
        headings, rows = table()
        echo(coloured(text_table(headings, rows)))


def flat() -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Return an empty table, for results that have no table."""
    return (), ()


def done(output: str, word: str, data: Mapping[str, Any]) -> None:
    """Print the result of an action: a past participle and the name, or `data`."""
    name = str(data["name"])
    if output == "table":
        echo(f"{word} {printable(name)}")
    else:
        write(output, dict(data), [name], flat)


def coloured(text: str) -> str:
    """Return a table with coloured states if standard output is a terminal."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    lines = []
    for line in text.splitlines():
        word = next((word for word in _COLOURS if line.startswith(word)), None)
        lines.append(click.style(word, fg=_COLOURS[word]) + line[len(word) :] if word else line)
    return "\n".join(lines)


def handle_errors(command: Callable[P, T]) -> Callable[P, T]:
    """Wrap a command: print exceptions as message and hint, and set the exit code."""

    @functools.wraps(command)
    def run(*arguments: P.args, **options: P.kwargs) -> T:
        from jupyter_workspaces.local.launch import LocalClusterError

        try:
            return command(*arguments, **options)
        except WorkspaceError as error:
            complain(error.message, error.hint, error.details())
            sys.exit(_code(error))
        except LocalClusterError as error:
            complain(str(error))
            sys.exit(REFUSED)
        except TimeoutError as error:
            complain(str(error) or "Timed out.")
            sys.exit(TIMEOUT)
        except OSError as error:  # an unreadable file or directory, or a port in use
            complain(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}.")
            sys.exit(REFUSED)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)

    return run


def _for_shells(hint: str) -> str:
    """Return a hint of the Python client with commands instead of Python calls."""
    for pattern, words in _WORDS:
        hint = pattern.sub(words, hint)
    return hint


def complain(message: str, hint: str = "", details: Sequence[tuple[str, str]] = ()) -> None:
    """Print an error to standard error. `details` are fields and their errors."""
    echo(f"Error: {indented(message)}", err=True)
    for field, wrong in details:
        echo(f"  {printable(field)}: {indented(wrong)}", err=True)
    if hint:
        echo(indented(_for_shells(hint)), err=True)


def _code(error: WorkspaceError) -> int:
    if isinstance(error, TimedOut):
        return TIMEOUT
    if isinstance(error, Unreachable):
        return UNREACHABLE
    if isinstance(error, WrongArgument):
        return WRONG_USE
    return {400: WRONG_USE, 404: NOT_FOUND, 413: WRONG_USE, 422: WRONG_USE}.get(
        error.status or 0, REFUSED
    )
