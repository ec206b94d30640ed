"""Building blocks of rich output in cells: signs, cards and tables as HTML, tables as text.

The HTML is static and escaped, so it also works in a saved notebook without a kernel.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from html import escape

from jupyter_workspaces.common.terminal import printable

from .formatting import StateLabel

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
  const key = ({cells}, column) => cells[column].dataset.key ?? cells[column].textContent.trim();
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const sort = () => {
      const down = heading.getAttribute("aria-sort") === "ascending";
      const text = new Intl.Collator(undefined, {numeric: true}).compare;
      const isNumber = body.rows[0].cells[column].dataset.key !== undefined;
      const compare = isNumber ? (a, b) => a - b : text;
      const rows = [...body.rows].sort((a, b) => compare(key(a, column), key(b, column)));
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


def sign(label: StateLabel) -> str:
    """Return glyph and label of a state as HTML; the colour only repeats them."""
    colour = COLOURS.get(label.sign, MUTED)
    return (
        f'<span style="color:{colour};white-space:nowrap">'
        f'<span aria-hidden="true">{label.glyph}</span> {escape(label.word)}</span>'
    )


def card(heading: str, body: str) -> str:
    """Return a card with a heading and a body, both HTML."""
    return (
        f'<div style="border:1px solid {_LINE};border-radius:4px;padding:8px 12px;'
        f'display:inline-block;min-width:280px">{heading}{body}</div>'
    )


def muted(text: str, tag: str = "span") -> str:
    """Return text as HTML in the colour of less important text."""
    return f'<{tag} style="color:{MUTED}">{escape(text)}</{tag}>'


def link(url: str, html: str = "") -> str:
    """Return a link that opens in a new tab; by default its text is the URL."""
    return f'<a href="{escape(url)}" target="_blank" rel="noopener">{html or escape(url)}</a>'


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as text in aligned columns."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def text_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table with headings as text."""
    return aligned([[heading.upper() for heading in headings], *rows])


def table(
    caption: str, headings: Sequence[str], rows: Sequence[Sequence[tuple[str, float | None]]]
) -> str:
    """Return a table of HTML cells, each with a sort key if it does not sort by its text."""
    ident = f"jw-{secrets.token_hex(6)}"
    head = "".join(
        f'<th scope="col" style="text-align:left">{escape(heading)}</th>' for heading in headings
    )
    body = "".join(f"<tr>{''.join(_cell(cell, key) for cell, key in row)}</tr>" for row in rows)
    html = (
        f'<table id="{ident}" aria-label="{escape(caption)}">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )
    return html + (f"<script>{_SORTING.replace('TABLE', ident)}</script>" if len(rows) > 1 else "")


def _cell(html: str, key: float | None) -> str:
    number = "" if key is None else f' data-key="{key:.0f}"'
    return f'<td style="text-align:left"{number}>{html}</td>'
