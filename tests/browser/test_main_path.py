"""The main path in a browser: panel, spawn, open, work, pause, resume, files, delete."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from conftest import TOKEN, Lab
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

SLOW = 90_000
Picture = Callable[..., None]


@pytest.fixture
def context(browser: Browser) -> Any:
    made = browser.new_context(viewport={"width": 1280, "height": 900})
    made.set_default_timeout(SLOW)
    yield made
    made.close()


def open_panel(context: BrowserContext, lab: Lab) -> Page:
    """JupyterLab on the notebook with the panel's cell, run."""
    page = context.new_page()
    page.goto(lab.page("lab/tree/panel.ipynb"))
    page.wait_for_function("window.jupyterapp && window.jupyterapp.restored.then(() => true)")
    expect(page.locator(".jp-Notebook .jp-CodeCell").first).to_be_visible(timeout=SLOW)
    expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=SLOW)
    page.locator(".jp-Notebook .jp-CodeCell .cm-content").first.click()
    page.keyboard.press("Shift+Enter")
    expect(page.locator(".jp-ClusterWorkspaces")).to_be_visible(timeout=SLOW)
    return page


def row(page: Page, name: str) -> Locator:
    return page.locator(".jp-ClusterWorkspaces .cw-entry").filter(
        has=page.get_by_role("rowheader", name=name, exact=True)
    )


def spawn(page: Page, name: str) -> None:
    page.locator(".cw-card[data-kind=jupyterlab]").click()
    field = page.get_by_label("Name", exact=True)
    expect(field).to_be_visible(timeout=SLOW)
    field.fill(name)
    field.press("Tab")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(row(page, name)).to_contain_text("Running", timeout=SLOW)


def a_wrong_name_is_told_at_its_field(page: Page) -> None:
    """Check that a field with an invalid name says why and keeps the focus.

    The core widgets are the real ones: Enter submits, and Escape closes.
    """
    page.locator(".cw-card[data-kind=jupyterlab]").click()
    field = page.get_by_label("Name", exact=True)
    expect(field).to_be_visible(timeout=SLOW)
    field.fill("Wrong!")
    field.press("Enter")
    expect(field).to_have_attribute("aria-invalid", "true", timeout=SLOW)
    expect(field).to_have_accessible_description(re.compile("lower-case letters"))
    expect(field).to_be_focused()
    field.press("Escape")
    expect(field).to_be_hidden(timeout=SLOW)


def open_workspace(page: Page, name: str) -> Page:
    with page.context.expect_page() as opened:
        row(page, name).get_by_role("link", name=re.compile("^Open")).click()
    inner = opened.value
    inner.wait_for_load_state()
    expect(inner.locator(".jp-Launcher-body")).to_be_visible(timeout=SLOW)
    return inner


def run_in_new_notebook(inner: Page, code: str, output: str) -> None:
    """A notebook of the workspace's own Lab, with one cell that is run."""
    inner.locator(".jp-LauncherCard[data-category=Notebook]").first.click()
    editor = inner.locator(".jp-Notebook .jp-CodeCell .cm-content").first
    expect(editor).to_be_visible(timeout=SLOW)
    expect(inner.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=SLOW)
    editor.click()
    inner.keyboard.type(code)
    inner.keyboard.press("Shift+Enter")
    expect(inner.locator(".jp-OutputArea-output").first).to_contain_text(output, timeout=SLOW)


def act(page: Page, name: str, action: str) -> None:
    row(page, name).hover()
    row(page, name).get_by_role("button", name=f"{action} {name}").click()


def contents(lab: Lab, name: str, file: str) -> str:
    """A file of the workspace, through the proxy."""
    url = f"{lab.url}workspace/connect/default/{name}/jupyterlab/api/contents/{file}"
    request = urllib.request.Request(url, headers={"Authorization": f"token {TOKEN}"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return str(json.loads(answer.read())["content"])


def delete(page: Page, name: str) -> None:
    row(page, name).get_by_role("button", name=f"More actions of {name}").click()
    page.get_by_role("menuitem", name=re.compile("Delete")).click()
    row(page, name).get_by_role("button", name=re.compile("^Delete")).click()
    expect(row(page, name)).to_have_count(0, timeout=SLOW)


def test_spawn_work_pause_resume_and_the_file_is_there(
    context: BrowserContext, lab: Lab, picture: Picture
) -> None:
    page = open_panel(context, lab)
    expect(page.locator(".cw-card[data-kind=jupyterlab]")).to_be_visible(timeout=SLOW)
    picture(page, "panel-empty-light")

    a_wrong_name_is_told_at_its_field(page)
    spawn(page, "first-try")
    picture(page, "panel-running-light")
    inner = open_workspace(page, "first-try")
    run_in_new_notebook(inner, "open('proof.txt', 'w').write('kept') * 10", "40")
    picture(inner, "workspace-lab")
    inner.close()
    assert contents(lab, "first-try", "proof.txt") == "kept"

    act(page, "first-try", "Pause")
    question = row(page, "first-try").get_by_role("alertdialog", name="Pause first-try?")
    expect(question).to_contain_text("1 kernel is running; its variables are lost.", timeout=SLOW)
    picture(page, "panel-question-light")
    question.get_by_role("button", name="Pause").click()
    expect(row(page, "first-try")).to_contain_text("Paused", timeout=SLOW)
    picture(page, "panel-paused-light")
    act(page, "first-try", "Resume")
    expect(row(page, "first-try")).to_contain_text("Running", timeout=SLOW)
    assert contents(lab, "first-try", "proof.txt") == "kept"

    page.evaluate(
        "window.jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Dark' })"
    )
    page.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
    expect(page.locator("#jupyterlab-splash")).to_have_count(0, timeout=SLOW)
    picture(page, "panel-running-dark")
    delete(page, "first-try")


def test_two_servers_open_one_workspace(
    context: BrowserContext, browser: Browser, lab: Lab, hub_lab: Lab, picture: Picture
) -> None:
    page = open_panel(context, lab)
    spawn(page, "shared-desk")
    first = open_workspace(page, "shared-desk")

    other = browser.new_context(viewport={"width": 1280, "height": 900})
    other.set_default_timeout(SLOW)
    try:
        second_page = open_panel(other, hub_lab)
        expect(row(second_page, "shared-desk")).to_contain_text("Running", timeout=SLOW)
        second = open_workspace(second_page, "shared-desk")
        assert "/user/x%40y/workspace/connect/default/shared-desk/jupyterlab/" in second.url
        run_in_new_notebook(
            second, "open('from-hub.txt', 'w').write('below a base URL') * 10", "160"
        )
        picture(second, "workspace-lab-below-a-base-url")
        run_in_new_notebook(first, "open('from-root.txt', 'w').write('at the root') * 10", "110")
        assert contents(lab, "shared-desk", "from-hub.txt") == "below a base URL"
        assert contents(hub_lab, "shared-desk", "from-root.txt") == "at the root"
    finally:
        other.close()
    delete(page, "shared-desk")


def test_the_launcher_card_opens_the_panel_in_a_notebook(
    context: BrowserContext, lab: Lab, picture: Picture
) -> None:
    page = context.new_page()
    page.goto(lab.page("lab"))
    card = page.locator(".jp-LauncherCard", has_text="Cluster Workspaces")
    expect(card).to_be_visible(timeout=SLOW)
    picture(page, "launcher")

    card.click()

    expect(page.locator(".jp-ClusterWorkspaces")).to_be_visible(timeout=SLOW)


def test_a_paused_workspace_shows_a_page_that_resumes_it(
    context: BrowserContext, lab: Lab, picture: Picture
) -> None:
    page = open_panel(context, lab)
    spawn(page, "sleeper")
    act(page, "sleeper", "Pause")
    expect(row(page, "sleeper")).to_contain_text("Paused", timeout=SLOW)

    stopped = context.new_page()
    stopped.goto(f"{lab.url}workspace/connect/default/sleeper/jupyterlab/lab")
    expect(stopped.get_by_role("button", name="Resume")).to_be_visible(timeout=SLOW)
    picture(stopped, "page-paused")
    stopped.get_by_role("button", name="Resume").click()

    expect(stopped.locator(".jp-Launcher-body")).to_be_visible(timeout=SLOW)
    stopped.close()
    delete(page, "sleeper")
