"""Time from spawn to the Lab's page, compared with a bare JupyterLab; pause and resume."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from measure import Figure, at_most, median, until

import jupyter_workspaces as jw
from jupyter_workspaces.demo import stop

REPEATS = 3


def answers(url: str, token: str) -> bool:
    """Whether the Lab's page is there."""
    request = urllib.request.Request(url, headers={"Authorization": f"token {token}"})
    try:
        with urllib.request.urlopen(request, timeout=5) as page:
            return page.status == 200 and b"jupyter-config-data" in page.read()
    except (urllib.error.URLError, OSError):
        return False


def bare_lab(folder: Path) -> float:
    """Seconds from the start of `jupyter lab` to its page."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [
        "--no-browser",
        "--allow-root",
        f"--port={port}",
        "--IdentityProvider.token=bare",
        f"--ServerApp.root_dir={folder}",
    ]
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={
            **os.environ,
            "JUPYTER_WORKSPACE": "bench/bare",
        },  # no cluster of its own beside the one that is measured
    )
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/lab", "bare"), "a bare JupyterLab")
        return time.perf_counter() - began
    finally:
        process.terminate()
        process.wait(20)


def measure() -> list[Figure]:
    bare, spawned, paused, resumed = [], [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / "cluster"
        os.environ["JUPYTER_WORKSPACES_HOME"] = str(home)
        client = jw.use_server()
        try:
            client.create_claim("bench-home", "1Gi")
            token = (
                client.asynchronous._server.token if client.asynchronous._server is not None else ""
            )
            for number in range(REPEATS):
                bare.append(bare_lab(Path(scratch)))
                began = time.perf_counter()
                workspace = client.spawn(
                    "jupyterlab", name=f"bench-{number}", size="Tiny", home="bench-home"
                )
                url = f"{client.asynchronous.root.rstrip('/')}{workspace.path}lab"
                until(lambda url=url: answers(url, token), "the workspace")
                spawned.append(time.perf_counter() - began)
                began = time.perf_counter()
                workspace.wait(quiet=True).pause(wait=False)
                until(
                    lambda workspace=workspace: workspace.refresh().state == "Paused",
                    "the pause",
                    pause=0.05,
                )
                paused.append(time.perf_counter() - began)
                began = time.perf_counter()
                workspace.resume(wait=False)
                until(lambda url=url: answers(url, token), "the resumed workspace")
                resumed.append(time.perf_counter() - began)
                workspace.delete()
        finally:
            client.close()
            stop(home)
    reference = f"bare `jupyter lab` in the same run: {median(bare):.2f} s"
    return [
        at_most(
            "spawn to the Lab page through the proxy, times a bare Lab",
            median(spawned) / median(bare),
            1.2,
            "×",
            f"{median(spawned):.2f} s; {reference}",
        ),
        at_most("pause to Paused", median(paused), 3, "s", reference),
        at_most(
            "resume to the Lab page, times a bare Lab",
            median(resumed) / median(bare),
            1.2,
            "×",
            f"{median(resumed):.2f} s; {reference}",
        ),
    ]
