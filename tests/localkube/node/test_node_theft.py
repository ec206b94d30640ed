"""Another user's program takes the address of a pod: it receives nothing, and the pod recovers."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import yaml
from node_cluster import NodeCluster, condition, node_cluster
from thief import as_root, start_thief, thief

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.peer_connector import PeerConnector
from jupyter_workspaces.kube.peers import FOREIGN
from jupyter_workspaces.kube.port_forward import ForwardFailed, forward
from jupyter_workspaces.localkube.node import addresses, images
from jupyter_workspaces.resources.metadata_keys import LOCAL_PORT

PORT = 8888
PROGRAM = """
import os, sys, time
from http.server import HTTPServer, SimpleHTTPRequestHandler
while not os.path.exists(sys.argv[3]):
    time.sleep(0.02)
HTTPServer((sys.argv[1], int(sys.argv[2])), SimpleHTTPRequestHandler).serve_forever()
"""
HTTP = {
    "httpGet": {
        "port": PORT,
        "path": "/",
        "httpHeaders": [{"name": "Authorization", "value": "token secret"}],
    }
}
TCP = {"tcpSocket": {"port": PORT}}


async def pod_that_listens_late(
    nodes: NodeCluster,
    probe: dict[str, Any],
    program: str = PROGRAM,
    place: tuple[str, ...] = ("{address}", "{port}"),
) -> str:
    """A pod whose program listens once the file `go` is there. Its address."""
    script = nodes.directory / "program.py"
    script.write_text(program)
    entry = {
        "image": "late",
        "command": [sys.executable, str(script), *place, str(nodes.directory / "go")],
    }
    (nodes.directory / images.MAPPING).write_text(yaml.safe_dump({"images": [entry]}))
    main = {
        "image": "late",
        "command": None,
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {**probe, "failureThreshold": 100},
    }
    await nodes.program("one", "", container=main)
    await nodes.state("one", "running")
    address: str = (await nodes.pod("one"))["status"]["podIP"]
    return address


UNIX_PROGRAM = """
import os, socketserver, sys, time
from http.server import BaseHTTPRequestHandler
while not os.path.exists(sys.argv[2]):
    time.sleep(0.02)
class Says(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204)
        self.end_headers()
    def address_string(self):
        return "somebody"
socketserver.ThreadingUnixStreamServer(sys.argv[1], Says).serve_forever()
"""


@as_root
async def test_a_gate_whose_address_is_taken_ends_its_program_which_gets_another_port(
    tmp_path: Path,
) -> None:
    async with node_cluster(tmp_path, first_pause=0.1) as nodes:
        address = await pod_that_listens_late(nodes, HTTP, UNIX_PROGRAM, ("{socket}",))
        with thief(address, PORT) as other:
            (tmp_path / "go").touch()

            pod = await nodes.ready("one")
            _, taken = await asyncio.to_thread(other.stop)

        assert int(pod["metadata"]["annotations"][f"{LOCAL_PORT}{PORT}"]) != PORT
        assert "Nothing can listen at this workspace's address" in await nodes.log(
            "one", previous="true"
        )
        assert taken == b""


async def says_so(nodes: NodeCluster) -> bool:
    pod = await nodes.pod("one")
    ready = next(found for found in pod["status"]["conditions"] if found["type"] == "Ready")
    return ready["status"] == "False" and str(ready.get("message", "")).startswith(FOREIGN)


@as_root
@pytest.mark.parametrize("probe", [HTTP, TCP], ids=["http", "tcp"])
async def test_a_thief_gets_no_byte_and_the_pod_takes_another_port(
    tmp_path: Path, probe: dict[str, Any]
) -> None:
    async with node_cluster(tmp_path, first_pause=0.1) as nodes:
        address = await pod_that_listens_late(nodes, probe)
        with thief(address, PORT) as other:
            await nodes.until(lambda: says_so(nodes), "the pod to say who listens")
            assert (await nodes.until(lambda: nodes.events("AddressTaken")))[0]["type"] == "Warning"
            carried = await forward(nodes.cluster, "default", "one", PORT)
            await carried.send(b"GET / HTTP/1.1\r\nAuthorization: token secret\r\n\r\n")
            with pytest.raises(ForwardFailed, match="Another user's program listens"):
                await carried.receive()
            await carried.close()

            (tmp_path / "go").touch()

            pod = await nodes.ready("one")
            port = int(pod["metadata"]["annotations"][f"{LOCAL_PORT}{PORT}"])
            assert port != PORT
            async with (
                aiohttp.ClientSession(connector=PeerConnector()) as session,
                session.get(f"http://{address}:{port}/") as answer,
            ):
                assert answer.status == 200
            count, taken = await asyncio.to_thread(other.stop)

        assert count >= 2
        assert taken == b""


@as_root
async def test_a_pod_whose_port_is_taken_between_two_runs_takes_another(tmp_path: Path) -> None:
    """It waits for the address of a program that runs; between two runs nobody listens there."""
    (tmp_path / "go").touch()
    async with node_cluster(tmp_path, first_pause=5.0) as nodes:
        address = await pod_that_listens_late(nodes, {**HTTP, "periodSeconds": 1})
        await nodes.ready("one")
        starting = asyncio.create_task(asyncio.to_thread(start_thief, address, PORT))
        (program,) = [found for found in psutil.process_iter() if _is_program(found, tmp_path)]
        program.kill()
        async with timeout(30):
            other = await starting
        try:
            pod = await nodes.until(lambda: _moved(nodes), "the pod at another port")
            count, taken = await asyncio.to_thread(other.stop)
        finally:
            other.kill()

        assert pod["status"]["podIP"] == address
        assert taken == b"", count


async def _moved(nodes: NodeCluster) -> dict[str, Any] | None:
    pod = await nodes.pod("one")
    moved = f"{LOCAL_PORT}{PORT}" in (pod["metadata"].get("annotations") or {})
    return pod if moved and condition(pod, "Ready") == "True" else None


def _is_program(process: psutil.Process, directory: Path) -> bool:
    try:
        return str(directory / "program.py") in process.cmdline()
    except psutil.Error:
        return False


def test_nobody_can_guess_an_address() -> None:
    if not addresses.many_addresses():
        pytest.skip("pods share 127.0.0.1 here")
    assert len({addresses.allocate([PORT], set())[0] for _ in range(20)}) > 10
