"""What a workspace's page can do to the Jupyter server (docs/workspaces-url.md)."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import TOKEN, Lab
from playwright.sync_api import Browser, BrowserContext, Page, expect
from test_main_path import SLOW, run_in_new_notebook

Picture = Callable[..., None]
NAME = "hostile-desk"

# Everything that a page tries on the server whose address it knows; each answer is a word or an
# error's name.
ATTACK = """
async server => {
  const tried = {};
  const attempt = async (name, what) => {
    try { tried[name] = await what(); } catch (error) { tried[name] = error.name; }
  };
  const xsrf =
    Object.fromEntries(document.cookie.split('; ').map(pair => pair.split('=')))['_xsrf'] ?? '';
  tried.cookie = xsrf ? 'read' : 'none';
  const send = (path, options) =>
    fetch(server + path, {credentials: 'include', ...options}).then(answer => answer.status);
  await attempt('terminal', () =>
    send('api/terminals', {method: 'POST', headers: {'X-XSRFToken': xsrf}}));
  await attempt('form', () => send('api/terminals', {
    method: 'POST', body: new URLSearchParams({_xsrf: xsrf}), mode: 'no-cors'
  }));
  await attempt('files', () => send('api/contents', {}));
  await attempt('workspaces', () => send('workspaces/api/v1/workspaces', {}));
  await attempt('page', () =>
    fetch(server + 'lab', {credentials: 'include'})
      .then(answer => answer.text())
      .then(() => 'read'));
  await attempt('frame', () => new Promise(resolve => {
    const frame = document.createElement('iframe');
    frame.src = server + 'api';
    frame.onload = () => {
      try { resolve(frame.contentDocument.body ? 'read' : 'none'); }
      catch (error) { resolve(error.name); }
    };
    document.body.append(frame);
  }));
  await attempt('worker', () =>
    navigator.serviceWorker.register('files/worker.js', {scope: '/'}).then(() => 'registered'));
  return tried;
}
"""


def api(lab: Lab, method: str, path: str, body: Any = None) -> Any:
    request = urllib.request.Request(
        f"{lab.url}{path}",
        None if body is None else json.dumps(body).encode(),
        {"Authorization": f"token {TOKEN}", "Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        raw = answer.read()
        return json.loads(raw) if raw else None


def workspaces(lab: Lab) -> dict[str, str]:
    return {
        item["name"]: item["state"]
        for item in api(lab, "GET", "workspaces/api/v1/workspaces/default")["data"]
    }


def wait_for(page: Page, condition: Callable[[], bool]) -> None:
    for _ in range(SLOW // 250):
        if condition():
            return
        page.wait_for_timeout(250)
    raise AssertionError("not in time")


@pytest.fixture(scope="module")
def desk(lab: Lab, browser: Browser) -> Iterator[str]:
    """A workspace that runs; its path below a server."""
    claim = {
        "name": "hostile-home",
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "standard",
        "requests": {"storage": "1Gi"},
    }
    page = browser.new_page()
    wait_for(page, lambda: bool(api(lab, "GET", "workspaces/api/v1/workspacekinds")["data"]))
    api(lab, "POST", "workspaces/api/v1/persistentvolumeclaims/default", {"data": claim})
    options = {"imageConfig": "jupyterlab_scipy_190", "podConfig": "tiny_cpu"}
    template = {
        "podMetadata": {"labels": {}, "annotations": {}},
        "volumes": {"home": "hostile-home", "data": []},
        "options": options,
    }
    made = {
        "name": NAME,
        "kind": "jupyterlab",
        "paused": False,
        "deferUpdates": False,
        "podTemplate": template,
    }
    api(lab, "POST", "workspaces/api/v1/workspaces/default", {"data": made})
    wait_for(page, lambda: workspaces(lab)[NAME] == "Running")
    page.close()
    yield f"workspace/connect/default/{NAME}/jupyterlab/"
    api(lab, "DELETE", f"workspaces/api/v1/workspaces/default/{NAME}")


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1280, "height": 900})
    made.set_default_timeout(SLOW)
    yield made
    made.close()


def sign_in(context: BrowserContext, lab: Lab) -> Page:
    page = context.new_page()
    page.goto(lab.page("lab"))
    page.wait_for_function("window.jupyterapp && window.jupyterapp.restored.then(() => true)")
    return page


def open_desk(context: BrowserContext, lab: Lab, path: str) -> Page:
    page = context.new_page()
    page.goto(f"{lab.url}{path}lab")
    expect(page.locator(".jp-Launcher-body")).to_be_visible(timeout=SLOW)
    return page


def attack(page: Page, lab: Lab, path: str) -> dict[str, Any]:
    script = {
        "type": "file",
        "format": "text",
        "content": "self.addEventListener('fetch', () => {});",
    }
    api(lab, "PUT", f"{path}api/contents/worker.js", script)
    page.evaluate(f"history.replaceState(null, '', '/{path}lab')")
    found: dict[str, Any] = page.evaluate(ATTACK, lab.url)
    return found


def test_without_an_origin_of_its_own_a_workspace_acts_as_the_user(
    context: BrowserContext, lab: Lab, desk: str
) -> None:
    """What docs and panel say plainly. When this fails, they say too much."""
    sign_in(context, lab)
    done = attack(open_desk(context, lab, desk), lab, desk)
    reached = {
        name: done[name] for name in ("cookie", "terminal", "files", "workspaces", "page", "frame")
    }
    assert reached == {
        "cookie": "read",
        "terminal": 200,
        "files": 200,
        "workspaces": 200,
        "page": "read",
        "frame": "read",
    }


def test_at_its_own_origin_a_workspace_reaches_nothing_of_the_server(
    context: BrowserContext, apart_lab: Lab, desk: str, picture: Picture
) -> None:
    sign_in(context, apart_lab)
    before = api(apart_lab, "GET", "api/terminals")
    page = open_desk(context, apart_lab, desk)
    assert ".localhost:" in page.url
    assert page.url.split("//")[1].startswith(f"{NAME}-")
    picture(page, "workspace-at-its-own-origin")

    done = attack(page, apart_lab, desk)

    assert done.pop("form") == 0  # opaque, whatever it was
    assert done.pop("frame") == "TypeError"
    assert done == {
        "cookie": "none",
        "terminal": "TypeError",
        "files": "TypeError",
        "workspaces": "TypeError",
        "page": "TypeError",
        "worker": "SecurityError",
    }
    assert api(apart_lab, "GET", "api/terminals") == before
    names = {cookie["name"] for cookie in context.cookies(page.url)}
    assert not [name for name in names if name.startswith("username-") or name == "_xsrf"]


def test_work_pause_and_resume_at_the_workspaces_own_origin(
    context: BrowserContext, apart_lab: Lab, desk: str, picture: Picture
) -> None:
    sign_in(context, apart_lab)
    inner = open_desk(context, apart_lab, desk)
    run_in_new_notebook(inner, "6 * 7 * 10", "420")
    address = inner.url

    api(
        apart_lab,
        "POST",
        f"workspaces/api/v1/workspaces/default/{NAME}/actions/pause",
        {"data": {"paused": True}},
    )
    wait_for(inner, lambda: workspaces(apart_lab)[NAME] == "Paused")
    bar = inner.locator("[data-jupyter-workspaces=notice]").get_by_role("alert")
    expect(bar).to_contain_text(f"Workspace '{NAME}' was paused.", timeout=SLOW)
    inner.goto(address)
    expect(inner.get_by_role("button", name="Resume")).to_be_visible(timeout=SLOW)
    assert inner.url.startswith(apart_lab.url)
    picture(inner, "page-paused-from-its-own-origin")
    inner.get_by_role("button", name="Resume").click()

    expect(inner.locator(".jp-LabShell")).to_be_visible(timeout=SLOW)
    assert ".localhost:" in inner.url
