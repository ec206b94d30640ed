"""Run the tests and say at the end what ran, what did not, and why.

`python tests/run.py` runs everything that this machine can; `--quick` only what needs no real Lab and no browser (five minutes on two cores).
The tests of both clusters run on a real Kubernetes control plane, too, when its programs are built; `--real-cluster` builds them.
The browser's tests are sessions of their own: Playwright and pytest-jupyter cannot share one event loop.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from control_plane import control_plane_binaries

ROOT = Path(__file__).resolve().parent.parent
BROWSER_SUITES = sorted(found.parent for found in (ROOT / "tests").glob("*/pytest.ini"))


@dataclass(frozen=True)
class Session:
    """One run of pytest. `missing` says why this machine cannot run it."""

    name: str
    arguments: list[str]
    missing: str | None = None


def browser() -> str | None:
    """Where Chromium is, if anywhere."""
    named = os.environ.get("JUPYTER_WORKSPACES_CHROMIUM")
    return named or next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)


def pytest_command() -> list[str]:
    """Pytest by its script: `python -m pytest` would put the source tree before the installed package that is to be tested."""
    script = shutil.which("pytest", path=str(Path(sys.executable).parent))
    return [script] if script else [sys.executable, "-m", "pytest"]


def sessions(quick: bool, real_cluster: bool) -> list[Session]:
    """The sessions in order: the fastest answer first."""
    side_by_side = ["-n", "auto", "--dist", "loadfile"] if importlib.util.find_spec("xdist") is not None else []
    found = [Session("quick suite", ["tests", "-m", "not slow", *side_by_side])]
    if quick:
        return found
    found.append(Session("real processes", ["tests", "-m", "slow"]))
    may_start = real_cluster or os.environ.get("JW_TEST_KUBECONFIG")
    absent = None if may_start else control_plane_binaries.missing()
    asked = ["--real-cluster"] if real_cluster else []
    found.append(Session("real cluster", ["tests", "--cluster", "real", *asked], absent))
    missing = None
    if importlib.util.find_spec("playwright") is None:
        missing = "the package playwright is not installed: pip install '.[test]'"
    elif browser() is None:
        missing = "there is no Chromium: install Debian's package chromium, or set JUPYTER_WORKSPACES_CHROMIUM"
    for suite in BROWSER_SUITES:
        arguments = ["-c", str(suite / "pytest.ini"), "--confcutdir", str(suite), "--rootdir", str(suite), str(suite)]
        found.append(Session(f"browser: {suite.name}", arguments, missing))
        if suite.name == "browser":
            found.append(Session("browser: real cluster", [*arguments, "--cluster", "real"], missing or absent))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only the quick suite")
    parser.add_argument("--real-cluster", action="store_true", help="build the real control plane where it is not built (about 6 minutes)")
    chosen, extra = parser.parse_known_args()
    rows: list[tuple[str, str, float]] = []
    failed = False
    # Each run keeps its clusters, settings and kernels to itself, whatever the person who runs it has at home.
    with tempfile.TemporaryDirectory(prefix="jw-tests-") as scratch:
        kept = ("JUPYTER_WORKSPACES_CHROMIUM", "JUPYTER_WORKSPACES_SCREENSHOTS", "JUPYTER_WORKSPACES_KUBECTL", "KUBEBUILDER_ASSETS")
        environment = {
            key: value for key, value in os.environ.items() if key in kept or not key.startswith(("JUPYTER_WORKSPACES_", "KUBE"))
        }
        environment |= {f"JUPYTER_{name}_DIR": str(Path(scratch) / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        environment |= {"JUPYTER_WORKSPACES_HOME": str(Path(scratch) / "cluster"), "PYTHONUNBUFFERED": "1"}
        if (chromium := browser()) is not None:
            environment["JUPYTER_WORKSPACES_CHROMIUM"] = chromium
        for session in sessions(chosen.quick, chosen.real_cluster):
            if session.missing is not None:
                rows.append((session.name, f"not run: {session.missing}", 0.0))
                continue
            print(f"\n=== {session.name} ===", flush=True)
            began = time.monotonic()
            status = subprocess.run([*pytest_command(), *session.arguments, *extra], cwd=ROOT, env=environment).returncode
            failed |= status != 0
            rows.append((session.name, "passed" if status == 0 else f"FAILED (pytest exit {status})", time.monotonic() - began))
    if shutil.which("node") is None:
        rows.append(("lint of TypeScript", "not run: there is no Node.js (only developers need it)", 0.0))
    print("\n=== summary ===")
    for name, outcome, seconds in rows:
        print(f"{name:<24} {seconds:6.1f} s  {outcome}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
