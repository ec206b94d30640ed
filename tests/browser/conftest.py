"""Real JupyterLab servers on a throw-away cluster, and a real browser.

This is a pytest session of its own: see tests/run.py.

`--cluster real` uses a real Kubernetes control plane with our node instead of the embedded cluster.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from waiting import responds, until_started

START_SECONDS = 90
CLUSTER_STOP_SECONDS = 60
TOKEN = "browser-test-token"
REAL_WORKSPACES = Path(__file__).resolve().parent.parent / "control_plane" / "real_workspaces.py"
PANEL_CELL = "import jupyter_workspaces as jw\n\njw.panel()"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cluster",
        choices=("embedded", "real"),
        default="embedded",
        help="what the servers work with",
    )


@pytest.fixture(scope="module")
def any_cluster(pytestconfig: pytest.Config) -> None:
    """For what is the same on every cluster, and takes long: it is tried on the embedded one."""
    if pytestconfig.getoption("--cluster") != "embedded":
        pytest.skip("the same on every cluster; tried on the embedded one")


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab with the extension. `url` ends in a slash."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    home: Path

    def page(self, path: str) -> str:
        return f"{self.url}{path}?token={TOKEN}&reset"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = os.environ.get("JUPYTER_WORKSPACES_CHROMIUM") or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None
    )
    if found is None:
        pytest.skip(
            "there is no Chromium: install Debian's package chromium, "
            "or set JUPYTER_WORKSPACES_CHROMIUM"
        )
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found)
        yield running
        running.close()


@pytest.fixture(scope="session")
def cluster_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The directory of the cluster that all servers of the session share."""
    from jupyter_workspaces.local import launch

    home = tmp_path_factory.mktemp("cluster") / "home"
    yield home
    if home.exists():
        launch.reset(home)


@pytest.fixture(scope="session")
def cluster_environment(
    pytestconfig: pytest.Config, cluster_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """What tells a server its cluster."""
    chosen = {"JUPYTER_WORKSPACES_HOME": str(cluster_home)}
    if pytestconfig.getoption("--cluster") == "embedded":
        yield chosen
        return
    folder = tmp_path_factory.mktemp("real")
    log = folder / "log"
    with log.open("wb") as written:
        command = [sys.executable, str(REAL_WORKSPACES), str(folder / "cluster")]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=written, stderr=written
        )
    try:
        path = until_started(lambda: _kubeconfig(log), process, log, START_SECONDS)
        yield chosen | {"KUBECONFIG": path}
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(CLUSTER_STOP_SECONDS)


@pytest.fixture(scope="session")
def start_lab(
    cluster_environment: dict[str, str],
    cluster_home: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., Lab]]:
    started: list[Lab] = []

    def start(base_url: str, *more: str) -> Lab:
        folder = tmp_path_factory.mktemp("lab")
        notebook = {
            "cells": [
                {
                    "cell_type": "code",
                    "id": "panel",
                    "metadata": {},
                    "outputs": [],
                    "execution_count": None,
                    "source": PANEL_CELL,
                }
            ],
            "metadata": {
                "kernelspec": {
                    "name": "python3",
                    "display_name": "Python 3 (ipykernel)",
                    "language": "python",
                }
            },
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        (folder / "work").mkdir()
        (folder / "work" / "panel.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
        port = free_port()
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in ("KUBECONFIG", "JUPYTER_WORKSPACES_URL")
        }
        environment |= {
            f"JUPYTER_{name}_DIR": str(folder / name.lower())
            for name in ("CONFIG", "DATA", "RUNTIME")
        }
        environment |= {
            **cluster_environment,
            "JUPYTER_PREFER_ENV_PATH": "1",
            "JUPYTERLAB_SETTINGS_DIR": str(_settings(folder)),
        }
        command = [
            *(
                sys.executable,
                "-m",
                "jupyterlab",
                "--no-browser",
                "--allow-root",
                f"--port={port}",
                "--ServerApp.port_retries=0",
            ),
            *(
                f"--IdentityProvider.token={TOKEN}",
                f"--ServerApp.base_url={base_url}",
                f"--ServerApp.root_dir={folder / 'work'}",
            ),
            *("--LabApp.expose_app_in_browser=True", "--ServerApp.ip=127.0.0.1", *more),
        ]
        log = folder / "log"
        with log.open("wb") as written:
            process = subprocess.Popen(
                command,
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=written,
            )
        lab = Lab(f"http://127.0.0.1:{port}{base_url}", process, log, cluster_home)
        started.append(lab)
        until_started(lambda: responds(f"{lab.url}api"), process, log, START_SECONDS)
        return lab

    yield start
    for lab in started:
        lab.process.send_signal(signal.SIGTERM)
        try:
            lab.process.wait(20)
        except subprocess.TimeoutExpired:
            lab.process.kill()
            lab.process.wait(20)


@pytest.fixture(scope="session")
def lab(start_lab: Callable[[str], Lab]) -> Lab:
    """The server at `/`."""
    return start_lab("/")


@pytest.fixture(scope="session")
def hub_lab(start_lab: Callable[[str], Lab], lab: Lab) -> Lab:
    """A second server as a JupyterHub would place it, on the same cluster."""
    return start_lab("/user/x%40y/")


@pytest.fixture(scope="session")
def apart_lab(start_lab: Callable[..., Lab], lab: Lab) -> Lab:
    """A server whose workspaces open at origins of their own, on the same cluster."""
    return start_lab("/", f"--JupyterWorkspaces.workspaces_url=http://*.localhost:{free_port()}")


@pytest.fixture
def picture() -> Callable[[Page, str], None]:
    """Keep a screenshot where `JUPYTER_WORKSPACES_SCREENSHOTS` says."""
    folder = os.environ.get("JUPYTER_WORKSPACES_SCREENSHOTS")

    def take(page: Page, name: str, **options: Any) -> None:
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=str(Path(folder) / f"{name}.png"), **options)

    return take


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _kubeconfig(log: Path) -> str:
    """Return the path that the real cluster has printed, or an empty string."""
    found = re.search(r"^KUBECONFIG=(.+)$", log.read_text(errors="replace"), re.MULTILINE)
    return found[1] if found else ""


def _settings(folder: Path) -> Path:
    """No question about news in front of what is tested."""
    settings = folder / "settings"
    notification = (
        settings / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    )
    notification.parent.mkdir(parents=True)
    notification.write_text(
        json.dumps({"fetchNews": "false", "checkForUpdates": False}), encoding="utf-8"
    )
    return settings
