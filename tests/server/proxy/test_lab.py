"""A real JupyterLab behind the proxy: its page, a kernel, a cell and a saved file."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import uuid
from http.cookies import SimpleCookie

import aiohttp
import pytest
from yarl import URL

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.local import launch

from .conftest import ADDRESS, INNER_TOKEN, PATH, View, at_both_bases

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["token", "open"])
def lab(request, tmp_path_factory):
    """A Lab at the workspace's path: with a token, which the proxy sends, or without one.

    Without a token, as in Kubeflow's images, the Lab requires its XSRF cookie. Yields which of the
    two it is, and the port.
    """
    directory = tmp_path_factory.mktemp("lab")
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(directory),
        "JUPYTER_TOKEN": INNER_TOKEN,
        "JUPYTER_CONFIG_DIR": str(directory),
    }
    home = directory / "cluster"  # our extension in it starts one
    environment["JUPYTER_WORKSPACES_HOME"] = str(home)
    arguments = [
        f"--ip={ADDRESS}",
        "--port=0",
        "--no-browser",
        "--allow-root",
        f"--ServerApp.base_url=/{PATH}",
        f"--notebook-dir={directory}",
    ]
    if request.param == "open":
        arguments.append("--IdentityProvider.token=")
    log = directory / "log"
    with (
        log.open("w") as out,
        subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *arguments], env=environment, stderr=out
        ) as process,
    ):
        yield request.param, port_in(log, process)
        process.terminate()
        process.wait(20)
    if home.exists():
        launch.reset(home)


def port_in(log, process, seconds=60):
    """Return the port that the Lab writes to its log."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        if found := re.search(rf"http://{re.escape(ADDRESS)}:(\d+)/", log.read_text()):
            return int(found[1])
        time.sleep(0.1)
    raise AssertionError(f"the Lab did not start: {log.read_text()}")


@pytest.fixture
def view(lab):
    found = View(lab[1])
    if lab[0] == "open":
        found.without_token()
    return found


class Tab:
    """Cookies of a tab: stored by path, and readable by scripts without `HttpOnly`."""

    def __init__(self, browser):
        self.browser, self.jar = browser, {}

    def take(self, answer):
        for line in answer.headers.getall("Set-Cookie", []):
            for name, morsel in SimpleCookie(line).items():
                self.jar[name] = morsel

    def cookies(self, path):
        fitting = [morsel for morsel in self.jar.values() if path.startswith(morsel["path"] or "/")]
        return sorted(fitting, key=lambda morsel: -len(morsel["path"]))

    def headers(self, path, **more):
        line = "; ".join(f"{morsel.key}={morsel.coded_value}" for morsel in self.cookies(path))
        return {"Cookie": line, **more}

    def xsrf(self, path):
        """Return a cookie as JupyterLab finds it: the first one whose name ends with `name`."""
        readable = "; ".join(
            f"{morsel.key}={morsel.coded_value}"
            for morsel in self.cookies(path)
            if not morsel["httponly"]
        )
        found = re.search(r"\b_xsrf=([^;]*)\b", readable)
        return found[1] if found else ""


@at_both_bases
async def test_a_person_works_in_the_lab(browser, lab):
    public = f"{browser.base}{PATH}"
    tab = Tab(browser)

    # Signing in to the server itself, each of whose pages sets its own `_xsrf`.
    async with browser.request(
        "GET", path=f"any-page?token={browser.token}", headers={"Accept": "text/html"}
    ) as answer:
        tab.take(answer)
    assert "_xsrf" in tab.jar
    async with browser.request(
        "GET", "lab", headers=tab.headers(public, Accept="text/html")
    ) as answer:
        tab.take(answer)
        assert answer.status == 200
        page = (await answer.read()).decode()

    config = json.loads(
        re.search(r'id="jupyter-config-data"[^>]*>(.*?)</script>', page, re.DOTALL)[1]
    )
    assert config["baseUrl"] == public
    assert config["fullStaticUrl"].startswith(public)
    assert browser.token not in page

    scripts = re.findall(r'<script[^>]* src="([^"]+)"', page)
    assert scripts
    for script in scripts:
        assert script.startswith(public)
        async with browser.session.get(
            URL(f"{browser.origin}{script}", encoded=True),
            headers=tab.headers(public, **{"Accept-Encoding": "gzip"}),
        ) as answer:
            assert answer.status == 200

    assert all(
        morsel["path"].startswith(public)
        for name, morsel in tab.jar.items()
        if name.startswith("workspace-")
    )
    own = {
        "Origin": browser.origin,
        "Sec-Fetch-Site": "same-origin",
        "X-XSRFToken": tab.xsrf(public),
        "Content-Type": "application/json",
    }

    async with browser.request(
        "POST",
        "api/kernels",
        data=json.dumps({"name": "python3"}),
        headers=tab.headers(public, **own),
    ) as answer:
        assert answer.status == 201, await answer.text()
        kernel = json.loads(await answer.read())

    async with browser.request(
        "PUT",
        "api/contents/saved.txt",
        data=json.dumps({"type": "file", "format": "text", "content": "kept"}),
        headers=tab.headers(public, **own),
    ) as answer:
        assert answer.status in (200, 201), await answer.text()
    async with browser.request(
        "GET", f"files/saved.txt?_xsrf={tab.xsrf(public)}", headers=tab.headers(public)
    ) as answer:
        assert await answer.read() == b"kept"

    for protocols in ((), ("v1.kernel.websocket.jupyter.org",)):
        assert await run(browser, tab, kernel["id"], protocols) == "42"

    async with browser.request(
        "DELETE", f"api/kernels/{kernel['id']}", headers=tab.headers(public, **own)
    ) as answer:
        assert answer.status == 204

    # The server itself still knows who this is, with its own `_xsrf`.
    home = f"{browser.base}api/contents"
    mine = {
        "Origin": browser.origin,
        "X-XSRFToken": tab.xsrf(home),
        "Content-Type": "application/json",
    }
    async with browser.request(
        "POST",
        path="api/contents",
        data=json.dumps({"type": "file"}),
        headers=tab.headers(home, **mine),
    ) as answer:
        assert answer.status == 201, await answer.text()


async def run(browser, tab, kernel, protocols):
    """Return the output of `print(6 * 7)`, by the kernel's WebSocket."""
    public = f"{browser.base}{PATH}"
    session = uuid.uuid4().hex
    header = {
        "msg_id": uuid.uuid4().hex,
        "msg_type": "execute_request",
        "username": "",
        "session": session,
        "version": "5.3",
        "date": "",
    }
    content = {
        "code": "print(6 * 7)",
        "silent": False,
        "store_history": False,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": True,
    }
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}

    headers = tab.headers(public, Origin=browser.origin)
    async with browser.socket(
        f"api/kernels/{kernel}/channels?session_id={session}", headers=headers, protocols=protocols
    ) as socket:
        assert (socket.protocol or "") == (protocols[0] if protocols else "")
        if protocols:
            parts = [
                b"shell",
                *(
                    json.dumps(message[name]).encode()
                    for name in ("header", "parent_header", "metadata", "content")
                ),
            ]
            offsets = [8 * (len(parts) + 2)]
            for part in parts:
                offsets.append(offsets[-1] + len(part))
            numbers = [len(offsets), *offsets]
            await socket.send_bytes(
                b"".join(number.to_bytes(8, "little") for number in numbers) + b"".join(parts)
            )
        else:
            await socket.send_str(json.dumps({**message, "channel": "shell", "buffers": []}))
        while True:
            async with timeout(30):
                got = await socket.receive()
            assert got.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), got
            said = got.data if isinstance(got.data, bytes) else got.data.encode()
            if found := re.search(rb'"name": ?"stdout", ?"text": ?"(\d+)', said) or re.search(
                rb'"text": ?"(\d+)\\n"', said
            ):
                return found[1].decode()
