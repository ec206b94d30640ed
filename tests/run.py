"""Run the tests; print first what runs and about how long it takes, and last what did not run.

`python tests/run.py` runs the quick suite, which needs nothing but Python. `--all` adds tests with
real JupyterLabs, a browser and a real Kubernetes control plane, as far as this machine has them;
`--real-cluster` builds the control plane if it is missing. Other arguments go to pytest.
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
from support import localkube_record

ROOT = Path(__file__).resolve().parent.parent
BROWSER_SUITES = sorted(found.parent for found in (ROOT / "tests").glob("*/pytest.ini"))
LOCALKUBE_VARIABLE = "JW_TEST_LOCALKUBE"
# Measured on two cores.
SECONDS = {
    "quick suite": 220,
    "real processes": 1000,
    "real cluster": 580,
    "browser: browser": 500,
    "browser: real cluster": 190,
    "browser: browser_panel": 35,
}
LOCALKUBE_SECONDS = {"quick suite": 90, "real processes": 120}
BUILD_SECONDS = 360
# Half of a worker's time is waiting.
WORKERS_PER_CORE = 2
MOST_WORKERS = 16


@dataclass(frozen=True)
class Session:
    """One run of pytest.

    `missing` is the reason why this machine cannot run it. A session that `waits` most of its time
    runs at the same time as others that do. `localkube` names the part of the tests of `localkube`
    that it contains, if any.
    """

    name: str
    arguments: list[str]
    missing: str | None = None
    waits: bool = False
    localkube: str | None = None


def browser() -> str | None:
    """Return the path of Chromium, or None."""
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
    """Return the command that starts pytest.

    It is the script: `python -m pytest` would import the package from the source tree instead of
    the installed one.
    """
    script = shutil.which("pytest", path=str(Path(sys.executable).parent))
    return [script] if script else [sys.executable, "-m", "pytest"]


def workers() -> list[str]:
    """Return the arguments that run tests of different files in parallel, if xdist is there."""
    if importlib.util.find_spec("xdist") is None:
        return []
    count = min(MOST_WORKERS, WORKERS_PER_CORE * (os.cpu_count() or 1))
    return ["-n", str(count), "--dist", "loadfile"]


def sessions(everything: bool, real_cluster: bool, skipped: set[str]) -> list[Session]:
    """Return the sessions in order, the fastest first.

    Args:
        everything: Whether to add what needs more than Python.
        real_cluster: Whether to build the real control plane if it is missing.
        skipped: The parts of the tests of `localkube` that need not run.
    """

    def without(part: str) -> list[str]:
        return ["--ignore", "tests/localkube"] if part in skipped else []

    def contains(part: str) -> str | None:
        return None if part in skipped else part

    found = [
        Session(
            "quick suite",
            ["tests", "-m", "not slow", *without("quick"), *workers()],
            localkube=contains("quick"),
        )
    ]
    if not everything:
        return found
    found.append(
        Session(
            "real processes",
            ["tests", "-m", "slow", *without("slow")],
            waits=True,
            localkube=contains("slow"),
        )
    )
    may_start = real_cluster or os.environ.get("JW_TEST_KUBECONFIG")
    absent = None if may_start else control_plane_binaries.missing()
    build = ["--real-cluster"] if real_cluster else []
    found.append(
        Session("real cluster", ["tests", "--cluster", "real", *build], absent, waits=True)
    )
    missing = None
    if importlib.util.find_spec("playwright") is None:
        missing = "the package playwright is not installed: pip install '.[test]'"
    elif browser() is None:
        missing = "no Chromium: install chromium, or set JUPYTER_WORKSPACES_CHROMIUM"
    for suite in BROWSER_SUITES:
        folder = str(suite)
        arguments = ["-c", str(suite / "pytest.ini"), "--confcutdir", folder, "--rootdir", folder]
        found.append(Session(f"browser: {suite.name}", [*arguments, folder], missing))
        if suite.name == "browser":
            real = [*arguments, folder, "--cluster", "real"]
            found.append(Session("browser: real cluster", real, missing or absent))
    return found


def groups(found: list[Session]) -> list[list[Session]]:
    """Return the sessions that run at the same time: those that wait together, others alone."""
    waiting = [session for session in found if session.waits]
    alone = [[session] for session in found if not session.waits]
    return [*alone[:1], waiting, *alone[1:]] if waiting else alone


def parts_of_localkube(requested: bool, everything: bool) -> tuple[str, set[str]]:
    """Decide which tests of `localkube` can be skipped.

    Returns the state of its files and the parts to skip. See `localkube_record` for the rule.
    """
    current = localkube_record.digest()
    parts = ["quick", "slow"] if everything else ["quick"]
    if requested or os.environ.get(LOCALKUBE_VARIABLE):
        print("Tests of localkube: run, as requested.")
        return current, set()
    skipped = {part for part in parts if localkube_record.has_passed(part, current)}
    for part in parts:
        reason = (
            "skipped, they have passed on these files (--localkube runs them)"
            if part in skipped
            else "run, no pass on these files is recorded"
        )
        print(f"Tests of localkube, {part} part: {reason}.")
    return current, skipped


def estimate(session: Session) -> int:
    """Return about how many seconds a session takes on two cores."""
    less = 0 if session.localkube else LOCALKUBE_SECONDS.get(session.name, 0)
    return SECONDS.get(session.name, 60) - less


def announce(found: list[Session], real_cluster: bool) -> None:
    """Print what will run and about how long each part takes."""
    ready = [session for session in found if session.missing is None]
    build = BUILD_SECONDS if real_cluster and control_plane_binaries.missing() else 0
    total = build + sum(max(map(estimate, group)) for group in groups(ready))
    print(f"On two cores the tests take about {minutes(total)}:")
    if build:
        print(f"  {'build of the control plane':<26} {minutes(build):>7}")
    for session in found:
        told = f"not run: {session.missing}" if session.missing else minutes(estimate(session))
        beside = ", at the same time as others" if session.waits and not session.missing else ""
        print(f"  {session.name:<26} {told:>7}{beside}")
    sys.stdout.flush()


def minutes(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{round(seconds / 60)} min"


def run(
    group: list[Session], scratch: Path, environment: dict[str, str], extra: list[str]
) -> list[tuple[Session, int, float]]:
    """Run sessions at the same time; return the exit status and seconds of each.

    The output of all but the first is printed after they have ended.
    """
    began = time.monotonic()
    started: list[tuple[Session, subprocess.Popen[bytes], Path | None]] = []
    for number, session in enumerate(group):
        print(f"\n=== {session.name} ==={' (output follows)' if number else ''}", flush=True)
        own = scratch / session.name.replace(" ", "-").replace(":", "")
        folders = {
            f"JUPYTER_{name}_DIR": str(own / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")
        }
        folders["JUPYTER_WORKSPACES_HOME"] = str(own / "cluster")
        log = scratch / f"{own.name}.log" if number else None
        output = log.open("wb") if log else None
        command = [*pytest_command(), *session.arguments, *extra]
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment | folders, stdout=output, stderr=output
        )
        started.append((session, process, log))
    results = []
    for session, process, log in started:
        status = process.wait()
        seconds = time.monotonic() - began
        if log is not None:
            print(f"\n=== {session.name} ===\n{log.read_text(errors='replace')}", flush=True)
        results.append((session, status, seconds))
    return results


def clean_environment() -> dict[str, str]:
    """Return the environment without settings of the user that would change what is tested."""
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
    return environment


def record(results: list[tuple[Session, int, float]], before: str) -> None:
    """Record that the tests of `localkube` passed, unless the files changed during the run."""
    passed = [session.localkube for session, status, _ in results if status == 0]
    parts = [part for part in passed if part is not None]
    if parts and localkube_record.digest() == before and localkube_record.write(parts, before):
        name = localkube_record.RECORD.relative_to(ROOT)
        print(f"\n{name} changed. Commit it, so that unchanged tests of localkube are skipped.")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--all", action="store_true", help="everything that this machine can run")
    parser.add_argument("--quick", action="store_true", help="the quick suite (the default)")
    parser.add_argument(
        "--real-cluster",
        action="store_true",
        help="with --all: build the real control plane if it is missing (about 6 minutes)",
    )
    parser.add_argument(
        "--localkube",
        action="store_true",
        help="run the tests of localkube even if they have passed on the same files; "
        f"{LOCALKUBE_VARIABLE}=1 does the same",
    )
    chosen, extra = parser.parse_known_args()
    if chosen.quick and chosen.all:
        parser.error("--quick and --all exclude each other")
    if chosen.real_cluster and not chosen.all:
        parser.error("--real-cluster needs --all")
    current, skipped = parts_of_localkube(chosen.localkube, chosen.all)
    found = sessions(chosen.all, chosen.real_cluster, skipped)
    announce(found, chosen.real_cluster)
    results: list[tuple[Session, int, float]] = []
    # Each run keeps its clusters, settings and kernels apart from the user's.
    with tempfile.TemporaryDirectory(prefix="jw-tests-") as scratch:
        for group in groups([session for session in found if session.missing is None]):
            results += run(group, Path(scratch), clean_environment(), extra)
    print("\n=== summary ===")
    for session, status, seconds in results:
        outcome = "passed" if status == 0 else f"FAILED (pytest exit {status})"
        print(f"{session.name:<24} {seconds:6.1f} s  {outcome}")
    for session in found:
        if session.missing is not None:
            print(f"{session.name:<24}           not run: {session.missing}")
    if chosen.all and shutil.which("node") is None:
        print("lint of TypeScript                 not run: no Node.js (only developers need it)")
    if not extra:  # other arguments of pytest may select tests
        record(results, current)
    return 1 if any(status for _, status, _ in results) else 0


if __name__ == "__main__":
    sys.exit(main())
