"""What a person does with each program, and what must then be seen."""

from __future__ import annotations

from playwright.sync_api import Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

SECONDS = 60
SLOW = SECONDS * 1000
ANSWER = "answer 42"


def press(page: Page) -> None:
    """A button, and the answer of the program to it."""
    page.get_by_role("button", name="Press").click(timeout=SLOW)
    expect(page.get_by_text(ANSWER).first).to_be_visible(timeout=SLOW)


def dash_link(page: Page) -> None:
    """A link that the program sends as data."""
    before = page.url.partition("?")[0]
    page.get_by_role("link", name="Next").click()
    page.wait_for_url(before + "next", timeout=SLOW)


def gradio(page: Page) -> None:
    page.get_by_role("button", name="Press").click(timeout=SLOW)
    expect(page.get_by_label("shown")).to_have_value(ANSWER, timeout=SLOW)


def gradio_file(page: Page) -> None:
    """A file whose address the program sends as data."""
    link = page.locator("a[download]").first
    expect(link).to_be_visible(timeout=SLOW)
    address = link.get_attribute("href") or ""
    text = page.evaluate(
        "address => fetch(address)"
        ".then(answer => answer.ok ? answer.text() : `status ${answer.status}`)",
        address,
    )
    assert "import gradio" in text, f"{address}: {text[:200]}"


def marimo(page: Page) -> None:
    """An editor: its cells are run by hand."""
    expect(page.get_by_test_id("cell-editor").first).to_be_visible(timeout=SLOW)
    page.get_by_test_id("run-button").first.wait_for(timeout=SLOW)
    page.keyboard.press("Control+Shift+R")
    press(page)


def nbclassic(page: Page) -> None:
    expect(
        page.locator(".kernel_idle_icon, #kernel_indicator_icon.kernel_idle_icon").first
    ).to_be_visible(timeout=SLOW)
    page.locator(".cell").first.click()
    page.keyboard.press("Control+Enter")
    expect(page.locator(".output_text").first).to_contain_text(ANSWER, timeout=SLOW)


def notebook(page: Page) -> None:
    expect(page.locator(".jp-Cell").first).to_be_visible(timeout=SLOW)
    answer = page.locator(".jp-OutputArea-output").first
    select = page.get_by_role("dialog").get_by_role("button", name="Select", exact=True)
    for _ in range(
        12
    ):  # before the kernel is ready, nothing is run, or the page asks which kernel to use
        if select.is_visible():
            select.click()
        page.locator(".jp-Cell .cm-content").first.click()
        page.keyboard.press("Control+Enter")
        try:
            answer.wait_for(timeout=SLOW / 12)
        except PlaywrightTimeout:
            continue
        break
    expect(answer).to_contain_text(ANSWER, timeout=SLOW)


def mlflow(page: Page) -> None:
    """A new experiment."""
    page.goto(page.url.partition("#")[0] + "#/experiments")
    page.get_by_role("button", name="Create").first.click(timeout=SLOW)
    page.get_by_role("dialog").get_by_role("textbox").first.fill("answer-42")
    page.get_by_role("dialog").get_by_role("button", name="Create").click()
    expect(page.get_by_text("answer-42").first).to_be_visible(timeout=SLOW)


def lab(page: Page) -> None:
    """A console of JupyterLab, and its kernel's answer."""
    expect(page.locator(".jp-Launcher-body")).to_be_visible(timeout=2 * SLOW)
    base_url = page.evaluate(
        "JSON.parse(document.getElementById('jupyter-config-data').textContent).baseUrl"
    )
    assert page.url.partition("://")[2].partition("/")[2].startswith(base_url[1:]), base_url
    page.locator(".jp-LauncherCard[data-category='Console']").first.click()
    # JupyterLab clears the console when its kernel connects: what was typed before is lost.
    expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=2 * SLOW)
    expect(page.locator(".jp-CodeConsole-banner")).to_be_visible(timeout=SLOW)
    page.locator(".jp-CodeConsole-promptCell .cm-content").click()
    page.keyboard.type("print('answer', 6 * 7)")
    page.keyboard.press("Shift+Enter")
    expect(page.locator(".jp-OutputArea-output").last).to_contain_text(ANSWER, timeout=SLOW)
