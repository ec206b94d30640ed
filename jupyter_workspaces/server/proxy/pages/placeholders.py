"""The small pages that stand in for a workspace that cannot be reached: what happens, the one thing to do, and on by itself when ready.

Nothing outside the page is loaded. Colours are JupyterLab's; light and dark follow the browser.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from jupyter_workspaces.server.proxy.target import Place, Unavailable


@dataclass(frozen=True)
class Step:
    """One of a start. `state` is done, current, waiting or failed; `seconds` as long as it took, None while it lasts."""

    name: str
    state: str
    seconds: float | None = None


@dataclass(frozen=True)
class Look:
    """How a state shows: a sign beside a word (colour never speaks alone), a title, the one action if there is one.

    `loses` says what the action ends, where something runs. `why` is shown when somebody asks for it.
    """

    sign: str
    word: str
    title: str
    colour: str
    action: str = ""
    label: str = ""
    retry: bool = False
    loses: str = ""
    why: tuple[str, ...] = ()


_LOSES = (
    "Restarting ends its programs. What they have not saved is lost; the files in its volumes stay."
)
_SILENT = (
    "The program accepts connections, but no response has begun. A program that computes, that waits for something else, or that was "
    "stopped (by a signal or a debugger) does this.",
    "This page opens {name} as soon as its program answers. Its log may say more:",
    "`jupyter workspaces logs {name} -n {namespace}`",
)

LOOKS = {
    "starting": Look("half", "Starting", "{name} is starting", "brand"),
    "stopping": Look("hollow", "Stopping", "{name} is stopping", "muted"),
    "cluster": Look("half", "Waiting", "{name} waits for its cluster", "brand"),
    "silent": Look(
        "half",
        "Waiting for an answer",
        "{name} does not answer",
        "brand",
        "restart",
        "Restart",
        retry=True,
        loses=_LOSES,
        why=_SILENT,
    ),
    "token": Look(
        "triangle",
        "Needs attention",
        "{name} cannot be opened",
        "error",
        "restart",
        "Restart",
        loses=_LOSES,
    ),
    "secret": Look("triangle", "Needs attention", "{name} cannot be opened", "error"),
    "paused": Look("pause", "Paused", "{name} is paused", "muted", "resume", "Resume"),
    "failed": Look(
        "triangle", "Needs attention", "{name} needs attention", "error", "restart", "Restart"
    ),
    "gone": Look("hollow", "Gone", "{name} is not here", "muted"),
    "port": Look("hollow", "No such page", "{name} has no such page", "muted"),
    "unreachable": Look("triangle", "Out of reach", "{name} cannot be reached from here", "error"),
    "refused": Look("triangle", "Not allowed", "You may not open {name}", "error"),
    "signed_out": Look("hollow", "Not signed in", "You are not signed in to {name}", "muted"),
    "error": Look("triangle", "Broken off", "{name} did not answer", "error"),
}

_SIGNS = {
    "half": '<circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" stroke-width="2"/><path d="M8 2a6 6 0 0 1 0 12z" fill="currentColor"/>',
    "hollow": '<circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" stroke-width="2"/>',
    "pause": '<path d="M4 3h3v10H4zM9 3h3v10H9z" fill="currentColor"/>',
    "triangle": '<path d="M8 1.500 15.200 14H.8z" fill="none" stroke="currentColor" stroke-width="1.600" stroke-linejoin="round"/>'
    '<path d="M7.200 5.500h1.600v4.500H7.200zM7.200 11h1.600v1.600H7.200z" fill="currentColor"/>',
}
_MARKS = {
    "done": ("✓", "done"),
    "current": ("◐", "now"),
    "failed": ("▲", "failed"),
    "waiting": ("○", "to come"),
}
# States in which time alone changes something.
_GOES_ON = frozenset(("cluster", "starting", "stopping", "paused", "failed", "silent"))
# States that end only when the program answers a request; others end when its port takes connections.
_PROBED = frozenset(("silent",))


def page(
    refusal: Unavailable,
    place: Place,
    steps: Sequence[Step],
    status_url: str,
    link: tuple[str, str] | None = None,
) -> tuple[str, str]:
    """The page and its Content-Security-Policy. `status_url` answers `{"state", "message", "steps", "ready"}` and takes the action by POST.

    With `link`, an address and its words, the page leads there and neither acts nor goes on by itself.
    """
    look = LOOKS[refusal.state]
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
    )
    title = escape(look.title.format(name=place.name))
    if refusal.state in _PROBED:
        status_url += "?probe=1"
    retry = '<a class="button" href="">Try again</a>' if look.retry else ""
    act = (
        f'<button{" class=second" if retry else ""} name="action" value="{look.action}">{look.label}</button>'
        if look.action
        else ""
    )
    form = (
        f'<form id="act" method="post" action="{escape(status_url)}">{retry}{act}</form>'
        if retry or act
        else ""
    )
    if link is not None:
        form = f'<p><a href="{escape(link[0])}">{escape(link[1])}</a></p>'
    loses = f'<p class="note">{escape(look.loses)}</p>' if look.loses else ""
    reasons = "".join(
        _reason(text.format(name=place.name, namespace=place.namespace)) for text in look.why
    )
    why = f"<details><summary>Why?</summary>{reasons}</details>" if reasons else ""
    shown = "".join(_step(step) for step in steps)
    live = refusal.state in _GOES_ON and link is None
    script = _SCRIPT.replace("STATE", json.dumps(refusal.state)) if live else ""
    refresh = (
        f'<noscript><meta http-equiv="refresh" content="{15 if look.action else 3}"></noscript>'
        if live
        else ""
    )
    text = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
{refresh}
<style nonce="{nonce}">{_STYLE}</style>
</head>
<body>
<main>
<p class="state {look.colour}"><svg class="{look.sign}" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">{_SIGNS[look.sign]}</svg> {look.word}</p>
<h1>{title}</h1>
<p id="message" role="status">{escape(refusal.message)}</p>
<ol id="steps" aria-label="Steps of its start"{"" if shown else " hidden"}>{shown}</ol>
{form}
{loses}
{why}
<p id="problem" role="alert"></p>
<footer>Cluster Workspaces · {escape(place.namespace)} / {escape(place.name)}</footer>
</main>
{f'<script nonce="{nonce}" data-status="{escape(status_url)}">{script}</script>' if script else ""}
</body>
</html>
"""
    return text, policy


def _reason(text: str) -> str:
    """A paragraph, or a command where it stands in backticks."""
    return f"<pre>{escape(text[1:-1])}</pre>" if text.startswith("`") else f"<p>{escape(text)}</p>"


def _step(step: Step) -> str:
    mark, said = _MARKS[step.state]
    current = ' aria-current="step"' if step.state in ("current", "failed") else ""
    return (
        f'<li class="{step.state}"{current}><span class="mark" aria-hidden="true">{mark}</span>'
        f'<span>{escape(step.name)}<span class="said"> ({said})</span></span><span class="time">{_time(step.seconds)}</span></li>'
    )


def _time(seconds: float | None) -> str:
    return (
        "" if seconds is None else f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.0f} min"
    )


_STYLE = """
:root { --text: rgba(0,0,0,.87); --soft: rgba(0,0,0,.6); --page: #eee; --card: #fff; --line: #bdbdbd;
  --brand: #1976d2; --on: #fff; --error: #c62828; --done: #2e7d32 }
@media (prefers-color-scheme: dark) {
  :root { --text: rgba(255,255,255,.87); --soft: rgba(255,255,255,.6); --page: #111; --card: #212121; --line: #616161;
    --brand: #64b5f6; --on: #0d1b2a; --error: #ef9a9a; --done: #81c784 }
}
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--page); color: var(--text);
  font: 13px/1.5 system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif }
main { width: min(440px, calc(100vw - 32px)); margin: 16px; padding: 24px; background: var(--card); border: 1px solid var(--line); border-radius: 4px }
.state { display: flex; align-items: center; gap: 8px; margin: 0; color: var(--soft) }
.state.brand { color: var(--brand) }
.state.error { color: var(--error) }
h1 { margin: 4px 0 8px; font-size: 20px; font-weight: 500; line-height: 1.3; overflow-wrap: anywhere }
p { margin: 0 0 12px; overflow-wrap: anywhere }
ol { margin: 16px 0; padding: 0; list-style: none }
ol[hidden] { display: none }
li { display: flex; gap: 8px; padding: 2px 0; color: var(--soft) }
li .mark { flex: none; width: 16px; text-align: center }
li .time { margin-left: auto; font-variant-numeric: tabular-nums; font-weight: 400 }
li.done .mark { color: var(--done) }
li.current { color: var(--text); font-weight: 500 }
li.current .mark { color: var(--brand) }
li.failed, li.failed .mark { color: var(--error) }
.said { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
form { display: flex; flex-wrap: wrap; gap: 8px }
button, .button { display: inline-flex; align-items: center; min-height: 32px; padding: 0 16px; border: 1px solid var(--brand); border-radius: 3px;
  background: var(--brand); color: var(--on); font: inherit; font-weight: 500; text-decoration: none; cursor: pointer }
button.second { background: none; color: var(--brand) }
.note { margin: 8px 0 0; color: var(--soft); font-size: 12px }
details { margin: 16px 0 0 }
summary { width: max-content; color: var(--brand); cursor: pointer }
details pre { margin: 8px 0 0; padding: 8px; border: 1px solid var(--line); border-radius: 3px; font-size: 12px; white-space: pre-wrap;
  overflow-wrap: anywhere; user-select: all }
details p { margin: 8px 0 0; color: var(--soft) }
button:focus-visible, .button:focus-visible, summary:focus-visible { outline: 2px solid var(--brand); outline-offset: 2px }
p a { color: var(--brand) }
button[disabled] { opacity: .6; cursor: default }
#problem { margin: 12px 0 0; color: var(--error) }
#problem:empty { display: none }
footer { margin-top: 20px; padding-top: 12px; border-top: 1px solid var(--line); color: var(--soft); font-size: 12px; overflow-wrap: anywhere }
svg.half { animation: pulse 2s ease-in-out infinite }
@keyframes pulse { 50% { opacity: .4 } }
@media (prefers-reduced-motion: reduce) { svg.half { animation: none } }
"""

_SCRIPT = """
const url = document.currentScript.dataset.status;
const byId = id => document.getElementById(id);
const marks = {done: ['✓', 'done'], current: ['◐', 'now'], failed: ['▲', 'failed'], waiting: ['○', 'to come']};
let shown = '';
function show(status) {
  const text = JSON.stringify([status.message, status.steps]);
  if (text === shown) return;
  shown = text;
  if (byId('message').textContent !== status.message) byId('message').textContent = status.message;
  byId('steps').hidden = !status.steps.length;
  byId('steps').replaceChildren(...status.steps.map(step => {
    const item = document.createElement('li');
    item.className = step.state;
    if (step.state === 'current' || step.state === 'failed') item.setAttribute('aria-current', 'step');
    const mark = document.createElement('span');
    mark.className = 'mark';
    mark.setAttribute('aria-hidden', 'true');
    mark.textContent = marks[step.state][0];
    const name = document.createElement('span');
    name.textContent = step.name;
    const said = document.createElement('span');
    said.className = 'said';
    said.textContent = ' (' + marks[step.state][1] + ')';
    name.append(said);
    const time = document.createElement('span');
    time.className = 'time';
    const seconds = step.seconds;
    time.textContent = seconds === null ? '' : seconds < 60 ? seconds.toFixed(1) + ' s' : Math.round(seconds / 60) + ' min';
    item.append(mark, name, time);
    return item;
  }));
}
let wait = 1000;
async function look() {
  try {
    const answer = await fetch(url, {headers: {Accept: 'application/json'}, cache: 'no-store'});
    if (answer.status === 403) { location.reload(); return; }
    const status = await answer.json();
    if (status.ready || status.state !== STATE) { location.reload(); return; }
    show(status);
    byId('problem').textContent = '';
    wait = 1000;
  } catch {
    byId('problem').textContent = 'The server does not answer; trying again.';
    wait = Math.min(wait * 2, 15000);
  }
  setTimeout(look, document.hidden ? Math.max(wait, 5000) : wait);
}
setTimeout(look, wait);
const form = byId('act');
if (form) form.addEventListener('submit', async event => {
  event.preventDefault();
  const button = form.querySelector('button');
  button.disabled = true;
  byId('problem').textContent = '';
  try {
    const body = new URLSearchParams({action: button.value});
    const answer = await fetch(url, {method: 'POST', body, headers: {Accept: 'application/json'}});
    if (!answer.ok) throw new Error((await answer.json()).message);
    location.reload();
  } catch (error) {
    button.disabled = false;
    byId('problem').textContent = error.message || 'That did not work; try again.';
    button.focus();
  }
});
"""
