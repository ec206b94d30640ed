"""One local cluster with a kind for each program, and Jupyter servers on it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from programs_catalog import PREFIX, Program
from programs_environments import install

from jupyter_workspaces.local import launch
from jupyter_workspaces.resources.metadata_keys import TOKEN_ENV

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from running_cluster import ask
from waiting import responds, until_started

TOKEN = "programs-test-token"
START_SECONDS = 90.0
STOP_SECONDS = 30
CONTAINER_PORT = 8888
KINDS_PATH = "/apis/kubeflow.org/v1beta1/workspacekinds"


@dataclass(frozen=True)
class Server:
    """A Jupyter server with the extension. `url` ends in a slash."""

    url: str
    base_url: str
    log: Path


@contextmanager
def cluster(home: Path) -> Iterator[Path]:
    """Run a local cluster in `home`, and yield `home`. At the end its workspaces end with it."""
    launch.start(home, timeout=START_SECONDS)
    try:
        yield home
    finally:
        launch.reset(home)


def add_kinds(home: Path, programs: Sequence[Program]) -> None:
    """Map an image per program to its command, and create a kind per program."""
    images = [{"image": image(program), "command": command(program, home)} for program in programs]
    (home / "images.yaml").write_text(yaml.safe_dump({"images": images}), encoding="utf-8")
    for program in programs:
        status, made = ask(home, "POST", KINDS_PATH, kind(program))
        assert status == 201, made


def image(program: Program) -> str:
    """Return the name of the program's image."""
    return f"programs.test/{program.name}:1"


def command(program: Program, home: Path) -> list[str]:
    """Return what runs for the program's image: its files are copied into the home first."""
    files = home / "programs" / program.name
    files.mkdir(parents=True)
    for name, text in program.files.items():
        (files / name).write_text(text, encoding="utf-8")
    return ["/bin/sh", "-c", f"cp -R '{files}/.' . && exec {program.command}"]


def kind(program: Program) -> dict[str, Any]:
    """Return the program's WorkspaceKind. Its environment comes first on `PATH`."""
    path = f"{install(program.name, program.requirements)}:/usr/local/bin:/usr/bin:/bin"
    variables = {"PATH": path, "NB_PREFIX": PREFIX, "PYTHONUNBUFFERED": "1", **program.environment}
    picture = {"url": "https://pictures.example/program.svg"}
    size = {"resources": {"requests": {"cpu": "100m", "memory": "256Mi"}}}
    port = {"id": program.port_id, "displayName": "Page", "port": CONTAINER_PORT}
    asked = "/" if program.removes_prefix else PREFIX
    ready = {
        "httpGet": {"path": asked, "port": CONTAINER_PORT},
        "periodSeconds": 1,
        "timeoutSeconds": 5,
    }

    def option(name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
        value = {"id": name, "spawner": {"displayName": name}, "spec": spec}
        return {"spawner": {"default": name}, "values": [value]}

    return {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "WorkspaceKind",
        "metadata": {
            "name": program.name,
            "annotations": {TOKEN_ENV: "JUPYTER_TOKEN"} if program.has_token else {},
        },
        "spec": {
            "spawner": {
                "displayName": program.name,
                "description": f"{program.name}, as in docs/programs.md",
                "icon": picture,
                "logo": picture,
            },
            "podTemplate": {
                "ports": [
                    {
                        "id": program.port_id,
                        "protocol": "HTTP",
                        "defaultDisplayName": "Page",
                        "httpProxy": {"removePathPrefix": program.removes_prefix},
                    }
                ],
                "volumeMounts": {"home": "/home/jovyan"},
                "probes": {"readinessProbe": ready},
                "extraEnv": [{"name": name, "value": value} for name, value in variables.items()],
                "options": {
                    "imageConfig": option("latest", {"image": image(program), "ports": [port]}),
                    "podConfig": option("tiny", size),
                },
            },
        },
    }


@contextmanager
def servers(home: Path, folder: Path, base_urls: Sequence[str]) -> Iterator[dict[str, Server]]:
    """Run a Jupyter server for each base URL, on the cluster in `home`."""
    with ExitStack() as stack:
        yield {
            base_url: stack.enter_context(_server(home, folder, base_url)) for base_url in base_urls
        }


@contextmanager
def _server(home: Path, parent: Path, base_url: str) -> Iterator[Server]:
    folder = parent / f"server{base_url.strip('/').replace('/', '-')}"
    (folder / "work").mkdir(parents=True)
    port = free_port()
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JUPYTER", "KUBE"))
    }
    own = {
        f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")
    }
    extensions = {"jupyter_workspaces": True}
    line = [
        *(sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root"),
        *(f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--ServerApp.ip=127.0.0.1"),
        *(f"--ServerApp.base_url={base_url}", f"--ServerApp.root_dir={folder / 'work'}"),
        *(f"--IdentityProvider.token={TOKEN}", f"--ServerApp.jpserver_extensions={extensions}"),
    ]
    url = f"http://127.0.0.1:{port}{base_url}"
    environment = (
        kept | own | {"JUPYTER_WORKSPACES_HOME": str(home), "JUPYTER_PREFER_ENV_PATH": "1"}
    )
    with running(line, environment, folder, f"{url}api") as log:
        yield Server(url, base_url, log)


@contextmanager
def running(
    line: Sequence[str], environment: Mapping[str, str], folder: Path, url: str
) -> Iterator[Path]:
    """Run a server in `folder` and wait until `url` answers.

    The server runs in its own process group. Yields the path of its log.
    """
    log = folder / "log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            line,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
            start_new_session=True,
        )
    try:
        until_started(lambda: responds(url), process, log, START_SECONDS)
        yield log
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Stop a process and those of its group: by SIGTERM, then by SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(STOP_SECONDS)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def processes_of(workspace: str) -> list[str]:
    """Return the command lines of the processes of a workspace of `default` that still run."""
    mark = f"JUPYTER_WORKSPACE=default/{workspace}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append(
                    (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
        except OSError:  # ended meanwhile, or another user's
            continue
    return [line for line in found if line]


def free_port() -> int:
    """Return a port of 127.0.0.1 at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
