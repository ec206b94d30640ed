"""A program that is stopped (SIGSTOP) is not ready, although the kernel accepts its connections."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from node_cluster import NodeCluster, condition, node_cluster
from waiting import until

from jupyter_workspaces.localkube.node import images
from jupyter_workspaces.localkube.node.processes.trees import shims
from jupyter_workspaces.localkube.node.records import all_pods
from jupyter_workspaces.resources.metadata_keys import WORKSPACE_NAME

PORT = 8888
NOTICED_SECONDS = 30.0
SPARE_SECONDS = 5.0
"""For a machine that does other things."""

OF_A_WORKSPACE = {"labels": {WORKSPACE_NAME: "dora"}}
TCP_PROGRAM = """
import sys
from http.server import HTTPServer, BaseHTTPRequestHandler
class Refuses(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(401)
HTTPServer((sys.argv[1], int(sys.argv[2])), Refuses).serve_forever()
"""
UNIX_PROGRAM = """
import socketserver, sys
from http.server import BaseHTTPRequestHandler
class Says(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204)
        self.end_headers()
    def address_string(self):
        return "somebody"
socketserver.ThreadingUnixStreamServer(sys.argv[1], Says).serve_forever()
"""


def image(directory: Path, script: str, *arguments: str, **entry: str) -> None:
    """Let the image `app` stand for a program."""
    program = directory / "program.py"
    program.write_text(script)
    found = {"image": "app", "command": [sys.executable, str(program), *arguments], **entry}
    (directory / images.MAPPING).write_text(yaml.safe_dump({"images": [found]}))


def app(**more: Any) -> dict[str, Any]:
    """A container as the controller makes it for a kind without probes."""
    ports = [{"name": f"http-{PORT}", "containerPort": PORT}]
    return {"image": "app", "command": None, "ports": ports, **more}


@contextmanager
def stopped(directory: Path) -> Iterator[None]:
    """Stop the program of the only pod: the shim's first child, which a gate's program becomes."""
    (shim,) = [shim for files in all_pods(directory) for shim in shims(files)]
    (program,) = shim.children()
    program.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        program.send_signal(signal.SIGCONT)


async def noticed(nodes: NodeCluster) -> None:
    began = time.monotonic()

    async def is_unready() -> bool:
        return condition(await nodes.pod("one"), "Ready") == "False"

    await until(is_unready, "the stopped program to be noticed", NOTICED_SECONDS + SPARE_SECONDS)
    assert time.monotonic() - began <= NOTICED_SECONDS + SPARE_SECONDS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "arguments", "entry"),
    [
        (TCP_PROGRAM, ("{address}", "{port}"), {}),
        (UNIX_PROGRAM, ("{socket}",), {}),
        (UNIX_PROGRAM, ("{socket}",), {"check": "/healthz"}),
    ],
    ids=["any answer counts", "behind the gate", "by the check of images.yaml"],
)
async def test_a_stopped_program_is_not_ready_until_it_goes_on(
    tmp_path: Path, script: str, arguments: tuple[str, ...], entry: dict[str, str]
) -> None:
    image(tmp_path, script, *arguments, **entry)
    async with node_cluster(tmp_path) as nodes:
        await nodes.program("one", "", container=app(), metadata=OF_A_WORKSPACE)
        await nodes.ready("one")

        with stopped(tmp_path):
            await noticed(nodes)
            problem = (await nodes.until(lambda: nodes.events("Unhealthy")))[0]
            assert "no answer within 5 s" in problem["message"]

        await nodes.ready("one")


async def test_a_kinds_own_probe_wins(tmp_path: Path) -> None:
    """The program answers 401 to everybody, which such a probe does not take for ready."""
    image(tmp_path, TCP_PROGRAM, "{address}", "{port}")
    probe = {"httpGet": {"port": PORT, "path": "/"}, "periodSeconds": 1, "failureThreshold": 1}
    async with node_cluster(tmp_path) as nodes:
        await nodes.program("one", "", container=app(readinessProbe=probe), metadata=OF_A_WORKSPACE)

        problem = (await nodes.until(lambda: nodes.events("Unhealthy")))[0]

        assert "HTTP 401" in problem["message"]


async def test_a_pod_that_is_no_workspace_is_ready_when_it_runs_as_on_any_cluster(
    tmp_path: Path,
) -> None:
    async with node_cluster(tmp_path) as nodes:
        ports = [{"name": f"http-{PORT}", "containerPort": PORT}]
        await nodes.program("one", "exec sleep 60", container={"ports": ports})

        await nodes.ready("one")


@pytest.mark.slow
async def test_a_stopped_lab_is_not_ready_until_it_goes_on_and_shows_its_address_to_nobody(
    tmp_path: Path,
) -> None:
    container = {"image": "jupyterlab", "command": None, "ports": [{"containerPort": PORT}]}
    async with node_cluster(tmp_path) as nodes:
        await nodes.program("one", "", container=container)
        address = (await nodes.ready("one"))["status"]["podIP"]
        assert lines_with(address) == []

        with stopped(tmp_path):
            await noticed(nodes)

        await nodes.ready("one")


async def test_no_command_line_shows_the_address_of_a_gate(tmp_path: Path) -> None:
    image(tmp_path, UNIX_PROGRAM, "{socket}")
    async with node_cluster(tmp_path) as nodes:
        await nodes.program("one", "", container=app(), metadata=OF_A_WORKSPACE)
        pod = await nodes.ready("one")

        assert lines_with(pod["status"]["podIP"]) == []
        for path in (tmp_path / "pods").rglob("*.json"):
            assert path.stat().st_mode & 0o077 == 0


def lines_with(text: str) -> list[str]:
    """Command lines of this computer's processes, which every user can read."""
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if text in line and process.pid != os.getpid():
            found.append(line)
    return found
