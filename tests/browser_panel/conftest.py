"""A page with JupyterLab's variables, the panel's JavaScript and CSS, and no kernel."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from jupyter_workspaces.panel.kind_cards import KindCards
from jupyter_workspaces.panel.table import Table

NOW = 1_790_000_000_000

THEMES = Path(sys.prefix) / "share" / "jupyter" / "lab" / "themes" / "@jupyterlab"

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>panel</title>
<style>%(theme)s</style>
<style>body { margin: 16px; background: var(--jp-layout-color0, Canvas); }</style>
<style>%(style)s</style>
<body><main><div class="jp-OutputArea-child"><div id="here"></div></div>
<div class="jp-OutputArea-child" id="plain"><div>
<div class="jp-ClusterWorkspaces-plain-test">a plain table</div></div></div>
<button id="after">after</button></main>
<script type="module">
const handlers = {};
window.sent = [];
window.model = {
  state: %(state)s,
  get: name => window.model.state[name],
  set: (name, value) => {
    window.model.state[name] = value;
    (handlers['change:' + name] ?? []).forEach(run => run());
  },
  save_changes: () => window.sent.push({ saved: { ...window.model.state } }),
  send: message => window.sent.push(message),
  on: (name, run) => (handlers[name] ??= []).push(run),
  off: (name, run) => { handlers[name] = (handlers[name] ?? []).filter(known => known !== run); }
};
window.deliver = message => (handlers['msg:custom'] ?? []).forEach(run => run(message));
window.lose = () => (handlers['comm_live_update'] ?? []).forEach(run => run());
const blob = new Blob([%(module)s], { type: 'text/javascript' });
const module = await import(URL.createObjectURL(blob));
const began = performance.now();
const el = document.getElementById('here');
window.cleanup = module.default.render({ model: window.model, el });
window.mounted = performance.now() - began;
</script></body></html>"""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = os.environ.get("JUPYTER_WORKSPACES_CHROMIUM") or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None
    )
    if found is None:
        pytest.skip(
            "there is no Chromium: install Debian's package chromium, "
            "or set JUPYTER_WORKSPACES_CHROMIUM"
        )
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found)
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": 1000, "height": 800}, reduced_motion="no-preference"
    )
    opened = context.new_page()
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    yield opened
    context.close()
    assert faults == []


@pytest.fixture
def show(page: Page) -> Callable[..., Page]:
    """Show the table with the given first rows."""

    def show(rows: list[dict[str, Any]], theme: str = "light", **first: Any) -> Page:
        live = {"state": "live", "since": NOW, "message": "", "hint": ""}
        state = {
            "fallback": "jp-ClusterWorkspaces-plain-test",
            "first": {
                "rows": rows,
                "now": NOW,
                "cluster": "local cluster",
                "namespaces": ["default", "team-risk"],
                "namespace": "default",
                "base": {"page": True, "url": "http://127.0.0.1:8888/user/anna/"},
                "live": live,
                **first,
            },
        }
        _load(page, Table._esm, state, theme)
        return page

    return show


@pytest.fixture
def show_form(page: Page) -> Callable[..., Page]:
    """Show the cards with a form below them, as ipywidgets draws it."""

    def show(kinds: list[dict[str, Any]], theme: str = "light") -> Page:
        _load(page, KindCards._esm, {"kinds": kinds, "chosen": ""}, theme)
        page.evaluate(FORM)
        return page

    return show


FORM = """() => {
  const type = control => control.startsWith('<select') ? 'widget-dropdown' : 'widget-text';
  const widget = 'lm-Widget jupyter-widgets';
  const field = (place, control) => `<div class="${widget} widget-vbox cw-field cw-at-${place}">
    <div class="${widget} widget-inline-hbox ${type(control)}">
      <label class="widget-label" for="at-${place}">${place}</label>
      ${control.replace('>', ` id="at-${place}">`)}</div>
    <div class="${widget} widget-html"><div class="widget-html-content"></div></div></div>`;
  const panel = document.createElement('div');
  panel.className = 'jp-ClusterWorkspacesPanel';
  const here = document.getElementById('here');
  here.replaceWith(panel);
  panel.append(here);
  const form = document.createElement('div');
  form.className = 'lm-Widget jupyter-widgets widget-vbox jp-ClusterWorkspacesForm';
  form.innerHTML = `<div class="cw-formFields">${field('name', '<input type="text">')}
    ${field('image', '<select><option>SciPy 1.9</select>')}
    ${field('home-name', '<input type="text">')}</div>
    <div class="cw-formFoot"><button class="jupyter-button mod-primary">Create</button>
    <button class="jupyter-button">Add volume</button></div>`;
  // Core widgets stop the propagation of keys.
  form.querySelectorAll('.widget-text').forEach(
    text => text.addEventListener('keydown', event => event.stopPropagation()));
  panel.append(form);
}"""


@pytest.fixture
def show_kinds(page: Page) -> Callable[..., Page]:
    """Show the cards."""

    def show(kinds: list[dict[str, Any]], theme: str = "light") -> Page:
        _load(page, KindCards._esm, {"kinds": kinds, "chosen": ""}, theme)
        return page

    return show


def _load(page: Page, module: Any, state: dict[str, Any], theme: str) -> None:
    sheet = THEMES / f"theme-{theme}-extension" / "index.css"
    style = "".join(
        (files("jupyter_workspaces.panel") / name).read_text(encoding="utf-8")
        for name in ("table.css", "details.css", "kinds.css")
    )
    variables = sheet.read_text(encoding="utf-8") if sheet.exists() else ""
    html = PAGE % {
        "theme": variables,
        "style": style,
        "state": _script(state),
        "module": _script(str(module)),
    }
    page.set_content(html)
    page.wait_for_function("window.mounted !== undefined")


def _script(value: Any) -> str:
    return json.dumps(value).replace("<", "\\u003c")


@pytest.fixture
def row() -> Callable[..., dict[str, Any]]:
    """A row as the kernel would send it."""

    def make(name: str, state: str = "Running", **other: Any) -> dict[str, Any]:
        from jupyter_workspaces.panel.rows import row as drawn

        item = {
            "name": name,
            "namespace": other.pop("namespace", "default"),
            "workspaceKind": {
                "name": "jupyterlab",
                "missing": False,
                "icon": {"url": ""},
                "logo": {"url": ""},
            },
            "paused": state == "Paused",
            "pausedTime": NOW - 7_200_000 if state == "Paused" else 0,
            "lastRunningTime": NOW - 500_000,
            "state": state,
            "stateMessage": other.pop("message", ""),
            "podTemplate": {
                "options": {
                    "imageConfig": {
                        "current": {
                            "id": "scipy",
                            "displayName": "SciPy 1.9",
                            "description": "",
                            "labels": [],
                        }
                    },
                    "podConfig": {
                        "current": {
                            "id": "small",
                            "displayName": "Small",
                            "description": "",
                            "labels": [
                                {"key": "cpu", "value": "2"},
                                {"key": "memory", "value": "4Gi"},
                            ],
                        }
                    },
                }
            },
            "activity": {"lastActivity": NOW - 900_000, "lastUpdate": NOW},
            "services": other.pop(
                "services",
                [
                    {
                        "httpService": {
                            "displayName": "JupyterLab",
                            "httpPath": f"/workspace/connect/default/{name}/jupyterlab/",
                        }
                    }
                ],
            ),
            "audit": {"createdAt": other.pop("created", "2026-09-20T12:00:00Z"), "deletedAt": None},
        }
        return drawn(item, {"jupyterlab": "JupyterLab"}, **other)

    return make
