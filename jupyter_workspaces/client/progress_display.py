"""Shows the progress of a wait: in a notebook a live list of steps, elsewhere lines on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from jupyter_workspaces.common.terminal import printable

from . import formatting
from .display import COLOURS, MUTED, sign

Object = Mapping[str, Any]

_GLYPHS = {"done": "✓", "current": "◐", "waiting": "○", "failed": "▲"}
SLOW_STOP_SECONDS, SLOW_LINE_SECONDS = 4.0, 10.0
"""Seconds after which a slow stop is reported, and between reports on a terminal."""

# States in which the steps of the start are shown.
_STARTING = ("", "Pending", "Error", "Unknown")


class ProgressDisplay:
    """Display of one wait. Redraws only changes, so `show` may be called often."""

    def __init__(self, name: str, quiet: bool = False) -> None:
        """Create the display for workspace `name`; with `quiet` it shows nothing."""
        self._name, self._quiet = name, quiet
        self._began = time.monotonic()
        self._handle: Any = None
        self._shown = ""
        self._printed: set[str] = set()
        self._next_line = 0.0
        self._steps: Sequence[Object] = ()
        self._notebook = in_notebook()

    def show(self, said: formatting.StateLabel, progress: Object) -> None:
        """Show the steps of a start, or how long programs have been stopping."""
        if self._quiet:
            return
        slow = _slow_stop(progress.get("stopping"))
        if progress["state"] in _STARTING:
            self._steps = progress["steps"]
        if self._notebook:
            head = f"{self._head(said)} <span style='color:{MUTED}'>{int(self._seconds)} s</span>"
            note = (
                f"<div>{escape(slow)} <code>ws.stop_now()</code> stops them at once.</div>"
                if slow
                else ""
            )
            self._draw(
                f'<div role="status">{head}{note or _list(self._steps)}</div>',
                f"{said.word}  {self._name}",
            )
            return
        if slow and self._seconds >= self._next_line:
            self._next_line = self._seconds + SLOW_LINE_SECONDS
            self._print(
                f"  {said.glyph} {said.word}: {slow} --now (or ws.stop_now()) stops them at once."
            )
        for step in self._steps:
            if step["state"] == "done" and step["id"] not in self._printed:
                self._printed.add(step["id"])
                self._print(f"  {_GLYPHS['done']} {step['name']}{_took(step)}")
            elif (
                step["state"] in ("current", "failed")
                and step["message"]
                and step["message"] not in self._printed
            ):
                self._printed.add(step["message"])
                self._print(f"  {_GLYPHS[step['state']]} {step['name']}: {step['message']}")

    def finish(self, said: formatting.StateLabel, state: str, message: str = "") -> None:
        """Show the result; in a notebook the steps are folded below it."""
        if self._quiet:
            return
        text = f"{said.glyph} {said.word}  {self._name}  after {self._seconds:.1f} s"
        if not self._notebook:
            self._print(text)
            return
        note = (
            f"<div>{escape(message)}</div>"
            if message and state not in ("Running", "Paused")
            else ""
        )
        head = f"{self._head(said)} <span style='color:{MUTED}'>after {self._seconds:.1f} s</span>"
        if self._steps and state in ("Running", "Error", "Pending"):
            self._draw(
                f"<details><summary>{head}</summary>{_list(self._steps)}</details>{note}", text
            )
        else:
            self._draw(f"<div>{head}{note}</div>", text)

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _head(self, said: formatting.StateLabel) -> str:
        return f"{sign(said)} &nbsp;<b>{escape(self._name)}</b>"

    def _print(self, line: str) -> None:
        print(printable(line), file=sys.stderr, flush=True)  # results go to standard output

    def _draw(self, html: str, text: str) -> None:
        if html == self._shown:
            return
        self._shown = html
        from IPython.display import display

        bundle = {"text/html": html, "text/plain": printable(text)}
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)


def _slow_stop(stopping: Object | None) -> str:
    """Return a sentence on a slow stop; empty if it is not slow."""
    if stopping is None or (waited := time.time() - stopping["since"] / 1000) < SLOW_STOP_SECONDS:
        return ""
    grace = stopping["graceSeconds"]
    if waited > grace + SLOW_STOP_SECONDS:
        return (
            f"the grace period of its programs ended {int(waited - grace)} s ago, "
            "but the node has not confirmed that they stopped."
        )
    return f"its programs have been stopping for {int(waited)} s of at most {grace} s."


def in_notebook() -> bool:
    """Return whether this process is a kernel, which can show rich output."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


def _took(step: Object) -> str:
    return f" {step['seconds']:.1f} s" if step.get("seconds") else ""


def _list(steps: Sequence[Object]) -> str:
    lines = []
    for step in steps:
        colour = {
            "done": COLOURS["running"],
            "current": COLOURS["starting"],
            "failed": COLOURS["error"],
        }.get(step["state"], MUTED)
        note = step["message"] if step["state"] in ("current", "failed") else _took(step).strip()
        lines.append(
            '<li style="list-style:none">'
            f'<span aria-hidden="true" style="color:{colour}">'
            f"{_GLYPHS.get(step['state'], '○')}</span> "
            f'{escape(step["name"])} <span style="color:{MUTED}">{escape(note)}</span></li>'
        )
    return f'<ul style="margin:4px 0 0;padding:0">{"".join(lines)}</ul>' if lines else ""
