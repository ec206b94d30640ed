"""Port-forward tunnels of kubectl: SPDY/3.1 in a WebSocket (KEP-4006), from the frames up."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from node_cluster import TOKEN, NodeCluster, node_cluster
from pod_sockets import LIMIT_SECONDS

from jupyter_workspaces.localkube.apiserver.pods import spdy

PROTOCOL = "SPDY/3.1+portforward.k8s.io"
PORT = 8888
ECHO = f"""
import os, socket
server = socket.create_server((os.environ['POD_IP'], {PORT}))
print('ready', flush=True)
while True:
    connection = server.accept()[0]
    connection.sendall(connection.recv(100))
    connection.close()
"""


class TunnelClient:
    """SPDY client in a WebSocket, with all that the server has sent.

    Attributes:
        data: received bytes by stream.
        ended: streams that the server has closed.
        accepted: streams that the server has accepted.
        reset: streams that the server has refused.
        pings: numbers of the answered pings.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._decoder, self._encoder = spdy.Decoder(), spdy.Encoder()
        self.data: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.accepted: set[int] = set()
        self.reset: set[int] = set()
        self.pings: set[int] = set()

    async def open(self, stream: int, **headers: str) -> None:
        await self.send(self._encoder.open(stream, headers))

    async def send(self, frame: bytes) -> None:
        await self._socket.send_bytes(frame)

    async def until_ended(self, *streams: int) -> None:
        while not self.ended >= set(streams):
            await self.read()

    async def read(self) -> None:
        """Process the next message of the server."""
        for frame in self._decoder.feed(await self._socket.receive_bytes(timeout=LIMIT_SECONDS)):
            match frame.kind:
                case None:
                    self.data[frame.stream] = self.data.get(frame.stream, b"") + frame.data
                    if frame.ends:
                        self.ended.add(frame.stream)
                case spdy.SYN_REPLY:
                    self.accepted.add(frame.stream)
                case spdy.RST_STREAM:
                    self.reset.add(frame.stream)
                case spdy.PING:
                    self.pings.add(frame.value)


@asynccontextmanager
async def tunnel(directory: Path) -> AsyncIterator[TunnelClient]:
    """Open a tunnel to a pod whose program sends back what it receives."""
    async with node_cluster(directory) as nodes:
        (directory / "echo.py").write_text(ECHO)
        container = {
            "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
        }
        await nodes.program(
            "p", f"exec {sys.executable} -u {directory}/echo.py", container=container
        )
        await nodes.says("p", "ready")
        async with connected(nodes) as client:
            yield client


@asynccontextmanager
async def connected(nodes: NodeCluster) -> AsyncIterator[TunnelClient]:
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session,
        session.ws_connect(
            f"{nodes.url}/api/v1/namespaces/default/pods/p/portforward",
            protocols=(PROTOCOL,),
            ssl=nodes.cluster.endpoint.ssl_context or True,
        ) as socket,
    ):
        assert socket.protocol == PROTOCOL
        yield TunnelClient(socket)


async def test_a_tunnel_carries_several_connections(tmp_path: Path) -> None:
    async with tunnel(tmp_path) as client:
        for first, number in ((1, "0"), (5, "1")):
            await client.open(first, streamtype="error", port=str(PORT), requestid=number)
            await client.open(first + 2, streamtype="data", port=str(PORT), requestid=number)
            await client.send(spdy.data_frame(first + 2, b"hello " + number.encode()))
            await client.until_ended(first, first + 2)

        assert client.accepted == {1, 3, 5, 7}
        assert client.data == {1: b"", 3: b"hello 0", 5: b"", 7: b"hello 1"}


@pytest.mark.parametrize(
    "headers",
    [
        {"streamtype": "strange", "port": str(PORT)},
        {"streamtype": "data", "port": "x"},
        {"streamtype": "data", "port": "70000"},
    ],
)
async def test_an_invalid_stream_is_reset(tmp_path: Path, headers: dict[str, str]) -> None:
    async with tunnel(tmp_path) as client:
        await client.open(1, **headers)
        await client.send(spdy.ping_frame(7))
        while not client.pings:
            await client.read()

        assert (client.reset, client.accepted, client.pings) == ({1}, set(), {7})
