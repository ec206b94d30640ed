"""`serve` shuts down when it is idle, and not during a download or a followed log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

LIMIT = 60.0
IDLE_MINUTES = 0.03
STREAM_SECONDS = 6.0

# A server like `serve`, with one more address that streams for a while, as a followed log does.
# JUPYTER_WORKSPACE keeps it from starting a cluster: it is as if it ran in a workspace.
PROGRAM = f"""
import asyncio, sys
from tornado import web
from jupyter_workspaces.server import serve

class Stream(web.RequestHandler):
    async def get(self):
        end = asyncio.get_running_loop().time() + {STREAM_SECONDS}
        while asyncio.get_running_loop().time() < end:
            self.write("line\\n")
            await self.flush()
            await asyncio.sleep(0.1)

    get.__dict__["__allow_unauthenticated"] = True

start = serve.ServeApp.init_webapp
def with_stream(self):
    start(self)
    self.web_app.add_handlers(".*$", [("/stream", Stream)])
serve.ServeApp.init_webapp = with_stream
serve.main(port=0, idle_minutes={IDLE_MINUTES}, runtime_file=sys.argv[1])
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    program, runtime, log = tmp_path / "program.py", tmp_path / "runtime.json", tmp_path / "log"
    program.write_text(PROGRAM, encoding="utf-8")
    environment = os.environ | {
        "JUPYTER_WORKSPACE": "test",
        "JUPYTER_WORKSPACES_HOME": str(tmp_path / "home"),
    }
    with log.open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, str(program), str(runtime)],
            env=environment,
            stdout=written,
            stderr=written,
        )
    end = time.monotonic() + LIMIT
    while not runtime.exists():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end
        time.sleep(0.05)
    yield process, json.loads(runtime.read_text())
    if process.poll() is None:
        process.terminate()
    process.wait(20)
    assert "failed" not in log.read_text(), log.read_text()


@pytest.mark.slow
def test_it_ends_by_itself_when_nobody_asks(
    server: tuple[subprocess.Popen[bytes], dict[str, Any]],
) -> None:
    process, _ = server
    assert process.wait(LIMIT) == 0


@pytest.mark.slow
def test_it_does_not_end_while_a_response_is_streamed(
    server: tuple[subprocess.Popen[bytes], dict[str, Any]],
) -> None:
    process, told = server
    assert STREAM_SECONDS > 60 * IDLE_MINUTES * 3
    with urllib.request.urlopen(f"{told['url'].rstrip('/')}/stream", timeout=LIMIT) as answer:
        lines = answer.read().splitlines()
    assert len(lines) > STREAM_SECONDS * 4
    assert process.poll() is None
    assert process.wait(LIMIT) == 0
