"""`jupyter workspaces list --watch`: prints all workspaces, then a line per change."""

from __future__ import annotations

import json

import click

from jupyter_workspaces.client import Client, Workspace, portal
from jupyter_workspaces.client.lists import workspaces_rows
from jupyter_workspaces.common.terminal import printable, to_json

from .output import FORMATS, coloured, echo

WIDTHS = (15, 24, 12, 16, 22, 8, 8, 0)
"""Column widths; they are fixed because later rows are unknown."""


def watch(client: Client, namespace: str | None, output: str) -> None:
    """Print changes until Ctrl-C. Raises `WorkspaceError` or `click.UsageError`."""
    if output not in ("table", "json", "name"):
        raise click.UsageError(
            f"--watch supports only {', '.join(form for form in FORMATS if form != 'yaml')}."
        )
    where = None if namespace == "*" else namespace or client.namespace
    shown: dict[tuple[str, str], str] = {}
    if output == "table":
        echo(_line([heading.upper() for heading in workspaces_rows([])[0]]))
    for event in portal.iterate(client.asynchronous.stream(where)):
        if event.event == "snapshot":
            changes = [("ADDED", item) for item in event.data["workspaces"]]
        elif event.event == "workspace":
            changes = [(event.data["type"], event.data["object"])]
        elif event.event == "stale":
            since = event.data.get("since")
            reason = f": {event.data['reason']}" if event.data.get("reason") else "."
            echo(printable(f"Not live since {since}{reason}" if since else "Live again."), err=True)
            continue
        else:
            continue
        for change, item in changes:
            one = Workspace(client.asynchronous, item)
            key, text = (one.namespace, one.name), _text(one, change, output)
            # Skip repetitions: a snapshot after a reconnect, a change of the activity only.
            if change == "DELETED":
                shown.pop(key, None)
            elif shown.get(key) == (content := _content(one)):
                continue
            else:
                shown[key] = content
            echo(text)


def _content(one: Workspace) -> str:
    return json.dumps(
        [one.state, one.state_words.word, one.message, one.image, one.size, one.paused]
    )


def _text(one: Workspace, change: str, output: str) -> str:
    if output == "json":
        return to_json({"type": change, "object": one.to_dict()})
    if output == "name":
        return printable(one.name)
    row = workspaces_rows([one])[1][0]
    if change == "DELETED":
        return _line(["Deleted", *row[1:-1], ""])
    return coloured(_line([one.state_words.word, *row[1:]]))


def _line(cells: list[str]) -> str:
    return " ".join(
        printable(cell).ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)
    ).rstrip()
