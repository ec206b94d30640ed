"""Cost of the timer of an open panel with 1,000 rows: `python benchmarks/panel_timer.py`.

Needs Playwright and a Chromium, as tests/browser_panel does. Prints the milliseconds of one tick
with the panel in view, and of the ticks of a minute with it hidden, each with the layout that
follows.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "browser_panel"))

from conftest import NOW, _load
from playwright.sync_api import Page, sync_playwright

from jupyter_workspaces.panel.table import Table

ROWS = 1000
TICKS = 10
COST = """() => {
  const table = document.querySelector('.cw-entry').row.panel, took = [];
  for (let count = 0; count < TICKS; count++) {
    table.shift += 60000;
    const began = performance.now();
    if (!document.hidden) table.tick();
    document.body.offsetHeight;
    took.push(performance.now() - began);
  }
  return took.sort((a, b) => a - b);
}""".replace("TICKS", str(TICKS))
HIDDEN = "document.getElementById('here').style.display = 'none'"


def row(number: int) -> dict[str, object]:
    action = {"id": "open", "label": "Open"}
    texts = {
        "note": "",
        "message": "",
        "step": "",
        "moved": "",
        "kind": "JupyterLab",
        "image": "SciPy 1.9",
        "size": "2 CPU · 4 GiB",
    }
    name = f"w{number:04}"
    shown = {
        "key": f"default/{name}",
        "name": name,
        "title": name,
        "namespace": "default",
        "state": "Running",
        "sign": "running",
    }
    times = {"created": NOW - number * 60_000, "since": NOW - 500_000, "activity": NOW - 900_000}
    return {
        **texts,
        **shown,
        **times,
        "word": "Running",
        "busy": False,
        "links": [],
        "primary": action,
        "secondary": None,
        "menu": [],
    }


def measure(page: Page) -> tuple[float, float]:
    """Median of one tick in view, and the sum of those of a minute while hidden, in ms."""
    first = {
        "rows": [row(number) for number in range(ROWS)],
        "now": NOW,
        "namespaces": [],
        "namespace": "default",
        "base": {},
    }
    live = {"state": "live", "since": NOW, "message": "", "hint": "", "problem": ""}
    _load(
        page, Table._esm, {"fallback": "", "first": {**first, "cluster": "", "live": live}}, "light"
    )
    page.wait_for_function(f"document.querySelectorAll('.cw-row').length === {ROWS}")
    page.wait_for_timeout(500)
    shown = page.evaluate(COST)[TICKS // 2]
    page.evaluate(HIDDEN)
    page.wait_for_timeout(500)
    return shown, page.evaluate(COST)[TICKS // 2] * 6


def main() -> None:
    import os
    import shutil

    found = (
        os.environ.get("JUPYTER_WORKSPACES_CHROMIUM")
        or shutil.which("chromium")
        or shutil.which("chromium-browser")
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found)
        shown, hidden = measure(browser.new_page(viewport={"width": 1000, "height": 800}))
        browser.close()
    print(
        f"{ROWS} rows: one tick {shown:.1f} ms in view; "
        f"a minute of ticks {hidden:.1f} ms while the panel is not shown"
    )


if __name__ == "__main__":
    main()
