"""The panel without widgets, as static HTML and text: for saved notebooks, GitHub and terminals."""

from __future__ import annotations

import time
from collections.abc import Sequence
from html import escape
from typing import Any

from jupyter_workspaces.client import formatting
from jupyter_workspaces.client.display import aligned
from jupyter_workspaces.common.terminal import printable

from .rows import Row

SHOWN = 200  # rows, to limit the size of the notebook file

_CELL = "text-align:left;padding:2px 12px 2px 0;vertical-align:top"


def html(rows: Sequence[Row], first: dict[str, Any], mark: str) -> str:
    """Return an HTML table with a timestamp. The live widget hides elements of class `mark`."""
    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(first["now"] / 1000))
    live = first["live"]
    if live["state"] == "failed":
        error = escape(f"{live['message']} {live['hint']}")
        return f'<div class="{escape(mark)}"><p>{error}</p></div>'
    head = "".join(
        f'<th scope="col" style="{_CELL}">{title}</th>'
        for title in ("State", "Name", "Kind", "Image", "Size", "Age")
    )
    body = "".join(f"<tr>{''.join(_cells(row, first['now']))}</tr>" for row in rows[:SHOWN])
    more = f"<p>… and {len(rows) - SHOWN} more.</p>" if len(rows) > SHOWN else ""
    caption = f"Cluster Workspaces in {escape(_where(first))}, as of {at}"
    if not rows:
        return f'<div class="{escape(mark)}"><p>{caption}: none.</p></div>'
    return (
        f'<div class="{escape(mark)}"><table><caption style="text-align:left">{caption}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}</div>"
    )


def text(rows: Sequence[Row], first: dict[str, Any]) -> str:
    """Return the rows as text in aligned columns."""
    live = first["live"]
    if live["state"] == "failed":
        return printable(f"Cluster Workspaces: {live['message']} {live['hint']}".strip())
    title = printable(f"Cluster Workspaces in {_where(first)}: {len(rows) or 'none'}")
    table = aligned(
        [
            [
                _glyph(row),
                row["title"],
                row["kind"],
                row["image"],
                row["size"],
                formatting.age(row["created"], first["now"]),
            ]
            for row in rows[:SHOWN]
        ]
    )
    more = f"… and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    return "\n".join(part for part in (title, table, more) if part)


def _cells(row: Row, now: int) -> list[str]:
    said = [
        _glyph(row) + (f": {row['message']}" if row["message"] else ""),
        row["title"],
        row["kind"],
        row["image"],
        row["size"],
    ]
    cells = [
        f'<td style="{_CELL}">{escape(str(value))}</td>'
        for value in (*said, formatting.age(row["created"], now))
    ]
    cells[1] = cells[1].replace("<td", '<th scope="row"', 1).replace("</td>", "</th>")
    return cells


def _glyph(row: Row) -> str:
    return f"{formatting.state(row['state']).glyph} {row['word']}"


def _where(first: dict[str, Any]) -> str:
    namespace = "all namespaces" if first["namespace"] == "*" else first["namespace"]
    return " · ".join(part for part in (first["cluster"], namespace) if part) or "the cluster"
