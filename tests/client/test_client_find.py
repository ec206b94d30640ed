"""Which server is asked: one that is named, the one this kernel belongs to, else the user's own."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from served_workspaces import TOKEN, Served, workspace

from jupyter_workspaces.client import Client, Unreachable, WorkspaceError
from jupyter_workspaces.common.kernel_file import VARIABLE, KernelFile


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    started: list[Served] = []

    def start(**options: str) -> Served:
        started.append(Served(**options).start())  # type: ignore[arg-type]
        return started[-1]

    yield start
    for one in started:
        one.stop()


def test_an_argument_comes_first(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_WORKSPACES_URL", "http://127.0.0.1:1/")
    with Client(server.url, TOKEN) as client:
        assert client.url == server.url


@pytest.mark.parametrize("ending", ["", "api/v1", "api/v1/", "?token=abc"])
def test_the_address_of_the_api_names_its_server(
    server: Served, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setenv("JUPYTER_WORKSPACES_TOKEN", TOKEN)
    with Client(server.url + ending) as client:
        assert client.url == server.url
        assert client.list() is not None


def test_a_token_in_a_pasted_address_is_used(server: Served) -> None:
    with Client(f"{server.url}?token={TOKEN}") as client:
        assert TOKEN not in repr(client)
        client.list()
        assert TOKEN not in repr(client)


def test_the_environment_names_one(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_WORKSPACES_URL", server.url)
    monkeypatch.setenv("JUPYTER_WORKSPACES_TOKEN", TOKEN)
    server.add(workspace("dora"))
    with Client() as client:
        assert [one.name for one in client.list()] == ["dora"]


def test_a_named_server_without_workspaces_is_an_error(
    serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_WORKSPACES_URL", serve(api="/elsewhere").url)
    with (
        Client() as client,
        pytest.raises(
            WorkspaceError, match=r"JUPYTER_WORKSPACES_URL is .*, which does not serve workspaces"
        ) as raised,
    ):
        client.list()
    assert "enabled" in raised.value.hint


def test_the_jupyter_server_of_this_kernel(
    serve: Callable[..., Served], alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = serve(api="/workspaces/api/v1", base="/user/x%40y/".replace("%40", "@"))
    parent.add(workspace("dora"))
    monkeypatch.setenv("JPY_PARENT_PID", "4711")
    (alone / "runtime").mkdir()
    (alone / "runtime" / "jpserver-4711.json").write_text(
        json.dumps({"url": parent.url, "token": TOKEN})
    )
    with Client() as client:
        ws = client.get("dora")
        assert client.asynchronous.same_page
        assert (
            ws.url == "/user/x@y/workspace/connect/default/dora/jupyterlab/"
        )  # the page knows the rest better


def test_a_hub_names_its_server(
    serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    single = serve(api="/workspaces/api/v1", base="/user/anna/")
    monkeypatch.setenv("JUPYTERHUB_SERVICE_URL", single.url.replace("127.0.0.1", "0.0.0.0"))
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", TOKEN)
    with Client() as client:
        assert client.url == single.url
        assert client.asynchronous.same_page


def test_a_running_serve_is_found_by_its_file(server: Served, alone: Path) -> None:
    # What the search asks to see whether the token is right.
    server.refuse["GET swagger/doc.json"] = (200, {})
    (alone / "home").mkdir()
    (alone / "home" / "serve.json").write_text(
        json.dumps({"url": server.url, "token": TOKEN, "pid": 1})
    )
    server.add(workspace("dora"))
    with Client() as client:
        assert [one.name for one in client.list()] == ["dora"]
        assert client.url == server.url


def test_inside_a_workspace_nothing_is_started(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_WORKSPACE", "default/dora")
    with (
        Client() as client,
        pytest.raises(WorkspaceError, match="inside the workspace 'default/dora'") as raised,
    ):
        client.list()
    assert "JUPYTER_WORKSPACES_URL" in raised.value.hint
    assert not (alone / "home").exists()


def test_a_home_that_cannot_be_written_is_told(alone: Path) -> None:
    (alone / "home").write_text("in the way")
    with Client() as client, pytest.raises(WorkspaceError, match="Cannot start the local"):
        client.list()


@pytest.mark.slow
def test_kernels_share_one_server_that_starts_by_itself(alone: Path) -> None:
    code = "import jupyter_workspaces as jw; jw.kinds(); print(jw.client.default().url)"
    asking = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=os.environ.copy()
        )
        for _ in range(3)
    ]
    told = {one.communicate(timeout=90)[0].strip() for one in asking}
    file = alone / "home" / "serve.json"
    server = psutil.Process(json.loads(file.read_text())["pid"])
    try:
        assert len(told) == 1
        assert next(iter(told)).startswith("http://127.0.0.1:")
        assert all(one.returncode == 0 for one in asking)
        assert file.stat().st_mode & 0o777 == 0o600
        token = json.loads(file.read_text())["token"]
        assert token not in (alone / "home" / "serve.log").read_text()
    finally:
        from jupyter_workspaces.local import launch

        server.terminate()
        server.wait(15)
        launch.reset(alone / "home")
    assert not file.exists()


def told(alone: Path, url: str, **more: str) -> None:
    """What a Jupyter server of process 4711 writes for its kernels."""
    KernelFile(url, TOKEN, **more).write(alone / "runtime" / "jupyter-workspaces-server-4711.json")


def test_the_file_of_the_kernels_server_comes_before_jupyters_and_the_hubs(
    serve: Callable[..., Served], alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent, other = serve(api="/workspaces/api/v1", base="/user/anna/"), serve()
    monkeypatch.setenv("JPY_PARENT_PID", "4711")
    monkeypatch.setenv("JUPYTERHUB_SERVICE_URL", other.url)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", TOKEN)
    told(alone, parent.url)
    (alone / "runtime" / "jpserver-4711.json").write_text(
        json.dumps({"url": other.url, "token": TOKEN})
    )
    with Client() as client:
        client.list()
        assert client.url == parent.url
    assert other.asked == []


def test_the_file_of_another_server_is_not_taken(
    serve: Callable[..., Served], alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable comes along into servers that are started in a terminal of a Jupyter server."""
    grandparent, own = serve(api="/workspaces/api/v1"), serve(api="/workspaces/api/v1")
    told(alone, grandparent.url)
    monkeypatch.setenv(VARIABLE, str(alone / "runtime" / "jupyter-workspaces-server-4711.json"))
    monkeypatch.setenv("JPY_PARENT_PID", "4712")
    KernelFile(own.url, TOKEN).write(alone / "runtime" / "jupyter-workspaces-server-4712.json")
    with Client() as client:
        client.list()
        assert client.url == own.url


@pytest.mark.parametrize("status", [302, 401, 403, 500])
def test_a_server_of_this_kernel_that_refuses_is_told_and_no_other_is_asked(
    serve: Callable[..., Served],
    server: Served,
    alone: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
) -> None:
    monkeypatch.setenv("JPY_PARENT_PID", "4711")
    (alone / "home").mkdir()
    (alone / "home" / "serve.json").write_text(
        json.dumps({"url": server.url, "token": TOKEN, "pid": 1})
    )
    with refusing(status) as url:
        (alone / "runtime").mkdir()
        (alone / "runtime" / "jpserver-4711.json").write_text(
            json.dumps({"url": url, "token": TOKEN})
        )
        with (
            Client() as client,
            pytest.raises(WorkspaceError, match=f"kernel's Jupyter server.*{status}") as raised,
        ):
            client.list()
    assert "JUPYTER_WORKSPACES_URL" in raised.value.hint
    assert server.asked == []


@pytest.mark.parametrize("source", ["file", "jupyter", "hub"])
def test_a_server_of_this_kernel_that_is_silent_is_told_and_no_other_is_asked(
    source: str, server: Served, alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JPY_PARENT_PID", "4711")
    (alone / "home").mkdir()
    (alone / "home" / "serve.json").write_text(
        json.dumps({"url": server.url, "token": TOKEN, "pid": 1})
    )
    gone = "http://127.0.0.1:1/"
    told(alone, gone)
    if source != "file":
        (alone / "runtime" / "jupyter-workspaces-server-4711.json").unlink()
    if source == "jupyter":
        (alone / "runtime" / "jpserver-4711.json").write_text(
            json.dumps({"url": gone, "token": TOKEN})
        )
    if source == "hub":
        monkeypatch.setenv("JUPYTERHUB_SERVICE_URL", gone)
        monkeypatch.setenv("JUPYTERHUB_API_TOKEN", TOKEN)
    with (
        Client() as client,
        pytest.raises(Unreachable, match=r"kernel's Jupyter server.*connection refused"),
    ):
        client.list()
    assert server.asked == []


@contextmanager
def refusing(status: int) -> Iterator[str]:
    """A server that answers everything with a status."""

    class Refuse(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    refused = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refuse)
    thread = threading.Thread(target=refused.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{refused.server_address[1]}/"
    finally:
        refused.shutdown()
        refused.server_close()
        thread.join(5)
