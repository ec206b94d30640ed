"""Kubeflow's sample kinds start on the local cluster and open through the proxy, unchanged.

code-server and RStudio Server are stand-ins: programs with the same options, addresses and answers.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from running_cluster import ask
from waiting import until_sync

from jupyter_workspaces.local import launch

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the gate needs Linux"),
]

KINDS = Path(__file__).with_name("kubeflow_kinds")
KINDS_PATH = "/apis/kubeflow.org/v1beta1/workspacekinds"
WORKSPACES = "/apis/kubeflow.org/v1beta1/namespaces/default/workspaces"
EVENTS = "/api/v1/namespaces/default/events"

STAND_IN = """#!PYTHON -I
import http.server, json, os, socketserver, sys

def option(name):
    for word, following in zip(sys.argv[1:], [*sys.argv[2:], ""]):
        if word == name:
            return following
        if word.startswith(name + "="):
            return word[len(name) + 1:]
    return ""

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        told = {"program": os.path.basename(sys.argv[0]), "path": self.path,\
 "headers": {n.lower(): v for n, v in self.headers.items()}}
        body = json.dumps({"status": "alive"} if self.path == "/healthz" else told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def address_string(self):
        return "-"

class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

Server(option("--socket") or option("--www-socket"), Handler).serve_forever()
"""


class Serve:
    """`serve --no-auth` on a local cluster of its own, with a PATH of its own."""

    def __init__(self, folder: Path) -> None:
        self.home, self.programs, self.log = (
            folder / "cluster",
            folder / "programs",
            folder / "serve.log",
        )
        self.programs.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        environment = os.environ | {
            "JUPYTER_WORKSPACES_HOME": str(self.home),
            "PATH": os.pathsep.join(
                (str(self.programs), str(Path(sys.executable).parent), "/usr/bin", "/bin")
            ),
        }
        environment.pop("KUBECONFIG", None)
        command = [
            sys.executable,
            "-m",
            "jupyter_workspaces.cli",
            "serve",
            "--no-auth",
            "--port",
            str(self.port),
        ]
        with self.log.open("ab") as written:
            self.process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=written, stderr=written
            )

    def __enter__(self) -> Serve:
        with ExitStack() as started:
            started.callback(self.stop)
            until_sync(
                lambda: self.get("/api/v1/workspaces/default")[0] == 200, "the server's answer"
            )
            self._make_kinds()
            started.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def _make_kinds(self) -> None:
        for path in sorted(KINDS.glob("*.yaml")):
            status, made = ask(self.home, "POST", KINDS_PATH, yaml.safe_load(path.read_text()))
            assert status == 201, made

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        launch.reset(self.home)

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(
                "GET",
                path,
                headers={name.replace("_", "-"): value for name, value in headers.items()},
            )
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def install(self, *names: str) -> None:
        for name in names:
            path = self.programs / name
            path.write_text(STAND_IN.replace("PYTHON", sys.executable))
            path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def create(self, name: str, kind: str, image: str, size: str = "tiny_cpu") -> None:
        options = {"imageConfig": image, "podConfig": size}
        body = {
            "apiVersion": "kubeflow.org/v1beta1",
            "kind": "Workspace",
            "metadata": {"name": name},
            "spec": {
                "paused": False,
                "kind": kind,
                "podTemplate": {"volumes": {"data": []}, "options": options},
            },
        }
        status, made = ask(self.home, "POST", WORKSPACES, body)
        assert status == 201, made

    def status(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = ask(self.home, "GET", f"{WORKSPACES}/{name}")[1].get("status") or {}
        return found

    def running(self, name: str) -> None:
        def runs() -> bool:
            status = self.status(name)
            # What was just installed is found at the next look.
            assert status.get("state") != "Error" or "is not installed" in status["stateMessage"], (
                status["stateMessage"]
            )
            return status.get("state") == "Running"

        try:
            until_sync(runs, f"a running workspace {name}")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.status(name).get('stateMessage')}") from error

    def message(self, name: str, words: str) -> str:
        return str(
            until_sync(
                lambda: words in (told := self.status(name).get("stateMessage", "")) and told,
                f"{words!r} on {name}",
            )
        )

    def events(self, reason: str) -> list[str]:
        return [
            event["message"]
            for event in ask(self.home, "GET", EVENTS)[1]["items"]
            if event["reason"] == reason
        ]


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    with Serve(tmp_path_factory.mktemp("kinds")) as server:
        yield server


def test_kubeflows_jupyterlab_opens_without_a_login_page(serve: Serve) -> None:
    serve.create("lab", "kf-jupyterlab", "jupyterlab_scipy_190")
    serve.running("lab")

    status, page = serve.get("/workspace/connect/default/lab/jupyterlab/lab", Accept="text/html")

    assert status == 200
    config = json.loads(
        re.search(r'id="jupyter-config-data"[^>]*>(.*?)</script>', page, re.DOTALL)[1]
    )  # type: ignore[index]
    assert config["baseUrl"] == "/workspace/connect/default/lab/jupyterlab/"
    assert (
        json.loads(serve.get("/workspace/connect/default/lab/jupyterlab/api/contents")[1])["type"]
        == "directory"
    )
    until_sync(
        lambda: serve.status("lab")["activity"].get("lastProbe", {}).get("result") == "Success",
        "an activity probe that succeeds",
    )
    assert any("runAsNonRoot" in message for message in serve.events("SecurityContextNotUsed"))


def test_kubeflows_code_server_says_that_it_is_not_installed_then_opens_and_tells_its_activity(
    serve: Serve,
) -> None:
    serve.create("code", "kf-codeserver", "codeserver_python")
    serve.message("code", "code-server, which is not installed on this computer")
    serve.install("code-server")
    serve.running("code")

    told = json.loads(serve.get("/workspace/connect/default/code/codeserver/folder?a=1")[1])

    assert (told["program"], told["path"]) == ("code-server", "/folder?a=1")
    activity = until_sync(
        lambda: (found := serve.status("code")["activity"]).get("lastProbe") and found,
        "an activity probe",
    )
    assert activity["lastProbe"]["result"] == "Success", activity["lastProbe"]["message"]
    assert activity["lastActivity"] > 0


def test_kubeflows_rstudio_says_that_it_is_not_installed_then_opens_with_its_headers(
    serve: Serve,
) -> None:
    serve.create("r", "kf-rstudio", "rstudio_tidyverse")
    serve.message("r", "RStudio Server, which is not installed on this computer")
    serve.install("rserver")
    serve.running("r")

    told = json.loads(
        serve.get("/workspace/connect/default/r/rstudio/auth-sign-in", X_Unwanted="1")[1]
    )

    assert (told["program"], told["path"]) == ("rserver", "/auth-sign-in")
    assert told["headers"]["x-rstudio-root-path"] == "/workspace/connect/default/r/rstudio/"
    assert told["headers"]["x-kind"] == "rstudio"
    assert "x-unwanted" not in told["headers"]


def test_a_size_with_a_gpu_says_on_the_workspace_that_there_is_none(serve: Serve) -> None:
    serve.create("gpu", "kf-jupyterlab", "jupyterlab_scipy_190", "big_gpu")

    assert "choose a size without it" in serve.message(
        "gpu", "1 nvidia.com/gpu, and this computer has none"
    )
