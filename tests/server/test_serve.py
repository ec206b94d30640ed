"""`jupyter workspaces serve`: a session with curl, other sites and hosts, and killed processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting import until_sync

from jupyter_workspaces.local import launch

pytestmark = pytest.mark.slow

DORA = json.loads(
    '{"data":{"name":"dora","kind":"jupyterlab","paused":false,"deferUpdates":false,"podTemplate":{"podMetadata":{"labels":{"app":"dora"},'
    '"annotations":{"app":"dora"}},"volumes":{"home":"workspace-home-bella","data":[{"pvcName":"workspace-data-bella",'
    '"mountPath":"/data/my-data","readOnly":false}]},"options":{"imageConfig":"jupyterlab_scipy_190","podConfig":"tiny_cpu"}}}}'
)


class Serve:
    """A running `serve --no-auth` on a cluster of its own."""

    def __init__(self, home: Path, port: int) -> None:
        self.home, self.port = home, port
        self.log = home.parent / "serve.log"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        environment = os.environ | {"JUPYTER_WORKSPACES_HOME": str(self.home)}
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
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=written, stderr=written
            )
        self.process = process
        until_sync(lambda: self.ask("GET", "healthcheck")[0] == 200, "the server answers")
        return process

    def again(self) -> None:
        self.process = self._start()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/v1/{path}", data, sent, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                raw = answer.read()
                return answer.status, json.loads(raw) if raw else None
        except urllib.error.HTTPError as error:
            raw = error.read()
            return error.code, json.loads(raw) if raw.startswith(b"{") else None
        except OSError:
            return 0, None

    def state(self, name: str) -> str:
        code, body = self.ask("GET", "workspaces/default")
        if code != 200:
            return f"the list answers {code}"
        return next((item["state"] for item in body["data"] if item["name"] == name), "gone")


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    home = tmp_path_factory.mktemp("serve") / "cluster"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Serve(home, port)
    yield server
    server.process.terminate()
    server.process.wait(20)
    launch.reset(home)


def test_the_transcript_works_as_it_stands(serve: Serve) -> None:
    for name in ("workspace-home-bella", "workspace-data-bella"):
        claim = {
            "name": name,
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "standard",
            "requests": {"storage": "1Gi"},
        }
        assert serve.ask("POST", "persistentvolumeclaims/default", {"data": claim})[0] == 201

    code, made = serve.ask("POST", "workspaces/default", DORA)
    assert (code, made["data"]["name"], made["data"]["deferUpdates"]) == (201, "dora", False)
    assert serve.ask("GET", "workspaces/default/dora")[0] == 200
    until_sync(lambda: serve.state("dora") == "Running", "dora runs")
    assert serve.ask(
        "POST", "workspaces/default/dora/actions/pause", {"data": {"paused": True}}
    ) == (200, {"data": {"paused": True}})
    until_sync(lambda: serve.state("dora") == "Paused", "dora is paused")
    assert serve.ask(
        "POST", "workspaces/default/dora/actions/pause", {"data": {"paused": False}}
    ) == (200, {"data": {"paused": False}})
    until_sync(lambda: serve.state("dora") == "Running", "dora runs again")
    for path in (
        "healthcheck",
        "swagger/doc.json",
        "namespaces",
        "workspaces",
        "workspaces/default",
        "workspacekinds",
        "workspacekinds/jupyterlab",
    ):
        assert serve.ask("GET", path)[0] == 200, path


def test_other_sites_and_other_names_of_this_host_are_refused(serve: Serve) -> None:
    assert serve.ask("GET", "workspaces", Host="elsewhere.example")[0] == 403
    assert serve.ask("GET", "workspaces", Origin="http://elsewhere.example")[0] == 403
    assert (
        serve.ask("DELETE", "workspaces/default/dora", Origin="http://elsewhere.example")[0] == 403
    )
    assert "open" in serve.log.read_text() or "every user of this machine" in serve.log.read_text()


def test_workspaces_outlive_a_killed_server(serve: Serve) -> None:
    assert serve.state("dora") == "Running"
    started = serve.ask("GET", "workspaces/default/dora/podtemplate/details")[1]["data"]["pod"][
        "name"
    ]

    os.kill(serve.process.pid, signal.SIGKILL)
    serve.process.wait(20)
    serve.again()

    assert serve.state("dora") == "Running"
    assert (
        serve.ask("GET", "workspaces/default/dora/podtemplate/details")[1]["data"]["pod"]["name"]
        == started
    )


def test_a_killed_cluster_is_brought_back_by_the_next_request(serve: Serve) -> None:
    pid = launch.status(serve.home).pid
    assert pid is not None

    os.kill(pid, signal.SIGKILL)

    def brought_back() -> bool:
        serve.ask("GET", "workspaces")
        return launch.status(serve.home).pid not in (None, pid)

    until_sync(brought_back, "it is started again")
    until_sync(lambda: serve.state("dora") == "Running", "everything is as before")


def test_a_deleted_workspace_is_gone_and_its_volumes_stay(serve: Serve) -> None:
    # Right after the cluster came back a request may still be told to try again.
    until_sync(
        lambda: serve.ask("DELETE", "workspaces/default/dora")[0] in (204, 404),
        "the deletion is accepted",
    )

    until_sync(lambda: serve.state("dora") == "gone", "dora is gone")
    claims = [
        claim["name"] for claim in serve.ask("GET", "persistentvolumeclaims/default")[1]["data"]
    ]
    assert claims == ["workspace-data-bella", "workspace-home-bella"]


def test_trusted_headers_need_no_token_and_none_is_printed(tmp_path: Path) -> None:
    log, runtime = tmp_path / "log", tmp_path / "serve.json"
    program = (
        "import sys; from jupyter_workspaces.server.serve import main; "
        "main(port=0, trusted_header_auth=True, runtime_file=sys.argv[1])"
    )
    environment = os.environ | {
        "JUPYTER_WORKSPACES_HOME": str(tmp_path / "home"),
        "JUPYTER_TOKEN": "a-token-for-nothing",
    }
    with log.open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(runtime)],
            stdout=written,
            stderr=written,
            env=environment,
        )
    try:
        until_sync(
            lambda: runtime.exists() and b"It trusts the user headers" in log.read_bytes(),
            "the server listens",
        )
    finally:
        process.terminate()
        process.wait(20)
        launch.stop(tmp_path / "home", pods=True)
    assert b"token=" not in log.read_bytes()
    assert b"a-token-for-nothing" not in log.read_bytes()


def test_a_taken_port_ends_with_its_name(serve: Serve) -> None:
    command = [
        sys.executable,
        "-m",
        "jupyter_workspaces.cli",
        "serve",
        "--no-auth",
        "--port",
        str(serve.port),
    ]

    second = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"JUPYTER_WORKSPACES_HOME": str(serve.home)},
    )

    assert second.returncode != 0
    assert str(serve.port) in second.stderr
