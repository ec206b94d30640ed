"""exec and port-forward as kubectl before 1.31 asks for them: SPDY/3.1 on the bare connection."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from node_cluster import TOKEN, NodeCluster, node_cluster, processes
from pod_sockets import command

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.localkube.apiserver.pods import spdy

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pods' commands need POSIX")

LIMIT_SECONDS = 15.0
COMMANDS, FORWARDS = "v4.channel.k8s.io", "portforward.k8s.io"
PORT = 8888


class SpdyClient:
    """`said` collects what came by stream, `ended` those that ended, `pings` the numbers that came back."""

    def __init__(
        self, status: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.status, self._reader, self._writer = status, reader, writer
        self._decoder, self._encoder = spdy.Decoder(), spdy.Encoder()
        self.said: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.taken: set[int] = set()
        self.reset: set[int] = set()
        self.pings: set[int] = set()

    async def open(self, stream: int, **headers: str) -> None:
        await self.send(self._encoder.open(stream, headers))

    async def send(self, frame: bytes) -> None:
        self._writer.write(frame)
        await self._writer.drain()

    async def read(self) -> bool:
        """Take what came; False when the server has closed."""
        async with timeout(LIMIT_SECONDS):
            data = await self._reader.read(65536)
        for frame in self._decoder.feed(data):
            match frame.kind:
                case None:
                    self.said[frame.stream] = self.said.get(frame.stream, b"") + frame.data
                    if frame.ends:
                        self.ended.add(frame.stream)
                case spdy.SYN_REPLY:
                    self.taken.add(frame.stream)
                case spdy.RST_STREAM:
                    self.reset.add(frame.stream)
                case spdy.PING:
                    self.pings.add(frame.value)
        return bool(data)

    async def until_ended(self, *streams: int) -> None:
        while not self.ended >= set(streams):
            assert await self.read(), f"it closed; it said {self.said}"

    async def until_said(self, stream: int, text: bytes) -> None:
        while text not in self.said.get(stream, b""):
            assert await self.read(), f"it closed; it said {self.said}"


@asynccontextmanager
async def asking(
    nodes: NodeCluster, path: str, query: list[tuple[str, str]], version: str
) -> AsyncIterator[SpdyClient]:
    address = urlsplit(nodes.url)
    reader, writer = await asyncio.open_connection(
        address.hostname, address.port, ssl=nodes.cluster.endpoint.ssl_context
    )
    head = (
        f"POST /api/v1/namespaces/default/pods/{path}?{urlencode(query)} HTTP/1.1\r\nHost: {address.netloc}\r\n"
        f"Authorization: Bearer {TOKEN}\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 0\r\n"
        f"X-Stream-Protocol-Version: {version}\r\nX-Stream-Protocol-Version: channel.k8s.io\r\n\r\n"
    )
    writer.write(head.encode())
    async with timeout(LIMIT_SECONDS):
        answer = (await reader.readuntil(b"\r\n\r\n")).decode()
    status, *headers = answer.split("\r\n")
    if " 101 " in status:
        assert {
            "Upgrade: SPDY/3.1",
            "Connection: Upgrade",
            f"X-Stream-Protocol-Version: {version}",
        } <= set(headers)
    try:
        yield SpdyClient(status, reader, writer)
    finally:
        writer.close()


@asynccontextmanager
async def with_pod(
    directory: Path, script: str = "echo ready; sleep 600"
) -> AsyncIterator[NodeCluster]:
    async with node_cluster(directory) as nodes:
        container = {
            "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
        }
        await nodes.program("p", script, container=container)
        await nodes.says("p", "ready")
        yield nodes


async def test_a_command_tells_its_output_and_its_exit_code(tmp_path: Path) -> None:
    async with (
        with_pod(tmp_path) as nodes,
        asking(
            nodes, "p/exec", command("sh", "-c", "echo out; echo err >&2; exit 3"), COMMANDS
        ) as client,
    ):
        for stream, kind in ((1, "error"), (3, "stdout"), (5, "stderr")):
            await client.open(stream, streamtype=kind)
        await client.until_ended(1, 3, 5)

        assert client.taken == {1, 3, 5}
        assert (client.said[3], client.said[5]) == (b"out\n", b"err\n")
        assert json.loads(client.said[1])["details"]["causes"] == [
            {"reason": "ExitCode", "message": "3"}
        ]


async def test_standard_input_has_an_end(tmp_path: Path) -> None:
    async with (
        with_pod(tmp_path) as nodes,
        asking(
            nodes, "p/exec", command("tr", "a-z", "A-Z", stdin=True, stderr=False), COMMANDS
        ) as client,
    ):
        for stream, kind in ((1, "error"), (3, "stdin"), (5, "stdout")):
            await client.open(stream, streamtype=kind)
        await client.send(spdy.ping_frame(7))
        await client.send(spdy.data_frame(3, b"lo"))
        await client.send(spdy.data_frame(3, b"ud", ends=True))
        await client.until_ended(1, 5)

        assert client.said[5] == b"LOUD"
        assert json.loads(client.said[1])["status"] == "Success"
        assert client.pings == {7}


async def test_a_stream_that_has_no_meaning_is_refused(tmp_path: Path) -> None:
    async with (
        with_pod(tmp_path) as nodes,
        asking(nodes, "p/exec", command("true", stderr=False), COMMANDS) as client,
    ):
        for stream, kind in ((1, "strange"), (3, "error"), (5, "error"), (7, "stdout")):
            await client.open(stream, streamtype=kind)
        await client.until_ended(3, 7)

        assert (client.reset, client.taken) == ({1, 5}, {3, 7})


async def test_a_client_that_goes_ends_its_command(tmp_path: Path) -> None:
    mark = f"8{os.getpid()}"
    async with with_pod(tmp_path) as nodes:
        async with asking(
            nodes, "p/exec", command("sh", "-c", f"echo on; exec sleep {mark}"), COMMANDS
        ) as client:
            for stream, kind in ((1, "error"), (3, "stdout"), (5, "stderr")):
                await client.open(stream, streamtype=kind)
            await client.until_said(3, b"on")

            async def is_there() -> bool:
                return bool(processes(mark))

            await nodes.until(is_there, "the command")

        async def is_gone() -> bool:
            return not processes(mark)

        await nodes.until(is_gone, "the end of the command")


async def test_what_is_no_spdy_ends_its_connection_alone(tmp_path: Path) -> None:
    async with (
        with_pod(tmp_path) as nodes,
        asking(nodes, "p/exec", command("true"), COMMANDS) as client,
    ):
        await client.send(b"GET / HTTP/1.1\r\n\r\n" + bytes(1000))
        while await client.read():
            continue

        await nodes.state("p", "running")


@pytest.mark.parametrize(
    ("path", "version"), [("p/exec", "v9.channel.k8s.io"), ("p/portforward", COMMANDS)]
)
async def test_streams_of_an_unknown_version_are_refused(
    tmp_path: Path, path: str, version: str
) -> None:
    async with with_pod(tmp_path) as nodes, asking(nodes, path, command("true"), version) as client:
        assert " 403 " in client.status


async def test_a_port_is_forwarded(tmp_path: Path) -> None:
    echo = tmp_path / "echo.py"
    echo.write_text(
        "import os, socket\n"
        f"server = socket.create_server((os.environ['POD_IP'], {PORT}))\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    connection = server.accept()[0]\n"
        "    connection.sendall(connection.recv(100))\n"
        "    connection.close()\n"
    )
    async with (
        with_pod(tmp_path, f"exec {sys.executable} -u {echo}") as nodes,
        asking(nodes, "p/portforward", [], FORWARDS) as client,
    ):
        for first, number in ((1, "0"), (5, "1")):  # two connections in one tunnel
            await client.open(first, streamtype="error", port=str(PORT), requestid=number)
            await client.open(first + 2, streamtype="data", port=str(PORT), requestid=number)
            await client.send(spdy.data_frame(first + 2, b"hello " + number.encode()))
            await client.until_ended(first, first + 2)

        assert {stream: client.said[stream] for stream in (1, 3, 5, 7)} == {
            1: b"",
            3: b"hello 0",
            5: b"",
            7: b"hello 1",
        }
