"""The gate protects programs that do not authenticate their users from other users."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import yaml
from node_cluster import NodeCluster, node_cluster

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.catalog import PODS
from jupyter_workspaces.localkube.node import images, runtimes
from jupyter_workspaces.localkube.node.processes.gate import is_of_this_user
from jupyter_workspaces.localkube.node.runtimes import ServingAddress

NOBODY = 65534

PROGRAM = """
import socketserver, sys
from http.server import BaseHTTPRequestHandler

class Says(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"whoever you are"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = answer
    def address_string(self):
        return "somebody"

class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

Server(sys.argv[1], Says).serve_forever()
"""

DIAL = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 10) as dialled:
    try:
        dialled.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
        print(dialled.recv(1000).decode())
    except ConnectionError:
        print("")
"""


def program(directory: Path) -> None:
    """Map the image `asks-nobody` to a program without authentication at its socket."""
    script = directory / "program.py"
    script.write_text(PROGRAM)
    entry = {"image": "asks-nobody", "command": [sys.executable, str(script), "{socket}"]}
    (directory / images.MAPPING).write_text(yaml.safe_dump({"images": [entry]}))


async def started(nodes: NodeCluster) -> tuple[str, int]:
    """A pod of that image, ready; where its gate is."""
    probe = {"tcpSocket": {"port": 8888}, "periodSeconds": 1}
    main = {
        "image": "asks-nobody",
        "command": None,
        "ports": [{"containerPort": 8888}],
        "readinessProbe": probe,
    }
    await nodes.program("one", "", container=main)
    pod = await nodes.ready("one")
    return pod["status"]["podIP"], 8888


async def test_the_user_who_runs_it_reaches_the_program_through_its_gate(tmp_path: Path) -> None:
    program(tmp_path)
    async with node_cluster(tmp_path) as nodes:
        address, port = await started(nodes)

        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://{address}:{port}/") as answer:
                assert await answer.text() == "whoever you are"
            large = os.urandom(3 * 2**20)
            async with session.post(f"http://{address}:{port}/", data=large) as answer:
                assert await answer.read() == large


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can dial as another user")
async def test_another_user_of_the_computer_is_not_let_in(tmp_path: Path) -> None:
    program(tmp_path)
    async with node_cluster(tmp_path) as nodes:
        address, port = await started(nodes)

        async def dial(user: int) -> str:
            command = [
                shutil.which("python3", path="/usr/bin") or sys.executable,
                "-c",
                DIAL,
                address,
                str(port),
            ]
            dialling = await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.PIPE, cwd="/", user=user
            )
            async with timeout(20):
                told, _ = await dialling.communicate()
            assert dialling.returncode == 0
            return told.decode()

        assert "200" in await dial(os.geteuid())
        assert (await dial(NOBODY)).strip() == ""


async def test_the_socket_is_where_nobody_else_can_go(tmp_path: Path) -> None:
    program(tmp_path)
    async with node_cluster(tmp_path) as nodes:
        await started(nodes)

        # Where the path is too long for sockets, a link names a directory with a short one.
        links = [found.resolve() for found in (tmp_path / "pods").rglob("*") if found.is_symlink()]
        places = [tmp_path / "pods", *(found for found in links if found.name.startswith("jw-"))]
        (found,) = {path for place in places for path in place.rglob("program") if path.is_socket()}
        assert found.parent.stat().st_mode & 0o077 == 0


async def test_the_gate_ends_with_its_program(tmp_path: Path) -> None:
    program(tmp_path)
    async with node_cluster(tmp_path) as nodes:
        address, port = await started(nodes)
        uid = (await nodes.pod("one"))["metadata"]["uid"]
        await nodes.delete("one")
        await nodes.gone("one")

        with socket.socket() as dialling:
            assert dialling.connect_ex((address, port)) != 0
        assert not [
            found
            for found in psutil.process_iter(["cmdline"])
            if uid[:8] in " ".join(found.info["cmdline"] or ())
        ]


async def test_a_program_that_listens_late_is_not_ready_before(tmp_path: Path) -> None:
    program(tmp_path)
    script = tmp_path / "program.py"
    script.write_text(
        f"import os, time\nwhile not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.05)\n"
        + PROGRAM
    )
    async with node_cluster(tmp_path) as nodes:
        starting = asyncio.create_task(started(nodes))
        await nodes.state("one", "running")
        pod = await nodes.cluster.get(PODS, "one", "default")
        with socket.socket() as dialling:
            assert dialling.connect_ex((pod["status"]["podIP"], 8888)) != 0

        (tmp_path / "go").touch()

        async with timeout(30):
            await starting


def test_a_connection_of_ours_is_told_from_one_that_is_closed() -> None:
    with socket.socket() as listening:
        listening.bind(("127.77.0.1", 0))
        listening.listen()
        dialled = socket.create_connection(listening.getsockname())
        taken, peer = listening.accept()
        with taken:
            assert is_of_this_user(peer, taken.getsockname())
            dialled.close()
            assert not is_of_this_user(peer, taken.getsockname())


@pytest.mark.parametrize(
    ("image", "name"), [("acme/codeserver-python:1", "code-server"), ("rocker/rstudio", "rserver")]
)
def test_editors_without_a_login_listen_behind_the_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: str, name: str
) -> None:
    fake = tmp_path / name
    fake.write_text("#!/bin/sh\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    variables: dict[str, Any] = {}

    found = images.resolve(image, {}, variables, tmp_path)
    place = ServingAddress("127.64.0.1", 8888, "/x/", "/home", "/private", "/private/program")
    line, told = found.command_line(place), found.private_files(place)["/private/main.gate.json"]

    assert line[:6] == [
        sys.executable,
        "-I",
        "-S",
        str(runtimes.GATE),
        "/private/main.gate.json",
        str(fake),
    ]
    assert json.loads(told) == {"address": "127.64.0.1", "port": 8888, "socket": "/private/program"}
    assert not [part for part in line if "127.64.0.1" in part]
