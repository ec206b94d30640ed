"""Connections to ports of pods (`kubectl port-forward`)."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from node_cluster import NodeCluster, node_cluster
from pod_sockets import LIMIT_SECONDS, Kubectl, kubectl_program, pod_socket

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.catalog import PODS
from jupyter_workspaces.kube.port_forward import ForwardFailed, forward

V4 = "v4.channel.k8s.io"
PORT = 8888
ECHO = f"""
import asyncio, os
async def serve(reader, writer):
    while data := await reader.read(65536):
        if data == b"bye":
            break
        writer.write(data)
        await writer.drain()
    writer.write(b"<end>")
    writer.close()
async def main():
    server = await asyncio.start_server(serve, os.environ["POD_IP"], {PORT})
    print("ready", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@asynccontextmanager
async def with_echo(directory: Path, **settings: object) -> AsyncIterator[NodeCluster]:
    """A pod `p` whose program sends back what it gets, until `bye` or the end of it."""
    async with node_cluster(directory, **settings) as nodes:
        (directory / "echo.py").write_text(ECHO)
        container = {
            "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
            "ports": [{"containerPort": PORT}],
        }
        await nodes.program(
            "p", f"exec {sys.executable} -u {directory}/echo.py", container=container
        )
        await nodes.says("p", "ready")
        yield nodes


async def test_a_connection_passes_both_ways_until_the_pods_end(tmp_path: Path) -> None:
    async with with_echo(tmp_path) as nodes:
        carried = await forward(nodes.cluster, "default", "p", PORT)
        await carried.send(b"hello")
        assert await carried.receive() == b"hello"
        await carried.send(b"bye")

        assert await carried.receive() == b"<end>"
        assert await carried.receive() == b""
        await carried.close()


async def test_each_port_has_a_pair_of_channels_that_begin_with_it(tmp_path: Path) -> None:
    async with (
        with_echo(tmp_path) as nodes,
        pod_socket(
            nodes, "p/portforward", [("ports", f"{PORT},9"), ("ports", str(PORT))], (V4,)
        ) as socket,
    ):
        await socket.send(b"\x00", b"first")
        await socket.send(b"\x04", b"third")
        await socket.until(0, b"first")
        await socket.until(4, b"third")
        await socket.until(3, b"error forwarding port 9 to pod p")

        assert [bytes(socket.said[channel][:2]) for channel in range(6)] == [
            number.to_bytes(2, "little") for number in (PORT, PORT, 9, 9, PORT, PORT)
        ]


async def test_a_port_at_which_nobody_listens_is_told(tmp_path: Path) -> None:
    async with with_echo(tmp_path) as nodes:
        carried = await forward(nodes.cluster, "default", "p", 9)
        with pytest.raises(ForwardFailed, match="error forwarding port 9 to pod p"):
            await carried.receive()
        await carried.close()


async def test_nothing_but_the_pod_can_be_reached(tmp_path: Path) -> None:
    async with with_echo(tmp_path) as nodes:
        ours = int(nodes.url.rpartition(":")[2])  # somebody listens there, at 127.0.0.1
        carried = await forward(nodes.cluster, "default", "p", ours)
        with pytest.raises(ForwardFailed):
            await carried.receive()
        await carried.close()


@pytest.mark.parametrize(
    "ports",
    [
        [],
        [("ports", "x")],
        [("ports", "0")],
        [("ports", "70000")],
        [("ports", ",".join(["80"] * 33))],
    ],
)
async def test_ports_that_are_none_are_refused(
    tmp_path: Path, ports: list[tuple[str, str]]
) -> None:
    async with with_echo(tmp_path) as nodes:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with pod_socket(nodes, "p/portforward", ports, (V4,)):
                pass

        assert refused.value.status == 400


async def test_a_pod_without_a_node_has_no_ports(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        await nodes.make(PODS, "p", spec={"containers": [{"name": "main", "image": "local"}]})
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with pod_socket(nodes, "p/portforward", [("ports", "80")], (V4,)):
                pass

        assert refused.value.status == 400


async def test_what_is_no_spdy_ends_its_tunnel_alone(tmp_path: Path) -> None:
    async with with_echo(tmp_path) as nodes:
        async with pod_socket(
            nodes, "p/portforward", [], ("SPDY/3.1+portforward.k8s.io",)
        ) as socket:
            await socket.socket.send_bytes(b"GET / HTTP/1.1\r\n\r\n" + bytes(2**20))
            await socket.end()
        carried = await forward(nodes.cluster, "default", "p", PORT)
        await carried.send(b"still")
        assert await carried.receive() == b"still"
        await carried.close()


# kubectl


@asynccontextmanager
async def kubectl_forward(nodes: NodeCluster, port: int) -> AsyncIterator[int]:
    """The local port of `kubectl port-forward p`."""
    found = kubectl_program()
    if found is None:
        pytest.skip(
            "no kubectl that speaks WebSocket: set JW_TEST_BINARIES or JUPYTER_WORKSPACES_KUBECTL"
        )
    process = await Kubectl(found, nodes, nodes.directory).start(
        "port-forward", "p", f":{port}", "--address=127.0.0.1"
    )
    assert process.stdout is not None
    try:
        async with timeout(LIMIT_SECONDS):
            line = (await process.stdout.readline()).decode()
        told = re.search(r"127\.0\.0\.1:(\d+) ->", line)
        assert told is not None, line
        yield int(told[1])
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def test_kubectl_forwards_many_connections_at_once(tmp_path: Path) -> None:
    async def ask(local: int, data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", local)
        writer.write(data)
        writer.write_eof()
        async with timeout(LIMIT_SECONDS):
            answer = await reader.read(-1)
        writer.close()
        return answer

    async with with_echo(tmp_path, secure=True) as nodes, kubectl_forward(nodes, PORT) as local:
        asked = [bytes([number]) * (number * 10_000 + 1) for number in range(20)]
        answers = await asyncio.gather(*(ask(local, data) for data in asked))

        assert answers == [data + b"<end>" for data in asked]


async def test_kubectl_says_when_nobody_listens(tmp_path: Path) -> None:
    found = kubectl_program()
    if found is None:
        pytest.skip(
            "no kubectl that speaks WebSocket: set JW_TEST_BINARIES or JUPYTER_WORKSPACES_KUBECTL"
        )
    async with with_echo(tmp_path, secure=True) as nodes:
        process = await Kubectl(found, nodes, tmp_path).start(
            "port-forward", "p", ":9", "--address=127.0.0.1"
        )
        assert process.stdout is not None
        async with timeout(LIMIT_SECONDS):
            line = (await process.stdout.readline()).decode()
        local = int(line.split(":")[1].split()[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", local)
        async with timeout(LIMIT_SECONDS):
            assert await reader.read(-1) == b""
        writer.close()
        async with timeout(LIMIT_SECONDS):
            _, complaint = await process.communicate()

        assert b"error forwarding port 9 to pod p" in complaint
