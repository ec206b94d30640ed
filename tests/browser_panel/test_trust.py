"""Security notice on the first Open of a workspace without its own origin."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

# The page of these tests has no origin of its own, so no storage.
STORAGE = """() => {
  const kept = {};
  const setItem = (name, value) => { kept[name] = value; };
  const store = {getItem: name => kept[name] ?? null, setItem};
  Object.defineProperty(window, 'localStorage', {value: store, configurable: true});
}"""


def open_it(page, name="dora"):
    """Click the link; its page is stopped before it goes anywhere."""
    page.evaluate("""() => {
      window.opened ??= [];
      const stop = event => {
        event.preventDefault();
        window.opened.push(event.target.closest('a').href);
      };
      document.addEventListener('click', stop, {once: true});
    }""")
    page.get_by_role("link", name=f"Open {name}").click()


def test_the_first_open_says_it_below_the_row_and_opens(show, row):
    page = show([row("dora"), row("eve")], separate=False)
    page.evaluate(STORAGE)

    open_it(page)

    notice = page.get_by_role("note", name="Workspaces can act as you")
    expect(notice).to_contain_text(
        "the programs in dora can act as you on this server. Open only workspaces that you trust."
    )
    assert page.evaluate("window.opened") == [
        "http://127.0.0.1:8888/user/anna/workspace/connect/default/dora/jupyterlab/"
    ]
    expect(notice.get_by_text("workspaces_url")).to_be_hidden()
    notice.get_by_role("button", name="How to separate them").click()
    expect(notice.get_by_text("workspaces_url")).to_be_visible()


def test_it_is_said_until_it_was_understood_and_then_no_more(show, row):
    page = show([row("dora"), row("eve")], separate=False)
    page.evaluate(STORAGE)
    open_it(page)
    open_it(page, "eve")
    expect(page.get_by_role("note")).to_have_count(2)

    page.get_by_role("button", name="Got it").first.click()
    page.get_by_role("button", name="Got it").click()
    open_it(page)

    expect(page.get_by_role("note")).to_have_count(0)
    assert len(page.evaluate("window.opened")) == 3


def test_a_browser_that_stores_nothing_opens_too(show, row):
    page = show([row("dora")], separate=False)
    open_it(page)
    page.get_by_role("button", name="Got it").click()
    expect(page.get_by_role("note")).to_have_count(0)


@pytest.mark.parametrize("known", [{"separate": True}, {}])
def test_nothing_is_said_where_workspaces_are_apart_or_that_is_not_known(show, row, known):
    page = show([row("dora")], **known)
    page.evaluate(STORAGE)
    open_it(page)
    expect(page.get_by_role("note")).to_have_count(0)


def test_the_kernel_may_say_it_later(show, row):
    page = show([row("dora")])
    page.evaluate(STORAGE)
    page.evaluate(
        "message => window.deliver(message)",
        {"type": "snapshot", "rows": [row("dora")], "separate": False},
    )
    open_it(page)
    expect(page.get_by_role("note")).to_have_count(1)
