"""Run the tests of both clusters on the control plane of older supported minor releases."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import control_plane_binaries
from matrix_table import Outcome

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ("1.34.4", "1.35.0")
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
SUITES = ("kube", "controller", "server/api")
SUITE_SECONDS = 1800


def run(names: Sequence[str]) -> list[Outcome]:
    """Run each suite on each chosen version.

    Raises:
        NoBinaries: if the programs cannot be built.
        ValueError: if a name matches no version.
    """
    for name in names:
        if not any(version.startswith(name) for version in VERSIONS):
            raise ValueError(f"there is no server {name}; there are {', '.join(VERSIONS)}")
    outcomes = []
    for version in VERSIONS:
        if names and not any(version.startswith(name) for name in names):
            continue
        folder = "kubernetes_" + "_".join(version.split(".")[:2])
        programs = control_plane_binaries.ensure_version(
            version, control_plane_binaries.kubernetes_module(folder, version, *PROGRAMS)
        )
        for suite in SUITES:
            outcomes.append(_suite(version, suite, programs))
    return outcomes


def _suite(version: str, suite: str, programs: Path) -> Outcome:
    print(f"\n=== tests/{suite} on Kubernetes {version} ===", flush=True)
    began = time.monotonic()
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("JUPYTER_WORKSPACES_", "KUBE", "JW_"))
    }
    environment[control_plane_binaries.READY] = str(
        programs
    )  # etcd, kwok and kubectl are the current ones
    with TemporaryDirectory(prefix="jw-matrix-") as scratch:
        environment |= {
            f"JUPYTER_{name}_DIR": str(Path(scratch) / name.lower())
            for name in ("CONFIG", "DATA", "RUNTIME")
        }
        environment["JUPYTER_WORKSPACES_HOME"] = str(Path(scratch) / "cluster")
        report = Path(scratch) / "report.xml"
        words = [
            "-m",
            "pytest",
            f"tests/{suite}",
            "--cluster",
            "real",
            "-m",
            "not slow",
            "-q",
            f"--junitxml={report}",
        ]
        try:
            status = subprocess.run(
                [sys.executable, *words],
                cwd=ROOT,
                env=environment,
                timeout=SUITE_SECONDS,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            return Outcome(
                version, suite, f"not done within {SUITE_SECONDS} s", time.monotonic() - began
            )
        failure = "" if status == 0 else f"pytest exit {status}: {', '.join(_failed(report))}"
    return Outcome(version, suite, failure, time.monotonic() - began)


def _failed(report: Path) -> list[str]:
    if not report.exists():
        return []
    cases = ElementTree.parse(report).iter("testcase")
    return [
        case.get("name", "?")
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    ]
