"""The cards of the kinds in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

SCRIPTED = (
    "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' width='32' height='32'>"
    "<script>parent.evil=1</script></svg>"
)


def card(name, **other):
    return {
        "name": name,
        "title": name.title(),
        "description": "Notebooks",
        "note": "",
        "denied": False,
        "picture": "",
        **other,
    }


def test_a_card_opens_and_closes_its_form(show_kinds):
    page = show_kinds([card("lab"), card("rstudio")])
    lab = page.get_by_role("button", name="Lab")

    lab.focus()
    page.keyboard.press("Enter")
    expect(lab).to_have_attribute("aria-expanded", "true")
    assert page.evaluate("window.model.get('chosen')") == "lab"
    assert page.evaluate("document.activeElement.dataset.kind") == "lab"
    page.keyboard.press("Enter")
    expect(lab).to_have_attribute("aria-expanded", "false")


def test_a_denied_kind_says_why_and_cannot_be_chosen(show_kinds):
    page = show_kinds([card("lab", denied=True, note="Ask the platform team")])

    expect(page.get_by_role("button", name="Lab")).to_be_disabled()
    expect(page.get_by_text("Ask the platform team")).to_be_visible()


def test_a_logo_is_a_picture_and_runs_nothing(show_kinds):
    page = show_kinds([card("lab", picture=SCRIPTED, title="<b>Lab</b>")])

    page.wait_for_function("document.querySelector('.cw-logo').complete")
    assert page.evaluate("window.evil") is None
    assert page.locator("b").count() == 0
