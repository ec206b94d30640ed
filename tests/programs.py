"""Use programs in workspaces in a real browser, at `/` and at `/user/x/`. Asked for; `.ci/run` uses the light ones.

`python tests/programs.py` tries all, `python tests/programs.py dash streamlit` some, `--light` those that are quickly installed. Each is
installed from PyPI into an environment of its own, once, and is a workspace kind of a local cluster; two Jupyter servers show its
workspaces. Prints a table, and ends with 1 where a program did not work.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "programs"))

from playwright.sync_api import Browser, sync_playwright
from programs_catalog import PROGRAMS, Program
from programs_cluster import Server, cluster, server
from programs_hub import use_behind_hub
from programs_running import WAYS, Way, free_port, use


def tried(program: Program, way: Way, at: Callable[[str], Server], browser: Browser) -> str:
    """ "ok" with the seconds that it took, or "FAIL"."""
    began = time.monotonic()
    try:
        use(program, way, at, browser)
    except Exception:  # noqa: BLE001 - whatever went wrong is this row's result
        traceback.print_exc()
        return "FAIL"
    return f"ok {time.monotonic() - began:.0f} s"


def table(programs: Sequence[Program], ways: Sequence[Way], browser: Browser) -> list[list[str]]:
    """A row for each program, a column for each way."""
    rows = [["program", *(way.name for way in ways)]]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jw-programs-")))
        stack.enter_context(cluster(folder / "cluster", programs))

        @cache
        def at(base_url: str) -> Server:
            return stack.enter_context(server(base_url, free_port(), folder / "cluster", folder / f"server{base_url.replace('/', '-')}"))

        for program in programs:
            row = [program.name]
            for way in ways:
                row.append(tried(program, way, at, browser))
                print(f"{program.name}, {way.name}: {row[-1]}", flush=True)
            rows.append(row)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(program.name for program in PROGRAMS)}")
    parser.add_argument("--light", action="store_true", help="only those that are quickly installed")
    parser.add_argument("--way", action="append", type=int, choices=range(len(WAYS)), help="only one column of the table, from 0")
    parser.add_argument(
        "--hub", action="store_true", help="behind a real JupyterHub instead (needs npm): dash, streamlit and a Lab, or the named"
    )
    chosen = parser.parse_args()
    known = {program.name: program for program in PROGRAMS}
    if wrong := [name for name in chosen.names if name not in known]:
        parser.error(f"unknown: {', '.join(wrong)}")
    names = chosen.names or (("dash", "streamlit") if chosen.hub else known)
    programs = [program for program in PROGRAMS if program.name in names and (program.light or not chosen.light)]
    ways = [WAYS[number] for number in chosen.way] if chosen.way else list(WAYS)
    executable = os.environ.get("JUPYTER_WORKSPACES_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable)
        rows = use_behind_hub(programs, browser) if chosen.hub else table(programs, ways, browser)
        browser.close()
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print("\n" + "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows))
    return 1 if any(cell.startswith("FAIL") for row in rows[1:] for cell in row) else 0


if __name__ == "__main__":
    sys.exit(main())
