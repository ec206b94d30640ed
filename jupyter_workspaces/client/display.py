"""Rich output of workspaces and kinds in a cell: cards and tables as HTML and as text.

The HTML is static and escaped, so it also works in a saved notebook without a kernel.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from jupyter_workspaces.common.terminal import printable

from . import words

if TYPE_CHECKING:
    from .kinds import Kind, Option
    from .workspace import Workspace

COLOURS = {
    "running": "var(--jp-success-color1, #2e7d32)",
    "starting": "var(--jp-brand-color1, #1976d2)",
    "paused": "var(--jp-ui-font-color2, #616161)",
    "error": "var(--jp-error-color1, #c62828)",
}
MUTED = "var(--jp-ui-font-color2, #616161)"
# Sorts the table by the column whose heading is clicked. Pages without scripts show it unsorted.
_SORTING = """
(() => {
  const table = document.getElementById("TABLE");
  if (!table) return;
  const body = table.tBodies[0];
  const key = (row, column) => row.cells[column].dataset.key ?? row.cells[column].textContent.trim();
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const sort = () => {
      const down = heading.getAttribute("aria-sort") === "ascending";
      const compare = (a, b) => key(a, column).localeCompare(key(b, column), undefined, {numeric: true});
      const number = (a, b) => key(a, column) - key(b, column);
      const rows = [...body.rows].sort(body.rows[0].cells[column].dataset.key === undefined ? compare : number);
      body.append(...(down ? rows.reverse() : rows));
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    };
    heading.tabIndex = 0;
    heading.style.cursor = "pointer";
    heading.title = "Sort";
    heading.addEventListener("click", sort);
    heading.addEventListener("keydown", (event) => event.key === "Enter" && sort());
  });
})();
""".strip()
_LINE = "var(--jp-border-color2, #e0e0e0)"


def sign(said: words.StateWords) -> str:
    """Return glyph and label of a state as HTML; the colour only repeats them."""
    colour = COLOURS.get(said.sign, MUTED)
    return f'<span style="color:{colour};white-space:nowrap"><span aria-hidden="true">{said.glyph}</span> {escape(said.word)}</span>'


def card(workspace: Workspace) -> str:
    """Return a workspace as an HTML card."""
    rows = [("kind", escape(workspace.summary))]
    if workspace.message and workspace.state != "Running":
        rows.append(("status", escape(workspace.message)))
    if workspace.known_home:
        rows.append(("home", escape(workspace.known_home)))
    if workspace.state == "Running" and workspace.url:
        rows.append(
            (
                "open",
                f'<a href="{escape(workspace.url)}" target="_blank" rel="noopener">{escape(workspace.url)}</a>',
            )
        )
    lines = "".join(
        f'<tr style="background:none"><td style="text-align:left;color:{MUTED};padding:0 12px 0 0">{name}</td>'
        f'<td style="text-align:left;padding:0">{text}</td></tr>'
        for name, text in rows
    )
    return (
        f'<div style="border:1px solid {_LINE};border-radius:4px;padding:8px 12px;display:inline-block;min-width:280px">'
        f'<div style="margin-bottom:4px">{sign(workspace.state_words)} &nbsp;<b>{escape(workspace.name)}</b>'
        f' <span style="color:{MUTED}">in {escape(workspace.namespace)}</span></div>'
        f'<table style="border:none;margin:0;border-collapse:collapse">{lines}</table></div>'
    )


def card_text(workspace: Workspace) -> str:
    """Return a workspace as one line of text."""
    said = workspace.state_words
    message = (
        f" – {workspace.message}" if workspace.message and workspace.state != "Running" else ""
    )
    return printable(f"{said.glyph} {said.word}  {workspace.name}  {workspace.summary}{message}")


def kind_card(kind: Kind) -> str:
    """Return a workspace kind as an HTML card."""
    options = [
        (what, ", ".join(_named(one) for one in found if not one.hidden))
        for what, found in (("images", kind.images), ("sizes", kind.sizes))
    ]
    lines = "".join(
        f'<div><span style="color:{MUTED}">{what}</span> {escape(text)}</div>'
        for what, text in options
    )
    return (
        f'<div style="border:1px solid {_LINE};border-radius:4px;padding:8px 12px;display:inline-block;min-width:280px">'
        f'<div><b>{escape(kind.display_name)}</b> <span style="color:{MUTED}">{escape(kind.name)}</span></div>'
        f'<div style="margin-bottom:4px">{escape(kind.description)}</div>{lines}</div>'
    )


def workspaces_rows(workspaces: Sequence[Workspace]) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells, for HTML, text and the command line."""
    now = time.time() * 1000
    headings = ["state", "name", "kind", "image", "size", "age", "last used", "message"]
    rows = []
    for one in workspaces:
        message = one.message if one.state != "Running" else ""
        used = words.age(one.last_activity, now)
        rows.append(
            [
                one.state_words.word,
                one.name,
                one.kind,
                one.image_name,
                one.size_words,
                words.age(one.created, now),
                used,
                message,
            ]
        )
    return headings, rows


def workspaces_table(workspaces: Sequence[Workspace], where: str = "") -> str:
    """Return workspaces as an HTML table."""
    if not workspaces:
        place = f" in {escape(where)}" if where else ""
        return f'<div style="color:{MUTED}">No workspaces yet{place}. <code>jw.spawn("jupyterlab")</code> creates one.</div>'
    headings, rows = workspaces_rows(workspaces)
    body = []
    for one, row in zip(workspaces, rows, strict=True):
        cells = [sign(one.state_words), *(escape(cell) for cell in row[1:])]
        if one.state == "Running" and one.url:
            cells[1] = f'<a href="{escape(one.url)}" target="_blank" rel="noopener">{cells[1]}</a>'
        # Ages sort by their timestamps, newest first.
        keys = {
            headings.index("age"): -one.created,
            headings.index("last used"): -one.last_activity,
        }
        body.append([(cell, keys.get(column)) for column, cell in enumerate(cells)])
    return _table("Workspaces", headings, body)


def kinds_rows(kinds: Sequence[Kind]) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells, for HTML, text and the command line."""
    rows = []
    for kind in kinds:
        images, sizes = (_titles(options) for options in (kind.images, kind.sizes))
        rows.append([kind.name, kind.display_name, images, sizes, kind.description])
    return ["name", "title", "images", "sizes", "description"], rows


def kinds_table(kinds: Sequence[Kind]) -> str:
    """Return workspace kinds as an HTML table."""
    if not kinds:
        text = "No workspace kinds yet. Ask your cluster's administrator for one."
        return f'<div style="color:{MUTED}">{text}</div>'
    headings, rows = kinds_rows(kinds)
    return _table(
        "Workspace kinds", headings, [[(escape(cell), None) for cell in row] for row in rows]
    )


def aligned(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as text, in aligned columns."""
    table = [
        [heading.upper() for heading in headings],
        *([printable(cell) for cell in row] for row in rows),
    ]
    widths = [max(len(row[index]) for row in table) for index in range(len(headings))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )


def _named(option: Option) -> str:
    words_ = " · ".join(part for part in (option.name, option.size) if part)
    return _option(f"{words_} ({option.id})", option.is_default)


def _titles(options: Sequence[Option]) -> str:
    """Return titles that `spawn` accepts, with the id where two options share a title."""
    shown = [one for one in options if not one.hidden]
    count = Counter(one.name.casefold() for one in options)
    named = [
        (one.name if count[one.name.casefold()] == 1 else f"{one.name} ({one.id})", one.is_default)
        for one in shown
    ]
    return ", ".join(_option(*one) for one in named)


def _option(option: str, is_default: bool) -> str:
    return f"{option} (default)" if is_default else option


def _table(
    caption: str, headings: Sequence[str], rows: Sequence[Sequence[tuple[str, float | None]]]
) -> str:
    """Return a table of HTML cells, each with a sort key if it does not sort by its text."""
    ident = f"jw-{secrets.token_hex(6)}"
    head = "".join(
        f'<th scope="col" style="text-align:left">{escape(heading)}</th>' for heading in headings
    )
    body = "".join(f"<tr>{''.join(_cell(html, key) for html, key in row)}</tr>" for row in rows)
    table = f'<table id="{ident}" aria-label="{escape(caption)}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return table + (f"<script>{_SORTING.replace('TABLE', ident)}</script>" if len(rows) > 1 else "")


def _cell(html: str, key: float | None) -> str:
    number = "" if key is None else f' data-key="{key:.0f}"'
    return f'<td style="text-align:left"{number}>{html}</td>'
