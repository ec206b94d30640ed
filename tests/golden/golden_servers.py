"""Starts what a folder of recordings needs, as processes of their own, and ends them by pid."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_SECONDS, STOP_SECONDS = 40.0, 10.0
PARTS = Path(__file__).with_name("embedded_parts.py")


@contextmanager
def embedded(folder: Path, *, controller: bool = False, node: bool = False) -> Iterator[Path]:
    """The embedded cluster's kubeconfig; without `controller` there are no admission rules of workspaces either."""
    flags = [*(["--controller"] if controller else []), *(["--node"] if node else [])]
    with _process([str(PARTS), str(folder), *flags], folder / "cluster.log") as process:
        kubeconfig = folder / "kubeconfig"
        _until(kubeconfig.exists, process, folder / "cluster.log")
        yield kubeconfig


@contextmanager
def serving(kubeconfig: Path, folder: Path) -> Iterator[str]:
    """The address of `serve --trusted-header-auth` before a cluster."""
    runtime, log = folder / "serve.json", folder / "serve.log"
    program = (
        "import sys; from jupyter_workspaces.serve import main; "
        "main(port=0, trusted_header_auth=True, kubeconfig=sys.argv[1], runtime_file=sys.argv[2])"
    )
    with _process(["-c", program, str(kubeconfig), str(runtime)], log) as process:
        _until(runtime.exists, process, log)
        yield _read(runtime)["url"].rstrip("/")


@contextmanager
def _process(arguments: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    folder = log.parent
    folder.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    environment.pop("KUBECONFIG", None)
    with log.open("wb") as written:
        process = subprocess.Popen([sys.executable, *arguments], env=environment, stdin=subprocess.DEVNULL, stdout=written, stderr=written)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)


def _until(condition: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while not condition():
        if process.poll() is not None or time.monotonic() > end:
            raise AssertionError(f"{process.args} did not start; its last words: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
