"""The form in a real browser: keys, and what a screen reader is told of each field."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

CONTRAST = """(selector) => {
  const parse = text => (text.match(/[\\d.]+/g) ?? [0, 0, 0]).map(Number);
  const scale = text => text.startsWith('color(srgb')
    ? parse(text.slice(10)).map((v, i) => (i < 3 ? v * 255 : v)) : parse(text);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ratio = (one, other) => { const [a, b] = [light(scale(one)), light(scale(other))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); };
  return [...document.querySelectorAll(selector)].map(node => {
    const style = getComputedStyle(node);
    const { borderTopColor, backgroundColor, color } = style;
    const border = ratio(borderTopColor, backgroundColor);
    return [node.tagName, border, ratio(color, backgroundColor)]; });
}"""


def card(name):
    return {
        "name": name,
        "title": name.title(),
        "description": "",
        "note": "",
        "denied": False,
        "picture": "",
    }


def sent(page, kind):
    return [message for message in page.evaluate("window.sent") if message.get("type") == kind]


@pytest.fixture
def form(show_form):
    page = show_form([card("lab")])
    page.get_by_role("button", name="Lab").click()
    expect(page.get_by_role("form", name="New workspace")).to_be_visible()
    return page


def test_enter_submits_with_the_texts_as_they_stand(form):
    form.get_by_label("name", exact=True).fill("fraud-model")
    form.get_by_label("home-name").fill("files")

    form.get_by_label("image").press("Enter")

    assert sent(form, "submit") == [
        {"type": "submit", "texts": {"name": "fraud-model", "home-name": "files"}}
    ]
    assert form.evaluate("document.activeElement.id") == "at-image"  # the focus stays


def test_enter_on_a_button_is_the_buttons(form):
    form.evaluate(
        "document.querySelector('.mod-primary')"
        ".addEventListener('click', () => (window.clicked = true))"
    )

    form.get_by_role("button", name="Create").press("Enter")

    assert (sent(form, "submit"), form.evaluate("window.clicked")) == ([], True)


def test_escape_closes_and_goes_back_to_the_card(form):
    form.get_by_label("name", exact=True).press("Escape")

    assert form.evaluate("window.model.get('chosen')") == ""
    assert form.evaluate("document.activeElement.dataset.kind") == "lab"


def test_plain_keys_are_kept_from_the_notebook(form):
    form.evaluate(
        "document.addEventListener('keydown', event =>"
        " (window.kept = 'lmSuppressShortcuts' in event.target.dataset), true)"
    )

    form.get_by_label("name", exact=True).press("d")
    assert form.evaluate("window.kept") is True
    form.get_by_label("name", exact=True).press("Control+s")
    assert form.evaluate("window.kept") is False


def test_a_wrong_field_says_so_and_why(form):
    name = form.get_by_label("name", exact=True)
    expect(name).not_to_have_attribute("aria-invalid", "true")

    form.evaluate("""() => { const field = document.querySelector('.cw-at-name');
        const below = field.querySelector('.widget-html-content');
        below.innerHTML = '<span class="cw-wrong">Enter a name.</span>';
        field.classList.add('cw-wrongField'); }""")

    expect(name).to_have_attribute("aria-invalid", "true")
    expect(name).to_have_accessible_description("Enter a name.")
    form.evaluate("""() => { const field = document.querySelector('.cw-at-name');
        field.querySelector('.widget-html-content').innerHTML = '';
        field.classList.remove('cw-wrongField'); }""")
    expect(name).not_to_have_attribute("aria-invalid", "true")
    expect(name).to_have_accessible_description("")


def test_what_is_said_comes_into_a_region_that_stands_already(form):
    region = form.get_by_role("status")
    expect(region).to_have_text("")
    form.evaluate("window.region = document.querySelector('[role=status]')")

    form.evaluate("window.deliver({ type: 'say', text: 'Creating fraud-model.' })")
    form.evaluate("window.model.set('kinds', window.model.get('kinds').concat([]))")

    expect(region).to_have_text("Creating fraud-model.")
    assert form.evaluate("window.region === document.querySelector('[role=status]')")


def test_the_focus_goes_to_the_field_that_is_wrong_only_from_inside_the_form(form):
    form.get_by_role("button", name="Create").focus()
    form.evaluate("window.deliver({ type: 'focus', place: 'home-name' })")
    assert form.evaluate("document.activeElement.id") == "at-home-name"

    form.locator("#after").focus()
    form.evaluate("window.deliver({ type: 'focus', place: 'name' })")
    assert form.evaluate("document.activeElement.id") == "after"


@pytest.mark.parametrize("theme", ["light", "dark", "dark-high-contrast"])
def test_borders_and_arrows_can_be_seen(show_form, theme):
    page = show_form([card("lab")], theme)

    found = page.evaluate(CONTRAST, ".jp-ClusterWorkspacesForm :is(input, select)")

    assert [(tag, border) for tag, border, _ in found if border < 3] == []
    assert [(tag, text) for tag, _, text in found if text < 4.5] == []
    arrow = page.evaluate("""() => {
        const style = getComputedStyle(document.querySelector('.jp-ClusterWorkspacesForm select'));
        return [style.appearance, style.backgroundImage]; }""")
    assert arrow == ["auto", "none"]  # the browser's own, in the colour of the text


def test_in_forced_colours_borders_and_the_ring_are_the_systems(form):
    form.emulate_media(forced_colors="active")
    form.get_by_label("name", exact=True).focus()

    colours = form.evaluate("""() => {
        const probe = document.createElement('i'); document.body.append(probe);
        const system = name => { probe.style.color = name; return getComputedStyle(probe).color; };
        const style = node => getComputedStyle(document.querySelector(node));
        return { text: system('CanvasText'), mark: system('Highlight'),
          border: style('#at-image').borderTopColor,
          button: style('.jupyter-button').borderTopColor,
          ring: style('#at-name').outlineColor, width: style('#at-name').outlineWidth }; }""")
    assert colours["border"] == colours["button"] == colours["text"]
    assert (colours["ring"], colours["width"]) == (colours["mark"], "2px")


def test_the_focus_ring_is_that_of_the_table(form):
    form.get_by_label("name", exact=True).press("Tab")

    ring = form.evaluate(
        "(() => { const s = getComputedStyle(document.activeElement);"
        " return [s.outlineStyle, s.outlineWidth, s.outlineOffset]; })()"
    )
    assert ring == ["solid", "2px", "-2px"]
