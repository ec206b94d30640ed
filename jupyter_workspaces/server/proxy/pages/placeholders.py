"""Placeholder pages for workspaces that cannot be opened now.

A page shows the workspace's state, the steps of its start, and at most one action. It reloads by
itself when the state changes. It loads nothing: its style and script (`placeholder.css`,
`placeholder.js`) are in the page, permitted by a nonce (CSP 3).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files

from jupyter_workspaces.server.proxy.target import WorkspacePort
from jupyter_workspaces.server.proxy.unavailable import Unavailable


@dataclass(frozen=True)
class Step:
    """One step of a workspace's start.

    Attributes:
        name: What the step does.
        state: `done`, `current`, `waiting` or `failed`.
        seconds: How long the step took, None while it is not done.
    """

    name: str
    state: str
    seconds: float | None = None


@dataclass(frozen=True)
class Appearance:
    """How a page shows a state.

    Attributes:
        sign: Name of the icon beside `word`, because colour alone does not suffice (WCAG 1.4.1).
        word: The state in a word or two.
        title: The page's title, with `{name}` for the workspace.
        colour: Name of the colour.
        action: The action of the page's button, empty for none.
        label: Text of the button.
        retry: Whether there is a button that reloads the page.
        warning: What the action stops.
        explanation: Paragraphs behind *Why?*; a command is in backticks.
    """

    sign: str
    word: str
    title: str
    colour: str
    action: str = ""
    label: str = ""
    retry: bool = False
    warning: str = ""
    explanation: tuple[str, ...] = ()


_WARNING = (
    "Restarting stops its programs. Unsaved changes are lost; the files in its volumes are kept."
)
_SILENT = (
    "The program accepts connections, but no response has begun. It may be computing, waiting for "
    "something else, or stopped by a signal or a debugger.",
    "This page opens {name} as soon as its program responds. Its log may show the reason:",
    "`jupyter workspaces logs {name} -n {namespace}`",
)

APPEARANCES = {
    "starting": Appearance("half", "Starting", "{name} is starting", "brand"),
    "stopping": Appearance("hollow", "Stopping", "{name} is stopping", "muted"),
    "cluster": Appearance("half", "Waiting", "{name} is waiting for its cluster", "brand"),
    "silent": Appearance(
        "half",
        "Waiting for an answer",
        "{name} does not answer",
        "brand",
        "restart",
        "Restart",
        retry=True,
        warning=_WARNING,
        explanation=_SILENT,
    ),
    "token": Appearance(
        "triangle",
        "Needs attention",
        "{name} cannot be opened",
        "error",
        "restart",
        "Restart",
        warning=_WARNING,
    ),
    "secret": Appearance("triangle", "Needs attention", "{name} cannot be opened", "error"),
    "paused": Appearance("pause", "Paused", "{name} is paused", "muted", "resume", "Resume"),
    "failed": Appearance(
        "triangle", "Needs attention", "{name} needs attention", "error", "restart", "Restart"
    ),
    "gone": Appearance("hollow", "Not found", "{name} not found", "muted"),
    "port": Appearance("hollow", "No such port", "{name} has no such port", "muted"),
    "unreachable": Appearance(
        "triangle", "Unreachable", "{name} cannot be reached from here", "error"
    ),
    "refused": Appearance("triangle", "Not allowed", "You may not open {name}", "error"),
    "signed_out": Appearance("hollow", "Not signed in", "You are not signed in to {name}", "muted"),
    "error": Appearance("triangle", "Error", "{name} did not answer", "error"),
}

_SIGNS = {
    "half": '<circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" stroke-width="2"/>'
    '<path d="M8 2a6 6 0 0 1 0 12z" fill="currentColor"/>',
    "hollow": '<circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" stroke-width="2"/>',
    "pause": '<path d="M4 3h3v10H4zM9 3h3v10H9z" fill="currentColor"/>',
    "triangle": '<path d="M8 1.500 15.200 14H.8z" fill="none" stroke="currentColor"'
    ' stroke-width="1.600" stroke-linejoin="round"/>'
    '<path d="M7.200 5.500h1.600v4.500H7.200zM7.200 11h1.600v1.600H7.200z" fill="currentColor"/>',
}
_MARKS = {
    "done": ("✓", "done"),
    "current": ("◐", "now"),
    "failed": ("▲", "failed"),
    "waiting": ("○", "to come"),
}
# States that may change without the user, so that the page polls.
_POLLED = frozenset(("cluster", "starting", "stopping", "paused", "failed", "silent"))
# States that end when the program responds to a request; others end when it accepts connections.
_PROBED = frozenset(("silent",))


def page(
    why: Unavailable,
    workspace_port: WorkspacePort,
    steps: Sequence[Step],
    status_url: str,
    link: tuple[str, str] | None = None,
) -> tuple[str, str]:
    """Return a page and its Content-Security-Policy.

    Args:
        why: The state to show, a key of `APPEARANCES`, and its message.
        workspace_port: The requested port.
        steps: The steps of the workspace's start.
        status_url: URL of the state (GET) and of the action (POST), see `handlers.status`.
        link: URL and text of a link that replaces the action. The page then does not poll.
    """
    look = APPEARANCES[why.state]
    namespace, name = workspace_port.namespace, workspace_port.name
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
    )
    if why.state in _PROBED:
        status_url += "?probe=1"
    title, status_url = escape(look.title.format(name=name)), escape(status_url)
    polls = why.state in _POLLED and link is None
    refresh = script = ""
    if polls:
        seconds = 15 if look.action else 3
        refresh = f'<noscript><meta http-equiv="refresh" content="{seconds}"></noscript>'
        script = (
            f'<script nonce="{nonce}" data-status="{status_url}" data-state="{why.state}">'
            f"\n{_asset('placeholder.js')}</script>"
        )
    shown_steps = "".join(map(_step, steps))
    text = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
{refresh}
<style nonce="{nonce}">
{_asset("placeholder.css")}</style>
</head>
<body>
<main>
<p class="state {look.colour}">{_icon(look.sign)} {look.word}</p>
<h1>{title}</h1>
<p id="message" role="status">{escape(why.message)}</p>
<ol id="steps" aria-label="Steps of its start"{"" if steps else " hidden"}>{shown_steps}</ol>
{_link(*link) if link is not None else _form(look, status_url)}
{f'<p class="note">{escape(look.warning)}</p>' if look.warning else ""}
{_explanation(look, namespace, name)}
<p id="problem" role="alert"></p>
<footer>Cluster Workspaces · {escape(namespace)} / {escape(name)}</footer>
</main>
{script}
</body>
</html>
"""
    return text, policy


@cache
def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _icon(sign: str) -> str:
    attributes = 'viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"'
    return f'<svg class="{sign}" {attributes}>{_SIGNS[sign]}</svg>'


def _link(url: str, text: str) -> str:
    return f'<p><a href="{escape(url)}">{escape(text)}</a></p>'


def _form(look: Appearance, status_url: str) -> str:
    retry = '<a class="button" href="">Try again</a>' if look.retry else ""
    style = ' class="second"' if retry else ""
    button = f'<button{style} name="action" value="{look.action}">{look.label}</button>'
    action = button if look.action else ""
    if not retry and not action:
        return ""
    return f'<form id="act" method="post" action="{status_url}">{retry}{action}</form>'


def _explanation(look: Appearance, namespace: str, name: str) -> str:
    if not look.explanation:
        return ""
    paragraphs = (text.format(name=name, namespace=namespace) for text in look.explanation)
    return f"<details><summary>Why?</summary>{''.join(map(_paragraph, paragraphs))}</details>"


def _paragraph(text: str) -> str:
    """Return a paragraph, or a command for a text in backticks."""
    return f"<pre>{escape(text[1:-1])}</pre>" if text.startswith("`") else f"<p>{escape(text)}</p>"


def _step(step: Step) -> str:
    mark, spoken = _MARKS[step.state]
    current = ' aria-current="step"' if step.state in ("current", "failed") else ""
    return (
        f'<li class="{step.state}"{current}><span class="mark" aria-hidden="true">{mark}</span>'
        f'<span>{escape(step.name)}<span class="spoken"> ({spoken})</span></span>'
        f'<span class="time">{_time(step.seconds)}</span></li>'
    )


def _time(seconds: float | None) -> str:
    return (
        "" if seconds is None else f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.0f} min"
    )
