"""The three attacked servers, each a process with at most 4 GiB of address space."""

from __future__ import annotations

import base64
import json
import resource
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import psutil
import yaml
from measure import until

from jupyter_workspaces.local import launch

from .watching import Server

ADDRESS_SPACE = 4 * 2**30
OPEN_FILES = 1024
"""The usual soft limit; what a server raises it to is its own matter."""

BASE_URL = "/user/x/"
NAME = "soak"
TOKEN = "soak-token-of-the-jupyter-server"
IMAGE = "docker.io/kubeflownotebookswg/codeserver-python:v1.9.0"
CREATE = {
    "data": {
        "name": NAME,
        "kind": "codeserver",
        "paused": False,
        "podTemplate": {
            "podMetadata": {"labels": {}, "annotations": {}},
            "volumes": {"data": []},
            "options": {"imageConfig": "codeserver_python_190", "podConfig": "tiny_cpu"},
        },
    }
}


@dataclass(frozen=True)
class Address:
    """Where a server's API is, and what signs somebody in there."""

    url: str
    signed_in: dict[str, str]


class Servers:
    """Context manager that runs the servers, with a hostile program in the workspace `soak`."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._home = scratch / "cluster"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Servers:
        self._home.mkdir(mode=0o700)
        program = [
            sys.executable,
            str(Path(__file__).with_name("program.py")),
            "{address}",
            "{port}",
        ]
        (self._home / "images.yaml").write_text(
            yaml.safe_dump({"images": [{"image": IMAGE, "command": program}]}), encoding="utf-8"
        )
        with _soft_file_limit(OPEN_FILES):
            document = yaml.safe_load(launch.start(self._home).read_text(encoding="utf-8"))
        pid = launch.status(self._home).pid
        assert pid is not None
        self._cluster = pid
        resource.prlimit(pid, resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
        authority = base64.b64decode(
            document["clusters"][0]["cluster"]["certificate-authority-data"]
        ).decode()
        self.authority = authority
        bearer = {"Authorization": f"Bearer {document['users'][0]['user']['token']}"}
        self.cluster = Address(document["clusters"][0]["cluster"]["server"], bearer)
        self.serve = self._start_serve()
        self.jupyter = self._start_jupyter()
        self._spawn()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        launch.stop(self._home, pods=True)

    @property
    def proxied(self) -> str:
        """The address of the hostile program, with a slash at its end."""
        parts = urlsplit(self.jupyter.url)
        return (
            f"{parts.scheme}://{parts.netloc}{BASE_URL}workspace/connect/default/{NAME}/codeserver/"
        )

    def watched(self) -> list[Server]:
        found = [Server("API server", self._cluster, _port(self.cluster), "/healthz", tls=True)]
        for name, address, path in (
            ("serve", self.serve, "/api/v1/"),
            ("Jupyter server", self.jupyter, f"{BASE_URL}workspaces/api/v1/"),
        ):
            found.append(
                Server(
                    name,
                    self._processes[name].pid,
                    _port(address),
                    f"{path}healthcheck",
                    address.signed_in,
                )
            )
        return found

    def check_alive(self) -> None:
        """Raises `RuntimeError` naming a server that ended."""
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise RuntimeError(
                    f"{name} ended with status {process.returncode}; see {self._log(name)}"
                )
        if not psutil.pid_exists(self._cluster):
            raise RuntimeError("the API server's process ended")

    def _start_serve(self) -> Address:
        runtime = self._scratch / "serve.json"
        program = (
            "from jupyter_workspaces.server.serve import main; "
            f"main(port=0, runtime_file={str(runtime)!r}, trusted_header_auth=True)"
        )
        self._start("serve", ["-c", program])
        until(runtime.exists, "serve listens")
        told = json.loads(runtime.read_text(encoding="utf-8"))
        return Address(
            f"{told['url'].rstrip('/')}/api/v1",
            {"kubeflow-userid": "root", "kubeflow-groups": "system:masters"},
        )

    def _start_jupyter(self) -> Address:
        port = _free_port()
        options = [
            f"--port={port}",
            f"--ServerApp.base_url={BASE_URL}",
            "--no-browser",
            "--allow-root",
            f"--IdentityProvider.token={TOKEN}",
        ]
        self._start(
            "Jupyter server",
            ["-m", "jupyter_server", *options, f"--ServerApp.root_dir={self._scratch}"],
        )
        return Address(
            f"http://127.0.0.1:{port}{BASE_URL}workspaces/api/v1",
            {"Authorization": f"token {TOKEN}"},
        )

    def _start(self, name: str, arguments: list[str]) -> None:
        with self._log(name).open("wb") as log, _soft_file_limit(OPEN_FILES):
            process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._scratch,
            )
        resource.prlimit(process.pid, resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
        self._processes[name] = process

    def _log(self, name: str) -> Path:
        return self._scratch / f"{name}.log"

    def _spawn(self) -> None:
        until(lambda: _status(self.jupyter, "healthcheck") == 200, "the Jupyter server answers")
        until(lambda: _status(self.serve, "workspacekinds") == 200, "serve knows the kinds")
        status = _status(self.serve, "workspaces/default", CREATE)
        if status != 201:
            raise RuntimeError(f"the workspace was not made: {status}")
        until(
            lambda: _status(Address(self.proxied, self.jupyter.signed_in), "ready") == 200,
            "the hostile program runs",
        )
        time.sleep(2)  # what a start takes is no growth of a bomb


@contextmanager
def _soft_file_limit(files: int) -> Iterator[None]:
    """What is started within begins with this limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))


def _port(address: Address) -> int:
    port = urlsplit(address.url).port
    assert port is not None
    return port


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _status(address: Address, path: str, body: Any = None) -> int:
    data = None if body is None else json.dumps(body).encode()
    headers = {**address.signed_in, "Content-Type": "application/json"}
    request = urllib.request.Request(f"{address.url.rstrip('/')}/{path}", data, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
