"""Seconds until a restarted local cluster is usable by server, command line and client.

After `local reset` + `start` (another port, token and authority) and after `local stop` + `start`.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from measure import Figure, at_most, median, until

from jupyter_workspaces.client import Client, WorkspaceError
from jupyter_workspaces.demo import stop
from jupyter_workspaces.local import launch

REPEATS = 3
GOAL_SECONDS = 3.0


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def measure() -> list[Figure]:
    found: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / "cluster"
        os.environ["JUPYTER_WORKSPACES_HOME"] = str(home)
        os.environ.pop("KUBECONFIG", None)
        port, client = free_port(), Client()
        command = [
            sys.executable,
            "-m",
            "jupyter_workspaces.cli",
            "serve",
            "--no-auth",
            "--port",
            str(port),
        ]
        serving = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

        def server() -> bool:
            try:
                with urllib.request.urlopen(
                    f"http://127.0.0.1:{port}/api/v1/workspaces", timeout=30
                ) as answer:
                    return bool(answer.status == 200)
            except (urllib.error.URLError, OSError):
                return False

        def kernel() -> bool:
            try:
                client.list()
            except WorkspaceError:
                return False
            return True

        def command_line() -> bool:
            asked = [sys.executable, "-m", "jupyter_workspaces.cli", "list"]
            return subprocess.run(asked, capture_output=True, check=False).returncode == 0

        ways: dict[str, Callable[[], bool]] = {
            "server": server,
            "kernel client": kernel,
            "command line": command_line,
        }
        try:
            for what, end in (("reset", launch.reset), ("stop", launch.stop)):
                for way, usable in ways.items():
                    for _ in range(REPEATS):
                        until(usable, f"the {way} before the {what}")
                        end(home)
                        until(lambda usable=usable: not usable(), f"the {way} to notice")
                        launch.start(home)
                        began = time.perf_counter()
                        until(usable, f"the {way} after {what} and start")
                        found.setdefault((what, way), []).append(time.perf_counter() - began)
        finally:
            serving.terminate()
            serving.wait(20)
            client.close()
            stop(home)
    return [
        at_most(
            f"restarted cluster: {way} usable after {what} + start",
            median(times),
            GOAL_SECONDS,
            "s",
        )
        for (what, way), times in found.items()
    ]
