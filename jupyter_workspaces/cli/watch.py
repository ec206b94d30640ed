"""`jupyter workspaces list --watch`: what there is, then a line for each change."""

from __future__ import annotations

import json

import click

from jupyter_workspaces.client import Client, Workspace, portal
from jupyter_workspaces.client.display import workspaces_rows
from jupyter_workspaces.common.terminal import printable, to_json

from .output import FORMATS, coloured, echo

WIDTHS = (15, 24, 12, 16, 22, 8, 8, 0)
"""Columns of a table that grows cannot be fitted to what is not there yet."""


def watch(client: Client, namespace: str | None, output: str) -> None:
    """Until Ctrl-C. Raises `WorkspaceError`, `click.UsageError`."""
    if output not in ("table", "json", "name"):
        raise click.UsageError(
            f"--watch writes {', '.join(form for form in FORMATS if form != 'yaml')}."
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
            # What only repeats itself (a snapshot after a lost connection, a probe's time) is no news.
            if change == "DELETED":
                shown.pop(key, None)
            elif shown.get(key) == (told := _told(one)):
                continue
            else:
                shown[key] = told
            echo(text)


def _told(one: Workspace) -> str:
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
