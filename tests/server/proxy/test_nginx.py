"""Behind an nginx with Jupyter's usual configuration, a workspace cannot open a tunnel."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.server.http.identity import HeaderIdentities

from .raw_workspace import exchange, raw_workspace, statuses

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = pytest.mark.skipif(
    NGINX is None, reason="nginx is not installed (Debian: nginx-light)"
)

CONFIGURATION = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr warn; {user}
events {{}}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }} server {{ listen
  127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{behind}; proxy_http_version 1.1;
  proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
  proxy_set_header Host $http_host; proxy_set_header kubeflow-userid anna; proxy_set_header
  kubeflow-groups ""; }} location /internal/ {{ internal; alias {folder}/; }} }}
}}
"""
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


async def listens(port: int, process: asyncio.subprocess.Process) -> None:
    async with timeout(10):
        while True:
            assert process.returncode is None, "nginx did not start"
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                await asyncio.sleep(0.02)
            else:
                return writer.close()


@pytest.fixture
def nginx(server, tmp_path: Path, jp_asyncio_loop):
    """Run an nginx that authenticates every request as anna. Yields its port."""
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    (tmp_path / "secret.txt").write_text("the secret", encoding="utf-8")
    path = tmp_path / "nginx.conf"
    path.write_text(
        CONFIGURATION.format(folder=tmp_path, port=port, behind=server.port, user=user),
        encoding="utf-8",
    )

    async def start() -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            str(NGINX), "-e", "stderr", "-p", str(tmp_path), "-c", str(path)
        )
        await listens(port, process)
        return process

    async def stop() -> None:
        process.terminate()
        async with timeout(10):
            await process.wait()

    process = jp_asyncio_loop.run_until_complete(start())
    yield port
    jp_asyncio_loop.run_until_complete(stop())


@pytest.fixture
def named(server, view):
    """The users of the requests. anna is permitted to use the workspace, root everything."""
    asked: list[str] = []

    async def allowed(identity, verb, resource, namespace, name):
        asked.append(identity.user)
        return identity.user == "root" or name == "small"

    async def ready(seconds=20, *, stale=False):
        return SimpleNamespace(
            cluster=view, workspaces=view, pods=view, access=SimpleNamespace(allowed=allowed)
        )

    settings = server.web_app.settings
    settings["identity_provider"] = HeaderIdentities(parent=server)
    settings["jupyter_workspaces"] = SimpleNamespace(ready=ready)
    return asked


@pytest.mark.parametrize("upgrade", ["x", "websocket", "WebSocket, x", "h2c"])
async def test_a_workspace_cannot_open_a_way_past_the_proxys_sign_in(
    browser, view, nginx, named, upgrade
):
    """The second request names another user, and nginx replaces that user."""
    key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    inside = browser.url("x").raw_path
    first = (
        f"GET {inside} HTTP/1.1\r\nHost: {browser.host}\r\nOrigin: {browser.origin}\r\n"
        f"Upgrade: {upgrade}\r\n{key}\r\n"
    )
    other = inside.replace("/small/", "/other/")
    forged = (
        f"GET {other} HTTP/1.1\r\nHost: {browser.host}\r\n"
        "kubeflow-userid: root\r\nkubeflow-groups: system:masters\r\n\r\n"
    )

    async with raw_workspace(view, SWITCH):
        received = await exchange(nginx, (first + forged).encode(), responses=2)

    assert set(named) == {"anna"}
    assert statuses(received) == [502, 403]


async def test_a_websocket_passes(browser, view, nginx, named):
    async with browser.session.ws_connect(
        browser.url("socket").with_port(nginx), origin=f"http://127.0.0.1:{nginx}"
    ) as opened:
        await opened.send_str("hello")
        message = await opened.receive(timeout=10)
    assert (message.type, message.data) == (aiohttp.WSMsgType.TEXT, "hello")


async def test_a_workspace_cannot_have_the_proxy_answer_with_a_file(browser, view, nginx, named):
    answer = (
        b"HTTP/1.1 200 OK\r\nX-Accel-Redirect: /internal/secret.txt\r\nContent-Length: 3\r\n\r\nown"
    )
    async with (
        raw_workspace(view, answer),
        browser.session.get(browser.url("x").with_port(nginx)) as response,
    ):
        assert await response.read() == b"own"


async def test_bytes_that_belong_to_no_response_do_not_reach_the_proxy(browser, view, nginx, named):
    """A 204 with a length, and bytes after a response, stay in the workspace's connection."""
    forged = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
    for answer in (
        b"HTTP/1.1 204 No Content\r\nContent-Length: 44\r\n\r\n" + forged,
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + forged,
    ):
        request = (
            f"GET {browser.url('x').raw_path} HTTP/1.1\r\nHost: {browser.host}\r\n\r\n".encode()
        )
        async with raw_workspace(view, answer):
            received = await exchange(nginx, request * 2, responses=2)
        assert b"forged" not in received
