"""Open tabs of a deleted or paused workspace: few requests, a notice, and a resume."""

from __future__ import annotations

import json
import re
import signal
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from conftest import TOKEN, Lab
from playwright.sync_api import Browser, Locator, Page, expect
from waiting import until_sync

SLOW = 90_000
SETTLE_SECONDS, COUNT_SECONDS = 20, 20

Picture = Callable[..., None]

pytestmark = pytest.mark.usefixtures("any_cluster")


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(SLOW)
    yield context.new_page()
    context.close()


def ask(lab: Lab, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps({"data": body}).encode()
    headers = {"Authorization": f"token {TOKEN}", "Content-Type": "application/json"}
    request = urllib.request.Request(
        f"{lab.url}workspaces/api/v1/{path}", data, headers, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def state(lab: Lab, name: str) -> str:
    code, _ = ask(lab, "GET", f"workspaces/default/{name}")
    if code != 200:
        return "gone" if code == 404 else str(code)
    listed = ask(lab, "GET", "workspaces/default")[1]["data"]
    return next((item["state"] for item in listed if item["name"] == name), "gone")


@contextmanager
def workspace(lab: Lab, name: str) -> Iterator[None]:
    chosen = {"imageConfig": "jupyterlab_scipy_190", "podConfig": "tiny_cpu"}
    made = {"name": name, "kind": "jupyterlab", "paused": False, "deferUpdates": False}
    made["podTemplate"] = {
        "podMetadata": {"labels": {}, "annotations": {}},
        "volumes": {"data": []},
        "options": chosen,
    }
    until_sync(
        lambda: ask(lab, "POST", "workspaces/default", made)[0] in (201, 409), "it is created"
    )
    try:
        until_sync(lambda: state(lab, name) == "Running", f"{name} runs")
        yield
    finally:
        ask(lab, "DELETE", f"workspaces/default/{name}")


def pause(lab: Lab, name: str, paused: bool) -> None:
    until_sync(
        lambda: (
            ask(lab, "POST", f"workspaces/default/{name}/actions/pause", {"paused": paused})[0]
            == 200
        ),
        f"paused={paused}",
    )


def opened(tab: Page, lab: Lab, name: str) -> str:
    """The workspace's Lab with a notebook open and a kernel; its address."""
    tab.goto(lab.page("lab"))  # signs in
    url = f"{lab.url}workspace/connect/default/{name}/jupyterlab/"
    tab.goto(f"{url}lab?reset")
    expect(tab.locator(".jp-Launcher-body")).to_be_visible(timeout=SLOW)
    tab.locator(".jp-LauncherCard[data-category=Notebook]").first.click()
    expect(tab.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=SLOW)
    return url


def counted(tab: Page, url: str, seconds: float) -> tuple[float, dict[str, int]]:
    """Requests of the tab below an address per second, and how often which."""
    found: dict[str, int] = {}

    def note(kind: str) -> Callable[[Any], None]:
        def one(request: Any) -> None:
            if url.split("//")[1] in request.url:
                key = f"{kind} {re.sub(r'[?].*', '', request.url.split('jupyterlab/', 1)[-1])}"
                found[key] = found.get(key, 0) + 1

        return one

    http, sockets = note("HTTP"), note("WS")
    tab.on("request", http)
    tab.on("websocket", sockets)
    tab.wait_for_timeout(seconds * 1000)
    tab.remove_listener("request", http)
    tab.remove_listener("websocket", sockets)
    return sum(found.values()) / seconds, found


def said(tab: Page) -> str:
    """What the tab's dialogs say."""
    return str(
        tab.evaluate(
            "[...document.querySelectorAll('.jp-Dialog')].map(e => e.innerText).join(' | ')"
        )
    )


def notice(tab: Page, text: str) -> Locator:
    """The bar that the proxy's script shows, with this text in it."""
    bar = tab.locator("[data-jupyter-workspaces=notice]").get_by_role("alert")
    expect(bar).to_contain_text(text, timeout=SLOW)
    return bar


def pictures(tab: Page, name: str, picture: Picture) -> None:
    """Light, dark and narrow."""
    picture(tab, f"{name}-light")
    for theme, width, suffix in (("false", 1280, "dark"), ("true", 400, "narrow")):
        tab.set_viewport_size({"width": width, "height": 900})
        tab.evaluate(
            "dark => document.querySelector('[data-jupyter-workspaces=notice]')"
            ".shadowRoot.querySelector('.bar').classList.toggle('dark', dark)",
            theme == "false",
        )
        picture(tab, f"{name}-{suffix}")
    tab.set_viewport_size({"width": 1280, "height": 900})


def log_bytes(lab: Lab) -> int:
    return lab.log.stat().st_size


def test_a_tab_on_a_deleted_workspace_says_so_and_asks_less_than_once_in_a_second(
    tab: Page, lab: Lab, picture: Picture
) -> None:
    name = "tab-deleted"
    with workspace(lab, name):
        url = opened(tab, lab, name)
        ask(lab, "DELETE", f"workspaces/default/{name}")
        until_sync(lambda: state(lab, name) == "gone", "it is gone")
        bar = notice(tab, f"Workspace '{name}' was deleted.")
        picture(tab, "tab-deleted")
        with (
            tab.context.expect_page() as back
        ):  # also while a dialog of the Lab is open; this tab stays
            bar.get_by_role("link", name="Back to workspaces").click()
        assert back.value.url.startswith(lab.url)
        back.value.close()
        tab.wait_for_timeout(SETTLE_SECONDS * 1000)
        before = log_bytes(lab)

        rate, which = counted(tab, url, COUNT_SECONDS)

        assert rate < 1, which
        assert said(tab)  # the Lab's own words: the kernel died, or there is no connection
        assert log_bytes(lab) - before < 20_000
        problem = tab.evaluate("async url => await (await fetch(url)).json()", f"{url}api/contents")
        assert problem == {
            "message": (
                f"{name}: Workspace '{name}' not found in namespace 'default'. "
                "It may have been deleted."
            ),
            "reason": "Gone",
        }


def test_a_tab_on_a_paused_workspace_says_so_asks_rarely_and_works_again_after_a_resume(
    tab: Page, lab: Lab, picture: Picture
) -> None:
    name = "tab-paused"
    with workspace(lab, name):
        url = opened(tab, lab, name)
        pause(lab, name, True)
        until_sync(lambda: state(lab, name) == "Paused", "it is paused")
        bar = notice(tab, f"Workspace '{name}' was paused. Its files are kept.")
        assert bar.get_by_role("link", name="Resume").get_attribute("href") == url
        pictures(tab, "tab-paused", picture)
        tab.wait_for_timeout(SETTLE_SECONDS * 1000)

        rate, which = counted(tab, url, COUNT_SECONDS)

        assert rate < 1, which
        assert "Server Connection Error" in said(tab)
        pause(lab, name, False)
        until_sync(lambda: state(lab, name) == "Running", "it runs again")
        close = tab.locator(".jp-Dialog button", has_text="Close")
        for _ in range(close.count()):
            close.first.click()
        until_sync(lambda: "Connection Error" not in said(tab), "the tab has found it")
        notice(tab, f"Workspace '{name}' is running again.")
        picture(tab, "tab-running")
        again = tab.locator("[data-jupyter-workspaces=notice]")
        again.get_by_role("button", name="Reload").focus()
        tab.keyboard.press("Tab")
        expect(again.get_by_role("button", name="Close")).to_be_focused()
        tab.keyboard.press("Escape")
        expect(tab.locator("[data-jupyter-workspaces=notice]")).to_have_count(0)
        cell = tab.locator(".jp-Notebook .jp-CodeCell .cm-content").first
        read = (
            "async url => { const r = await fetch(url, {cache: 'no-store'}); "
            "return r.ok ? await r.text() : r.status }"
        )

        def saved() -> bool:
            tab.wait_for_timeout(1000)
            return "written after" in str(tab.evaluate(read, f"{url}api/contents/Untitled.ipynb"))

        def write() -> bool:
            for button in tab.locator(
                ".jp-Dialog button.jp-mod-accept"
            ).all():  # of the time when it was paused
                button.click()
            cell.click()
            tab.keyboard.type("'written after the resume'")
            tab.keyboard.press("Control+s")
            return saved()

        until_sync(write, "the notebook is saved")


def test_a_tab_says_that_the_jupyter_server_does_not_answer(
    tab: Page, start_lab: Callable[..., Lab], lab: Lab, picture: Picture
) -> None:
    name = "tab-server"
    stopped = start_lab("/")
    with workspace(lab, name):
        url = opened(tab, stopped, name)
        stopped.process.send_signal(signal.SIGTERM)
        stopped.process.wait(20)
        notice(tab, f"The Jupyter server that opens workspace '{name}' does not answer.")
        picture(tab, "tab-server")
        rate, which = counted(tab, url, COUNT_SECONDS)
        assert rate < 1, which


CLIENT = """
async ([url, seconds]) => {
  // Reconnect like a page that does not pause: open a new WebSocket and send a new request as soon
  // as the last one failed.
  let asked = 0;
  const end = Date.now() + seconds * 1000;
  const socket = async () => {
    while (Date.now() < end) {
      asked += 1;
      await new Promise(done => {
        const s = new WebSocket(url.replace('http', 'ws') + 'socket');
        s.onclose = done;
      });
    }
  };
  const poll = async () => {
    while (Date.now() < end) {
      asked += 1;
      await fetch(url + 'events/get_events', {method: 'POST'});
    }
  };
  await Promise.all([socket(), poll(), poll()]);
  return asked / seconds;
}
"""


def test_a_page_that_reconnects_at_once_is_slowed_down(tab: Page, lab: Lab) -> None:
    tab.goto(lab.page("lab"))
    url = f"{lab.url}workspace/connect/default/never-there/rstudio/"
    tab.evaluate(CLIENT, [url, SETTLE_SECONDS])
    before = log_bytes(lab)

    assert tab.evaluate(CLIENT, [url, COUNT_SECONDS]) < 1
    assert log_bytes(lab) - before < 20_000
