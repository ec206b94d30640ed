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
    """One run of pytest. `missing` says why this machine cannot run it; `waits` that it mostly waits, so that one more can run beside it."""

    name: str
    arguments: list[str]
    missing: str | None = None
    waits: bool = False


def browser() -> str | None:
    """Where Chromium is, if anywhere."""
    named = os.environ.get("JUPYTER_WORKSPACES_CHROMIUM")
    return named or next(
        (
            found
            for name in ("chromium", "chromium-browser", "google-chrome")
            if (found := shutil.which(name))
        ),
        None,
    )


def pytest_command() -> list[str]:
    """Pytest by its script: `python -m pytest` would put the source tree before the installed package that is to be tested."""
    script = shutil.which("pytest", path=str(Path(sys.executable).parent))
    return [script] if script else [sys.executable, "-m", "pytest"]


def sessions(quick: bool, real_cluster: bool) -> list[Session]:
    """The sessions in order: the fastest answer first."""
    side_by_side = (
        ["-n", "auto", "--dist", "loadfile"]
        if importlib.util.find_spec("xdist") is not None
        else []
    )
    found = [Session("quick suite", ["tests", "-m", "not slow", *side_by_side])]
    if quick:
        return found
    found.append(Session("real processes", ["tests", "-m", "slow"], waits=True))
    may_start = real_cluster or os.environ.get("JW_TEST_KUBECONFIG")
    absent = None if may_start else control_plane_binaries.missing()
    asked = ["--real-cluster"] if real_cluster else []
    found.append(
        Session("real cluster", ["tests", "--cluster", "real", *asked], absent, waits=True)
    )
    missing = None
    if importlib.util.find_spec("playwright") is None:
        missing = "the package playwright is not installed: pip install '.[test]'"
    elif browser() is None:
        missing = "there is no Chromium: install Debian's package chromium, or set JUPYTER_WORKSPACES_CHROMIUM"
    for suite in BROWSER_SUITES:
        arguments = [
            "-c",
            str(suite / "pytest.ini"),
            "--confcutdir",
            str(suite),
            "--rootdir",
            str(suite),
            str(suite),
        ]
        found.append(Session(f"browser: {suite.name}", arguments, missing))
        if suite.name == "browser":
            found.append(
                Session(
                    "browser: real cluster", [*arguments, "--cluster", "real"], missing or absent
                )
            )
    return found


def groups(found: list[Session]) -> list[list[Session]]:
    """Sessions that run at the same time: those that mostly wait, all others alone."""
    waiting = [session for session in found if session.waits]
    made = [[session] for session in found if not session.waits]
    return [*made[:1], waiting, *made[1:]] if waiting else made


def run(
    group: list[Session], scratch: Path, environment: dict[str, str], extra: list[str]
) -> list[tuple[str, str, float]]:
    """Run sessions at the same time; what all but the first say is printed once they have ended. Gives name, outcome and seconds of each."""
    began = time.monotonic()
    started: list[tuple[Session, subprocess.Popen[bytes], Path | None]] = []
    for number, session in enumerate(group):
        print(f"\n=== {session.name} ==={' (told below)' if number else ''}", flush=True)
        own = scratch / session.name.replace(" ", "-").replace(":", "")
        folders = {
            f"JUPYTER_{name}_DIR": str(own / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")
        }
        folders["JUPYTER_WORKSPACES_HOME"] = str(own / "cluster")
        said = scratch / f"{own.name}.log" if number else None
        output = said.open("wb") if said else None
        command = [*pytest_command(), *session.arguments, *extra]
        started.append(
            (
                session,
                subprocess.Popen(
                    command, cwd=ROOT, env=environment | folders, stdout=output, stderr=output
                ),
                said,
            )
        )
    rows = []
    for session, process, said in started:
        status = process.wait()
        seconds = time.monotonic() - began
        if said is not None:
            print(f"\n=== {session.name} ===\n{said.read_text(errors='replace')}", flush=True)
        rows.append(
            (session.name, "passed" if status == 0 else f"FAILED (pytest exit {status})", seconds)
        )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="only the quick suite")
    parser.add_argument(
        "--real-cluster",
        action="store_true",
        help="build the real control plane where it is not built (about 6 minutes)",
    )
    chosen, extra = parser.parse_known_args()
    rows: list[tuple[str, str, float]] = []
    # Each run keeps its clusters, settings and kernels to itself, whatever the person who runs it has at home.
    with tempfile.TemporaryDirectory(prefix="jw-tests-") as scratch:
        kept = (
            "JUPYTER_WORKSPACES_CHROMIUM",
            "JUPYTER_WORKSPACES_SCREENSHOTS",
            "JUPYTER_WORKSPACES_KUBECTL",
            "KUBEBUILDER_ASSETS",
        )
        environment = {
            key: value
            for key, value in os.environ.items()
            if key in kept or not key.startswith(("JUPYTER_WORKSPACES_", "KUBE"))
        }
        environment |= {"PYTHONUNBUFFERED": "1"}
        if (chromium := browser()) is not None:
            environment["JUPYTER_WORKSPACES_CHROMIUM"] = chromium
        found = sessions(chosen.quick, chosen.real_cluster)
        rows += [
            (session.name, f"not run: {session.missing}", 0.0)
            for session in found
            if session.missing is not None
        ]
        for group in groups([session for session in found if session.missing is None]):
            rows += run(group, Path(scratch), environment, extra)
    if shutil.which("node") is None:
        rows.append(
            ("lint of TypeScript", "not run: there is no Node.js (only developers need it)", 0.0)
        )
    print("\n=== summary ===")
    for name, outcome, seconds in rows:
        print(f"{name:<24} {seconds:6.1f} s  {outcome}")
    return 1 if any("FAILED" in outcome for _, outcome, _ in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
