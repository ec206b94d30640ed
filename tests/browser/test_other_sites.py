"""`serve --no-auth` rejects the requests that a real browser sends for other sites."""

from __future__ import annotations

import http.server
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from waiting import until_started

WAYS = ("script", "module", "image", "style", "frame", "object", "fetch", "opaque", "events")
PAGE = """<!DOCTYPE html><title>another site</title>
<script src="{url}?by=script"></script><script type="module" src="{url}?by=module"></script>\
<img src="{url}?by=image">
<link rel="stylesheet" href="{url}?by=style"><iframe src="{url}?by=frame"></iframe>\
<object data="{url}?by=object"></object>
<script>
  fetch("{url}?by=fetch").catch(() => 0);
  fetch("{url}?by=opaque", {{mode: "no-cors", credentials: "include"}});
  new EventSource("{url}?by=events");
</script>
<a id="link" href="{url}?by=link">a link</a>"""


@dataclass(frozen=True)
class Serve:
    """A running `serve --no-auth`."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def refused(self, path: str, way: str) -> bool:
        return f"403 GET {path}?by={way} " in self.log.read_text(errors="replace")


@pytest.fixture(scope="module")
def serve(
    cluster_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serve]:
    log = tmp_path_factory.mktemp("serve") / "log"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        name: value for name, value in os.environ.items() if name != "KUBECONFIG"
    } | cluster_environment
    command = [
        sys.executable,
        "-m",
        "jupyter_workspaces.cli",
        "serve",
        "--no-auth",
        "--port",
        str(port),
    ]
    with log.open("ab") as written:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=written, stderr=written
        )
    until_started(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, process, log)
    yield Serve(f"http://127.0.0.1:{port}", process, log)
    process.terminate()
    process.wait(20)


@pytest.fixture
def another_site() -> Iterator[tuple[int, dict[str, str]]]:
    """A web server of somebody else: its port, and the pages that it has."""
    pages: dict[str, str] = {}

    class Pages(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(pages.get(self.path, "").encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, pages
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"], ids=["another host", "another port"])
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/workspaces", 200),
        ("/workspace/connect/default/none/web/", 404),
        ("/workspace/status/default/none/web", 200),
    ],
)
def test_a_page_of_another_site_gets_nothing_but_a_link(
    browser: Browser,
    serve: Serve,
    another_site: tuple[int, dict[str, str]],
    host: str,
    path: str,
    status: int,
) -> None:
    serve.log.write_text("")
    port, pages = another_site
    pages["/evil"] = PAGE.format(url=serve.url + path)
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"http://{host}:{port}/evil")
    until_started(lambda: all(serve.refused(path, way) for way in WAYS), serve.process, serve.log)

    with page.expect_navigation() as navigation:
        page.click("#link")

    assert navigation.value is not None
    assert navigation.value.status == status
    context.close()
