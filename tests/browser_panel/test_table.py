"""Table in a real browser: contents, messages, focus and speed."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

FRAME = 16.0  # ms
FOCUS = """() => document.activeElement.closest('.cw-entry')?.dataset.key + ' '
  + (document.activeElement.dataset.act ?? 'row')"""
TEXT_CONTRAST = """() => {
  const parse = text => (text.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const under = node => { for (; node; node = node.parentElement) {
    const seen = parse(getComputedStyle(node).backgroundColor);
    if (seen.length < 4 || seen[3] === 1) return seen; } return [255, 255, 255]; };
  const found = [];
  for (const node of document.querySelectorAll('.jp-ClusterWorkspaces *')) {
    const own = [...node.childNodes].some(
      child => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.checkVisibility() || node.disabled) continue;
    if (node.closest('.cw-hidden, .cw-menu')) continue;
    const [a, b] = [light(parse(getComputedStyle(node).color)), light(under(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push(node.className + ' ' + node.textContent + ' ' + ratio.toFixed(2));
  }
  return found;
}"""


def sent(page, kind):
    return [message for message in page.evaluate("window.sent") if message.get("type") == kind]


def deliver(page, **message):
    page.evaluate("message => window.deliver(message)", message)


def test_first_paint_is_the_answer(show, row):
    page = show([row("fraud-model"), row("notes", "Paused")])

    assert page.locator(".cw-row").count() == 2
    expect(page.get_by_role("treegrid", name="Workspaces")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="fraud-model")).to_contain_text("Running")
    expect(page.get_by_role("row").filter(has_text="fraud-model")).to_contain_text(
        "JupyterLab · SciPy 1.9 · 2 CPU · 4 GiB"
    )
    expect(page.get_by_text("2 workspaces", exact=True)).to_be_visible()


def test_asks_for_a_fresh_snapshot_and_hides_the_plain_table(show, row):
    page = show([row("dora")])

    assert len(sent(page, "mount")) == 1
    expect(page.locator("#plain")).to_be_hidden()
    page.evaluate("window.cleanup()")
    expect(page.locator("#plain")).to_be_visible()
    assert sent(page, "unmount")[0]["view"] == sent(page, "mount")[0]["view"]


def test_the_plain_table_stays_hidden_when_the_page_takes_it_out_and_puts_it_back(show, row):
    page = show([row("dora")])

    page.evaluate("""() => {
        const plain = document.getElementById("plain");
        const place = plain.parentNode, copy = plain.cloneNode(true);
        copy.style.display = "";
        plain.remove();
        place.append(copy);
    }""")

    expect(page.locator("#plain")).to_be_hidden()
    expect(page.get_by_role("treegrid", name="Workspaces")).to_be_visible()


def test_open_is_a_safe_link_below_the_kernels_server(show, row):
    page = show([row("dora")])

    link = page.get_by_role("link", name="Open dora")
    assert (
        link.get_attribute("href")
        == "http://127.0.0.1:8888/user/anna/workspace/connect/default/dora/jupyterlab/"
    )
    assert link.get_attribute("target") == "_blank"
    assert "noopener" in (link.get_attribute("rel") or "")


def test_a_link_that_is_no_web_address_is_none(show, row):
    page = show([row("dora")], base={"page": False, "url": "javascript:alert(1)//"})

    expect(page.locator("[data-act=open]")).not_to_have_attribute("href", "*")
    assert page.locator("a[href^=javascript]").count() == 0


def test_names_are_text_and_never_markup(show, row):
    evil = row("dora", "Error", message="<img src=x onerror=window.evil=1>")
    page = show(
        [{**evil, "title": "<b onclick=x>dora</b>", "kind": "<script>window.evil=1</script>"}]
    )

    page.get_by_role("button", name="Why?").click()
    event = {
        "time": 1,
        "type": "Warning",
        "reason": "<i>",
        "message": "<img src=x onerror=window.evil=1>",
        "object": "",
        "count": 1,
    }
    deliver(page, type="details", key="default/dora", events=[event])
    deliver(
        page,
        type="log",
        key="default/dora",
        lines=["<script>window.evil=1</script>"],
        reset=True,
        ended="",
    )

    expect(page.locator(".cw-message")).to_have_text("<img src=x onerror=window.evil=1>")
    assert page.locator(".jp-ClusterWorkspaces :is(img, script, b, i)").count() == 0
    assert page.evaluate("window.evil") is None


def test_keys_move_act_and_close(show, row):
    page = show([row("c", "Error"), row("a"), row("b", "Paused")])
    page.locator(".cw-row").nth(1).focus()

    page.keyboard.press("ArrowDown")
    assert page.evaluate(FOCUS) == "default/b row"
    page.keyboard.press("Enter")
    assert sent(page, "action") == [{"type": "action", "key": "default/b", "id": "resume"}]
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(page.get_by_role("group", name="Details of c")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("group", name="Details of c")).to_have_count(0)
    assert page.evaluate(FOCUS) == "default/c row"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(FOCUS) == "default/a open"
    page.keyboard.press("ArrowRight")
    assert page.evaluate(FOCUS) == "default/a pause"


def test_plain_keys_are_kept_from_the_notebook_and_those_with_a_modifier_are_not(show, row):
    page = show([row("dora")])
    page.evaluate(
        "document.addEventListener('keydown', event =>"
        " (window.kept = 'lmSuppressShortcuts' in event.target.dataset), true)"
    )
    page.locator(".cw-row").focus()

    page.keyboard.press("d")
    assert page.evaluate("window.kept") is True
    page.keyboard.press("Control+s")
    assert page.evaluate("window.kept") is False


def test_one_tab_stop_leads_into_the_rows_and_one_row_out(show, row):
    page = show([row(name) for name in "abcdef"])
    stops = []

    page.locator("input[type=search]").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "State"
    while (len(stops) < 12) and page.evaluate("document.activeElement.id") != "after":
        page.keyboard.press("Tab")
        stops.append(page.evaluate(FOCUS))

    assert stops == [
        "default/a row",
        "default/a open",
        "default/a pause",
        "default/a menu",
        "undefined row",
    ]


def test_the_menu_by_its_key(show, row):
    page = show([row("dora")])
    page.locator(".cw-row").focus()

    page.keyboard.press("Shift+F10")
    expect(page.get_by_role("menu", name="Actions of dora")).to_be_visible()
    assert [item.inner_text() for item in page.get_by_role("menuitem").all()] == [
        "Restart",
        "Details",
        "Delete…",
    ]
    page.keyboard.press("Escape")
    expect(page.get_by_role("menu")).to_be_hidden()
    assert page.evaluate(FOCUS) == "default/dora menu"
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert sent(page, "action")[-1]["id"] == "restart"


def test_delete_asks_first_and_says_what_is_lost(show, row):
    page = show([row("dora")])
    page.locator(".cw-row").focus()

    page.keyboard.press("Delete")
    deliver(
        page,
        type="ask",
        key="default/dora",
        text="Its programs stop. The volume home-bella stays.",
    )
    expect(page.get_by_role("alertdialog", name="Delete dora?")).to_contain_text(
        "The volume home-bella stays."
    )
    assert page.evaluate("document.activeElement.textContent") == "Cancel"
    page.keyboard.press("Escape")
    assert (page.evaluate(FOCUS), sent(page, "action")) == ("default/dora row", [])

    page.keyboard.press("Delete")
    page.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
    assert sent(page, "action") == [{"type": "action", "key": "default/dora", "id": "delete"}]
    assert page.evaluate(FOCUS) == "default/dora row"


def test_an_action_shows_at_once_and_focus_stays(show, row):
    page = show([row("dora")])
    page.get_by_role("button", name="Pause dora").focus()

    page.keyboard.press("Enter")
    expect(page.get_by_text("Pausing…", exact=True)).to_be_visible()
    assert page.evaluate(FOCUS) == "default/dora row"
    deliver(
        page, type="delta", upsert=[row("dora", note="Not done: it is being deleted.")], remove=[]
    )

    expect(page.get_by_text("Not done: it is being deleted.", exact=True)).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("dora: Not done: it is being deleted.")
    expect(page.get_by_role("button", name="Pause dora")).to_be_enabled()


def test_focus_goes_to_the_neighbour_of_a_row_that_goes(show, row):
    page = show([row("a"), row("b"), row("c")])
    page.mouse.move(5, 5)
    page.locator(".cw-row").nth(1).focus()

    deliver(page, type="delta", upsert=[], remove=["default/b"])

    expect(page.locator(".cw-row")).to_have_count(2)
    assert page.evaluate(FOCUS) == "default/c row"


def test_rows_do_not_jump_under_the_pointer(show, row):
    page = show([row(name, created="2026-09-20T12:00:00Z") for name in ("b", "c", "d")])
    held = page.locator("[data-key='default/c']")
    held.hover()
    at = held.bounding_box()

    new = row("a-new", "Pending", created="2026-09-21T12:00:00Z", message="Waiting for room")
    deliver(page, type="delta", upsert=[new, row("b", "Error", message="Out of memory")], remove=[])
    expect(page.locator(".cw-row")).to_have_count(4)
    assert held.bounding_box() == at
    deliver(page, type="delta", upsert=[], remove=["default/b"])
    expect(page.locator(".cw-gone")).to_have_count(1)
    assert held.bounding_box() == at

    page.mouse.move(5, 5)
    expect(page.locator(".cw-entry")).to_have_count(3)
    assert page.locator(".cw-entry").first.get_attribute("data-key") == "default/a-new"


def test_the_filter_counts_and_escapes(show, row):
    page = show([row("fraud-model"), row("notes", "Paused"), row("big-train")])
    box = page.get_by_role("searchbox", name="Filter the workspaces")

    box.fill("paused scipy")
    expect(page.locator(".cw-count")).to_have_text("1 of 3")
    box.fill("nothing like it")
    expect(page.get_by_text("No workspace matches the filter.")).to_be_visible()
    box.press("Escape")
    expect(page.locator(".cw-row:visible")).to_have_count(3)


def test_lost_says_since_when_and_what_to_do(show, row):
    page = show([row("dora")])

    live = {
        "state": "lost",
        "since": 1_790_000_000_000 - 40_000,
        "message": "The server does not answer.",
        "hint": "Start it again.",
    }
    deliver(page, type="live", **live)

    expect(page.get_by_text("not live since 40 s", exact=True)).to_be_visible()
    expect(page.get_by_text("The server does not answer.", exact=True)).to_be_visible()
    page.get_by_role("button", name="Retry").click()
    assert len(sent(page, "retry")) == 1


def test_a_dead_kernel_is_said(show, row):
    page = show([row("dora")])

    page.evaluate("window.lose()")

    expect(page.get_by_text("The kernel of this panel has stopped.", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Retry")).to_be_hidden()
    expect(page.get_by_role("link", name="Open dora")).to_be_visible()
    expect(page.get_by_role("button", name="Pause dora")).to_be_hidden()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everything_has_a_name_and_can_be_read(show, row, theme):
    rows = [
        row("a"),
        row("b", "Paused"),
        row("c", "Error", message="Out of memory"),
        row("d", "Pending"),
        row("e", note="Not done: no."),
    ]
    page = show(rows, theme)

    unnamed = page.evaluate("""() => [...document.querySelectorAll(
        '.jp-ClusterWorkspaces :is(button, a, input, select)')]
        .filter(node => !(node.ariaLabel || node.textContent.trim()))
        .map(node => node.outerHTML)""")
    roles = page.evaluate("""() => [
        ...document.querySelectorAll('.jp-ClusterWorkspaces [role=row]')]
        .flatMap(row => [...row.children].map(cell => cell.role ?? cell.getAttribute('role')))
        .filter(role => !['gridcell', 'rowheader', 'columnheader'].includes(role))""")

    assert (unnamed, roles) == ([], [])
    assert page.evaluate(TEXT_CONTRAST) == []
    assert (
        page.evaluate(
            "document.querySelectorAll("
            "'.jp-ClusterWorkspaces [aria-hidden=true] :is(button, a)').length"
        )
        == 0
    )


def test_nothing_moves_when_motion_is_reduced(show, row):
    page = show([row("d", "Pending")])
    page.emulate_media(reduced_motion="reduce")

    assert (
        page.evaluate(
            "getComputedStyle(document.querySelector('.cw-state .cw-sign')).animationName"
        )
        == "none"
    )


@pytest.mark.parametrize("width", [700, 900, 1200])
def test_nothing_is_cut_off_at_any_width(show, row, page, width):
    page.set_viewport_size({"width": width, "height": 800})
    show(
        [
            row("fraud-model"),
            row("c", "Error", message="Out of memory " * 20),
            row("x" * 63, "Pending", step="getting ready"),
        ]
    )

    page.get_by_role("button", name="Why? c").click()
    event = {
        "time": 1,
        "type": "Normal",
        "reason": "x",
        "message": "long/" * 80,
        "object": "",
        "count": 1,
    }
    deliver(
        page,
        type="details",
        key="default/c",
        events=[event],
        facts=[["Pod", "long-" * 40]],
        commands=[{"label": "Shell", "text": "long " * 80}],
    )
    deliver(page, type="log", key="default/c", lines=["long " * 80], reset=True, ended="")
    beyond = page.evaluate("""() => [...document.querySelectorAll('.jp-ClusterWorkspaces *')]
        .filter(node => node.checkVisibility() && !node.closest('.cw-hidden')
          && node.getBoundingClientRect().right > innerWidth).map(node => node.className)""")

    assert beyond == []


def test_a_thousand_rows_stay_smooth(show, row, page):
    rows = [
        row(
            f"w{number:04}",
            ["Running", "Paused", "Error", "Pending"][number % 4],
            message="Why it is so",
        )
        for number in range(1000)
    ]
    show(rows)
    page.wait_for_function("document.querySelectorAll('.cw-row').length === 1000")
    mounted = page.evaluate("window.mounted")

    frames = page.evaluate(
        """async updates => {
          const body = document.querySelector('.cw-body');
          // Cost of a frame: the panel's work and the layout, without the wait for the screen.
          const took = [];
          for (let step = 0; step < 60; step++) {
            let began;
            requestAnimationFrame(() => (began = performance.now()));
            const upsert = updates.slice(step * 16, step * 16 + 16);
            window.deliver({ type: 'delta', upsert, remove: [] });
            await new Promise(done => requestAnimationFrame(() => {
              body.scrollTop = step * 500;
              body.lastElementChild.getBoundingClientRect();
              took.push(performance.now() - began);
              done();
            }));
          }
          return took.sort((a, b) => a - b);
        }""",
        [{**known, "word": "Restarting", "busy": True} for known in rows],
    )
    filtering = min(
        page.evaluate(
            """text => {
              const box = document.querySelector('input[type=search]'), began = performance.now();
              box.value = text; box.dispatchEvent(new Event('input'));
              document.body.offsetHeight; return performance.now() - began; }""",
            text,
        )
        for text in ("w00", "w01", "w02")
    )

    middle, slow = frames[len(frames) // 2], frames[int(len(frames) * 0.95)]
    print(
        f"1,000 rows: mount {mounted:.0f} ms, frame with scroll and 16 updates: "
        f"median {middle:.1f}, p95 {slow:.1f}; filter {filtering:.1f} ms"
    )
    assert mounted < 250
    assert middle < FRAME
    assert filtering < 100
