"""Waits that show what happens: in a notebook a live list of steps, elsewhere a line for each step."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from html import escape
from typing import Any

from . import words
from .display import COLOURS, sign

Object = Mapping[str, Any]

_MUTED = "var(--jp-ui-font-color2, #616161)"
_GLYPHS = {"done": "✓", "current": "◐", "waiting": "○", "failed": "▲"}


class ProgressDisplay:
    """Shows one wait; `show` may be called as often as one likes, it redraws only what changed."""

    def __init__(self, name: str, quiet: bool = False) -> None:
        self._name, self._quiet = name, quiet
        self._began = time.monotonic()
        self._handle: Any = None
        self._shown = ""
        self._told: set[str] = set()
        self._notebook = in_notebook()

    def show(self, state: str, progress: Object) -> None:
        """The steps as they are now."""
        if self._quiet:
            return
        if self._notebook:
            self._draw(self._html(state, progress))
            return
        for step in progress.get("steps") or ():
            if step["state"] == "done" and step["id"] not in self._told:
                self._told.add(step["id"])
                seconds = f" {step['seconds']:.1f} s" if step.get("seconds") else ""
                print(f"  {_GLYPHS['done']} {step['name']}{seconds}", file=sys.stderr, flush=True)
            elif step["state"] in ("current", "failed") and step["message"] and step["message"] not in self._told:
                self._told.add(step["message"])
                print(f"  {_GLYPHS[step['state']]} {step['name']}: {step['message']}", file=sys.stderr, flush=True)

    def finish(self, state: str, message: str = "") -> None:
        """The one line that stays."""
        if self._quiet:
            return
        seconds = time.monotonic() - self._began
        if self._notebook:
            note = f" – {escape(message)}" if message and state != "Running" else ""
            self._draw(
                f"<div>{sign(state)} &nbsp;<b>{escape(self._name)}</b> <span style='color:{_MUTED}'>after {seconds:.1f} s</span>{note}</div>"
            )
        else:
            said = words.state(state)
            print(f"{said.glyph} {said.word}  {self._name}  after {seconds:.1f} s", file=sys.stderr, flush=True)

    def _html(self, state: str, progress: Object) -> str:
        seconds = int(time.monotonic() - self._began)
        lines = []
        for step in progress.get("steps") or ():
            colour = {"done": COLOURS["running"], "current": COLOURS["starting"], "failed": COLOURS["error"]}.get(step["state"], _MUTED)
            took = f"{step['seconds']:.1f} s" if step.get("seconds") else ""
            reason = escape(step["message"]) if step["state"] in ("current", "failed") else took
            lines.append(
                f'<li style="list-style:none"><span aria-hidden="true" style="color:{colour}">{_GLYPHS[step["state"]]}</span> '
                f'{escape(step["name"])} <span style="color:{_MUTED}">{reason}</span></li>'
            )
        head = f"{sign(state)} &nbsp;<b>{escape(self._name)}</b> <span style='color:{_MUTED}'>{seconds} s</span>"
        return f'<div role="status">{head}<ul style="margin:4px 0 0;padding:0">{"".join(lines)}</ul></div>'

    def _draw(self, html: str) -> None:
        if html == self._shown:
            return
        self._shown = html
        from IPython.display import HTML, display

        if self._handle is None:
            self._handle = display(HTML(html), display_id=True)  # type: ignore[no-untyped-call]
        elif self._handle is not None:
            self._handle.update(HTML(html))


def in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")
