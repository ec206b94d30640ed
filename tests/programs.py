"""Use programs in workspaces of a local cluster in a real browser, at `/` and at `/user/x/`.

`python tests/programs.py` tries all, `python tests/programs.py dash streamlit` some, `--light`
those that are quickly installed, as `.ci/run` does. Each is installed from PyPI into an environment
of its own, once. Prints a table, and ends with 1 where a program did not work.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "programs"))

from playwright.sync_api import Browser, sync_playwright
from programs_catalog import PROGRAMS, Program
from programs_cluster import Server, add_kinds, cluster, servers
from programs_hub import use_behind_hub
from programs_running import WAYS, Way, use


def tried(program: Program, way: Way, running: Mapping[str, Server], browser: Browser) -> str:
    """Return "ok" with the seconds that it took, or "FAIL"."""
    began = time.monotonic()
    try:
        use(program, way, running, browser)
    except Exception:  # noqa: BLE001 - whatever went wrong is this row's result
        traceback.print_exc()
        return "FAIL"
    return f"ok {time.monotonic() - began:.0f} s"


def table(programs: Sequence[Program], ways: Sequence[Way], browser: Browser) -> list[list[str]]:
    """Try all programs in all ways on one cluster, and return the rows of the table."""
    rows = [["program", *(way.name for way in ways)]]
    base_urls = sorted({base_url for way in ways for base_url in (way.creates, way.opens)})
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jw-programs-")))
        home = stack.enter_context(cluster(folder / "cluster"))
        add_kinds(home, programs)
        running = stack.enter_context(servers(home, folder, base_urls))
        for program in programs:
            row = [program.name]
            for way in ways:
                row.append(tried(program, way, running, browser))
                print(f"{program.name}, {way.name}: {row[-1]}", flush=True)
            rows.append(row)
    return rows


def main() -> int:
    names = ", ".join(program.name for program in PROGRAMS)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {names}")
    parser.add_argument(
        "--light", action="store_true", help="only those that are quickly installed"
    )
    parser.add_argument(
        "--way",
        action="append",
        type=int,
        choices=range(len(WAYS)),
        help="only one column of the table, from 0",
    )
    parser.add_argument(
        "--hub",
        action="store_true",
        help=(
            "behind a real JupyterHub instead (needs npm): "
            "dash, streamlit and JupyterLab, or the named"
        ),
    )
    chosen = parser.parse_args()
    known = {program.name: program for program in PROGRAMS}
    if wrong := [name for name in chosen.names if name not in known]:
        parser.error(f"unknown: {', '.join(wrong)}")
    named = chosen.names or (("dash", "streamlit") if chosen.hub else known)
    programs = [
        program
        for program in PROGRAMS
        if program.name in named and (program.light or not chosen.light)
    ]
    ways = [WAYS[number] for number in chosen.way] if chosen.way else list(WAYS)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # leaves by the `finally` of what runs
    with sync_playwright() as playwright:
        executable = (
            os.environ.get("JUPYTER_WORKSPACES_CHROMIUM")
            or shutil.which("chromium")
            or shutil.which("chromium-browser")
        )
        browser = playwright.chromium.launch(executable_path=executable)
        rows = use_behind_hub(programs, browser) if chosen.hub else table(programs, ways, browser)
        browser.close()
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in [[], *rows]:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
        )
    return 1 if any("FAIL" in cell for row in rows for cell in row) else 0


if __name__ == "__main__":
    sys.exit(main())
