"""A local cluster on which each program is a workspace kind, and Jupyter servers that show its workspaces."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kubernetes
import psutil
import yaml
from programs_catalog import Program
from programs_environments import cache, install

from jupyter_workspaces.client import Client, Workspace, WorkspaceError
from jupyter_workspaces.local import launch
from jupyter_workspaces.resources import names
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS

ANSWER_SECONDS = 60
START_SECONDS = 300
END_SECONDS = 60
STOP_SECONDS = 20
TOKEN = "a-token-for-programs"
PORT = "web"
IMAGE = Path(__file__).with_name("programs_image.py")


@dataclass(frozen=True)
class Server:
    """A Jupyter server with the extension. `url` ends in a slash."""

    url: str
    client: Client

    def path(self, workspace: str, below: str = "") -> str:
        """The address of a workspace's program."""
        return f"{self.url}workspace/connect/default/{workspace}/{PORT}/{below}"


@contextmanager
def cluster(home: Path, programs: Sequence[Program]) -> Iterator[None]:
    """The cluster of a directory, with a kind of each program; deleted at the end."""
    home.mkdir(parents=True)
    home.chmod(0o700)
    (home / "images.yaml").write_text(yaml.safe_dump({"images": [_image(program) for program in programs]}), encoding="utf-8")
    try:
        kubeconfig = launch.start(home)
        with kubernetes.config.new_client_from_config(str(kubeconfig)) as api:
            kinds = kubernetes.client.CustomObjectsApi(api)
            for program in programs:
                kinds.create_cluster_custom_object(WORKSPACE_KINDS.group, WORKSPACE_KINDS.version, WORKSPACE_KINDS.plural, _kind(program))
        yield
    finally:
        launch.reset(home)


def _image(program: Program) -> dict[str, Any]:
    scripts = str(install(program.name, program.requirements))
    command = [sys.executable, str(IMAGE), program.name, scripts, "{address}", "{port}", "{prefix}"]
    return {"image": f"programs.example/{program.name}", "command": command}


def _kind(program: Program) -> dict[str, Any]:
    port = {"id": PORT, "protocol": "HTTP", "defaultDisplayName": program.name}
    picture = {"url": "https://pictures.example/program.svg"}
    title = {"displayName": program.name, "description": f"{program.name} as a workspace."}
    image = {"image": f"programs.example/{program.name}", "ports": [{"id": PORT, "port": 8888}]}
    return {
        "apiVersion": WORKSPACE_KINDS.api_version,
        "kind": WORKSPACE_KINDS.kind,
        "metadata": {"name": program.name, "annotations": {names.TOKEN_ENV: "JUPYTER_TOKEN"} if program.takes_token else {}},
        "spec": {
            "spawner": {**title, "icon": picture, "logo": picture},
            "podTemplate": {
                "ports": [port | ({"httpProxy": {"removePathPrefix": True}} if program.removes_prefix else {})],
                "volumeMounts": {"home": "/home/jovyan"},
                "extraEnv": [{"name": "NB_PREFIX", "value": f'{{{{ httpPathPrefix "{PORT}" }}}}'}],
                "options": {
                    "imageConfig": {"spawner": {"default": "latest"}, "values": [{"id": "latest", "spawner": title, "spec": image}]},
                    "podConfig": {
                        "spawner": {"default": "small"},
                        "values": [{"id": "small", "spawner": title, "spec": {"resources": {"requests": {"cpu": "100m"}}}}],
                    },
                },
            },
        },
    }


@contextmanager
def server(base_url: str, port: int, cluster_home: Path, folder: Path) -> Iterator[Server]:
    """A Jupyter server for the cluster in `cluster_home`."""
    folder.mkdir()
    environment = {name: value for name, value in os.environ.items() if name not in ("KUBECONFIG", "JUPYTER_WORKSPACES_URL")}
    environment |= {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    environment |= {"JUPYTER_WORKSPACES_HOME": str(cluster_home), "JUPYTER_PREFER_ENV_PATH": "1"}
    command = [
        *(sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", f"--ServerApp.port={port}"),
        *("--ServerApp.port_retries=0", "--ServerApp.ip=127.0.0.1", f"--ServerApp.base_url={base_url}"),
        *(f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={folder}"),
    ]
    url, log = f"http://127.0.0.1:{port}{base_url}", folder / "log"
    with log.open("wb") as written:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=written, stderr=written)
    try:
        answers(f"{url}api", process, log)
        with Client(url, TOKEN, namespace="default") as client:
            yield Server(url, client)
    except Exception:
        print(log.read_text(errors="replace")[-3000:], file=sys.stderr)
        raise
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def answers(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = ANSWER_SECONDS) -> None:
    """Wait until there is an answer. Raises `RuntimeError`."""
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"{url} does not answer:\n{log.read_text(errors='replace')[-3000:]}")


@contextmanager
def running(program: Program, maker: Server, name: str) -> Iterator[Workspace]:
    """A workspace of a program, made at a server; deleted at the end, and then no process of the program may be left."""
    workspace = maker.client.spawn(program.name, name, home="")
    try:
        workspace.wait(timeout=START_SECONDS, quiet=True)
        yield workspace
    except Exception:
        print(f"The end of {name}'s log:\n{str(workspace.logs())[-3000:]}", file=sys.stderr)
        raise
    finally:
        workspace.delete()
        _ended(maker, program, name)


def _ended(maker: Server, program: Program, name: str) -> None:
    folder = f"{cache() / program.name}{os.sep}"
    end = time.monotonic() + END_SECONDS
    while True:
        left = [one.pid for one in psutil.process_iter(["cmdline"]) if any(word.startswith(folder) for word in one.info["cmdline"] or ())]
        try:
            maker.client.get(name)
            gone = False
        except WorkspaceError as error:
            gone = error.status == 404
        if gone and not left:
            return
        assert time.monotonic() < end, f"{name} is {'gone' if gone else 'still there'}, its processes {left or 'too'}"
        time.sleep(0.1)
