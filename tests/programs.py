"""Use programs in workspaces in a real browser, at `/` and at `/user/x/`. Asked for; `.ci/run` uses the light ones.

`python tests/programs.py` tries all, `python tests/programs.py dash streamlit` some, `--light` those that are quickly installed. Each is
installed from PyPI into an environment of its own, once. Prints a table, and ends with 1 where a program did not work.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "programs"))

from playwright.sync_api import Browser, sync_playwright
from programs_catalog import PROGRAMS, Program
from programs_hub import use_behind_hub
from programs_running import WAYS, Way, installed, use


def tried(program: Program, way: Way, browser: Browser) -> str:
    """ "ok" with the seconds that it took, or "FAIL"."""
    began = time.monotonic()
    try:
        use(program, way, browser)
    except Exception:  # noqa: BLE001 - whatever went wrong is this row's result
        traceback.print_exc()
        return "FAIL"
    return f"ok {time.monotonic() - began:.0f} s"


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
    programs = [program for program in PROGRAMS if program.name in (chosen.names or known) and (program.light or not chosen.light)]
    ways = [WAYS[number] for number in chosen.way] if chosen.way else list(WAYS)
    executable = os.environ.get("JUPYTER_WORKSPACES_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    rows = [["program", *(way.name for way in ways)]]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable)
        if chosen.hub:
            results = use_behind_hub([program for program in PROGRAMS if program.name in (chosen.names or ("dash", "streamlit"))], browser)
            print("\n" + "\n".join(f"{name:<12} behind JupyterHub: {result}" for name, result in results.items()))
            return 1 if any(result != "ok" for result in results.values()) else 0
        for program in programs:
            installed(program)
            row = [program.name]
            for way in ways:
                row.append(tried(program, way, browser))
                print(f"{program.name}, {way.name}: {row[-1]}", flush=True)
            rows.append(row)
        browser.close()
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print("\n" + "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows))
    return 1 if any("FAIL" in row for row in rows[1:]) else 0


if __name__ == "__main__":
    sys.exit(main())
