"""Table: headings, order, column widths, liveness, and the cost of its timer."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

NOW = 1_790_000_000_000
CUT = """(selector) => [...document.querySelectorAll(selector)]
  .filter(n => n.scrollWidth > n.clientWidth + 1).map(n => n.textContent)"""
LONG = "a-name-that-is-as-long-as-names-can-be-and-tells-them-apart-x1"


def sent(page, kind):
    return [message for message in page.evaluate("window.sent") if message.get("type") == kind]


def deliver(page, **message):
    page.evaluate("message => window.deliver(message)", message)


def order(page):
    return page.evaluate(
        "[...document.querySelectorAll('.cw-entry')].map(entry => entry.row.data.name)"
    )


def live(page, state, **other):
    deliver(
        page,
        type="live",
        **{
            "state": state,
            "since": NOW - 12_000,
            "message": "",
            "hint": "",
            "problem": "",
            **other,
        },
    )


def test_what_needs_attention_stands_first_also_when_it_comes_later(show, row):
    page = show([row("new", created="2026-09-20T13:00:00Z"), row("old")])
    page.mouse.move(5, 5)
    assert order(page) == ["new", "old"]

    deliver(page, type="delta", upsert=[row("old", "Error", message="Out of memory")], remove=[])

    page.wait_for_function("document.querySelector('.cw-entry').row.data.name === 'old'")


def test_a_row_that_needs_attention_waits_until_the_pointer_has_gone(show, row):
    page = show(
        [
            row("new", created="2026-09-20T13:00:00Z"),
            row("middle", created="2026-09-20T12:30:00Z"),
            row("old"),
        ]
    )
    page.locator("[data-key='default/new']").hover()

    deliver(page, type="delta", upsert=[row("old", "Error")], remove=[])

    expect(page.locator("[data-key='default/old']")).to_contain_text("Needs attention")
    assert order(page) == ["new", "middle", "old"]
    page.mouse.move(5, 5)
    page.wait_for_function("document.querySelector('.cw-entry').row.data.name === 'old'")
    assert order(page) == ["old", "new", "middle"]


@pytest.mark.parametrize(
    ("heading", "ascending"),
    [
        ("State", ["c10", "a", "c9"]),
        ("Name", ["a", "c9", "c10"]),
        ("Age", ["c9", "c10", "a"]),
        ("Last used", ["c10", "a", "c9"]),
    ],
)
def test_headings_can_be_seen_and_sort(show, row, heading, ascending):
    page = show(
        [
            row("c10", "Pending", created="2026-09-20T13:00:00Z") | {"activity": NOW},
            row("a", created="2026-09-20T12:00:00Z"),
            row("c9", "Paused", created="2026-09-20T14:00:00Z") | {"since": NOW - 9_000_000},
        ]
    )
    head = page.get_by_role("columnheader", name=heading, exact=True)
    expect(head).to_be_visible()
    expect(head).to_have_attribute("aria-sort", "none")

    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    assert order(page) == ascending
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    assert order(page) == ascending[::-1]
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "none")
    assert order(page) == ["c9", "c10", "a"]


def test_sorting_keeps_the_focus_and_new_rows_come_in_order(show, row):
    page = show([row("b"), row("d"), row("a")])
    page.locator("[data-key='default/a'] .cw-row").focus()

    page.evaluate("document.querySelector('.cw-head-name button').click()")
    deliver(page, type="delta", upsert=[row("c")], remove=[])

    page.wait_for_function("document.querySelectorAll('.cw-entry').length === 4")
    assert order(page) == ["a", "b", "c", "d"]
    assert page.evaluate("document.activeElement.closest('.cw-entry').dataset.key") == "default/a"


def test_headings_are_one_stop_and_arrows_move_along_them(show, row):
    page = show([row("a")])
    page.locator("input[type=search]").focus()

    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.textContent") == "Name"
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.closest('.cw-entry').dataset.key") == "default/a"


@pytest.mark.parametrize("width", [400, 560, 700, 1000, 1400])
def test_states_are_whole_and_names_are_cut_last(show, row, page, width):
    page.set_viewport_size({"width": width, "height": 800})
    show(
        [
            row("fraud-model"),
            row("c", "Error", message="No"),
            row("d", "Pending", step="waiting for JupyterLab"),
            row(LONG),
        ],
        namespace="*",
    )
    page.wait_for_function("document.querySelector('.jp-ClusterWorkspaces').dataset.layout")

    assert page.evaluate(CUT, ".cw-word") == []
    assert page.evaluate(CUT, ".cw-space") == []
    named = page.evaluate(
        "[...document.querySelectorAll('.cw-name')]"
        ".map(node => [node.title, node.getBoundingClientRect().width])"
    )
    for name, room in named:
        assert room >= (180 if len(name) > 30 else 5 * len(name)), (name, room)
    assert all("fraud-model" not in text for text in page.evaluate(CUT, ".cw-nameHead"))
    expect(page.get_by_text("default").nth(1)).to_be_visible()
    for name in ("Open fraud-model", "Why? c", "Why? d"):
        expect(page.locator(f"[aria-label='{name}']")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_what_has_no_room_as_a_button_is_in_the_menu(show, row, page):
    page.set_viewport_size({"width": 400, "height": 800})
    show([row("dora")])
    expect(page.get_by_role("button", name="Pause dora")).to_be_hidden()

    page.get_by_role("button", name="More actions of dora").click()
    page.get_by_role("menuitem", name="Pause").click()

    assert [message["id"] for message in sent(page, "action")] == ["pause"]


def test_rows_with_details_make_it_a_treegrid(show, row):
    page = show([row("dora")])
    main = page.locator(".cw-row")
    expect(main).to_have_attribute("aria-level", "1")
    expect(main).to_have_attribute("aria-expanded", "false")

    main.press(" ")
    expect(main).to_have_attribute("aria-expanded", "true")
    below = page.locator(".cw-unfolded")
    assert (below.get_attribute("role"), below.get_attribute("aria-level")) == ("row", "2")
    main.press("Escape")
    expect(main).to_have_attribute("aria-expanded", "false")


def test_wide_and_long_outputs_take_the_focus_and_have_names(show, row):
    page = show([row("dora")])
    page.locator(".cw-row").press(" ")
    deliver(page, type="details", key="default/dora", raw="x" * 500, events=[])

    for name in ("Events of dora", "Log of dora"):
        page.get_by_role("group", name=name, exact=True).focus()
        assert (
            page.evaluate(
                "document.activeElement.ariaLabel ?? "
                "document.activeElement.getAttribute('aria-label')"
            )
            == name
        )
    page.get_by_text("Raw cluster messages").click()
    page.get_by_role("group", name="Raw cluster messages about dora").focus()
    assert page.evaluate("document.activeElement.tagName") == "PRE"


def test_pause_asks_when_something_is_lost_and_then_is_sure(show, row):
    page = show([row("dora")])
    page.get_by_role("button", name="Pause dora").focus()
    page.keyboard.press("Enter")
    assert sent(page, "action") == [{"type": "action", "key": "default/dora", "id": "pause"}]

    deliver(
        page,
        type="ask",
        key="default/dora",
        action="pause",
        text="1 kernel is running; its variables are lost.",
    )

    question = page.get_by_role("alertdialog", name="Pause dora?")
    expect(question).to_have_accessible_description("1 kernel is running; its variables are lost.")
    assert page.evaluate("document.activeElement.textContent") == "Keep running"
    expect(page.get_by_role("button", name="Pause dora")).to_be_enabled()
    page.keyboard.press("Escape")
    expect(question).to_have_count(0)
    deliver(
        page,
        type="ask",
        key="default/dora",
        action="pause",
        text="1 kernel is running; its variables are lost.",
    )
    page.get_by_role("alertdialog").get_by_role("button", name="Pause").click()
    assert sent(page, "action")[-1] == {
        "type": "action",
        "key": "default/dora",
        "id": "pause",
        "sure": True,
    }


def test_not_live_counts_up_and_is_not_green(show, row, page):
    page.clock.install()
    show([row("dora")])
    green = page.evaluate("getComputedStyle(document.querySelector('.cw-live .cw-sign')).color")
    expect(page.locator(".cw-live")).to_have_text("live")

    live(page, "stale", message="The cluster refuses connections.")
    expect(page.locator(".cw-live")).to_have_text("not live since 12 s")
    page.clock.run_for(3000)
    expect(page.locator(".cw-live")).to_have_text("not live since 15 s")
    assert (
        page.evaluate("getComputedStyle(document.querySelector('.cw-live .cw-sign')).color")
        != green
    )
    expect(page.locator(".cw-notice")).to_contain_text("The cluster refuses connections.")
    expect(page.get_by_role("button", name="Retry")).to_be_hidden()

    live(page, "live")
    expect(page.locator(".cw-live")).to_have_text("live")
    expect(page.locator(".cw-notice")).to_be_hidden()


def test_a_task_of_the_panel_that_fails_is_shown_while_it_is_live(show, row):
    page = show([row("dora")])

    live(page, "live", problem="Following starts failed (KeyError).")

    expect(page.locator(".cw-notice")).to_contain_text("Following starts failed (KeyError).")
    expect(page.locator(".cw-live")).to_have_text("live")


TICKS = """() => {
  window.drawn = 0;
  const row = document.querySelector('.cw-entry').row;
  const proto = Object.getPrototypeOf(row), times = proto.drawTimes;
  proto.drawTimes = function () { window.drawn++; return times.call(this); };
}"""


def test_a_timer_draws_only_the_rows_that_can_be_seen_and_none_while_hidden(show, row, page):
    page.clock.install()
    show([row(f"w{number:04}") for number in range(1000)])
    page.clock.run_for(1000)
    page.wait_for_function("document.querySelectorAll('.cw-row').length === 1000")
    page.evaluate(TICKS)

    page.clock.run_for(10_000)
    assert 5 <= page.evaluate("window.drawn") <= 40

    page.evaluate(
        "Object.defineProperty(document, 'hidden', { configurable: true, get: () => true });"
        "window.drawn = 0"
    )
    page.clock.run_for(60_000)
    assert page.evaluate("window.drawn") == 0
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    assert page.evaluate("window.drawn") > 0


def test_a_panel_that_is_scrolled_or_switched_away_draws_no_times(show, row, page):
    show([row(f"w{number:04}") for number in range(100)])
    page.evaluate("document.getElementById('here').style.display = 'none'")
    page.evaluate(
        "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )
    page.evaluate(TICKS)

    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # a tick

    assert page.evaluate("window.drawn") == 0
    page.evaluate("document.getElementById('here').style.display = ''")
    page.wait_for_function("window.drawn > 0")  # what comes into sight is drawn at once


def test_a_long_name_is_read_as_one_word_though_it_can_be_cut(show, row, page):
    show([row(LONG)])
    expect(page.get_by_role("rowheader", name=LONG, exact=True)).to_be_visible()
