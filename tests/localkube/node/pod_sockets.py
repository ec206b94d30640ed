"""Clients of the WebSockets of pods: one that knows the channels, and kubectl."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import control_plane_binaries
from node_cluster import TOKEN, NodeCluster

from jupyter_workspaces.common.timeouts import timeout

LIMIT_SECONDS = 15.0
STDIN, STDOUT, STDERR, ERROR, RESIZE = (bytes((number,)) for number in range(5))


class PodSocket:
    """One WebSocket; `said` collects what came by channel."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.said: dict[int, bytearray] = {}

    async def send(self, channel: bytes, data: bytes = b"") -> None:
        await self.socket.send_bytes(channel + data)

    async def until(self, channel: int, text: bytes) -> None:
        while text not in self.said.get(channel, b""):
            assert await self._read(), f"it closed; it said {self.said}"

    async def end(self) -> dict[str, Any]:
        """Read to the end; the status, empty where there was none."""
        while await self._read():
            continue
        told: dict[str, Any] = json.loads(self.said.get(3) or b"{}")
        return told

    async def _read(self) -> bool:
        message = await self.socket.receive(LIMIT_SECONDS)
        if message.type is aiohttp.WSMsgType.BINARY:
            self.said.setdefault(message.data[0], bytearray()).extend(message.data[1:])
            return True
        return False


@asynccontextmanager
async def pod_socket(
    nodes: NodeCluster,
    path: str,
    query: Sequence[tuple[str, str]],
    protocols: Sequence[str] = ("v5.channel.k8s.io",),
    method: str = "GET",
) -> AsyncIterator[PodSocket]:
    """`path` is below the namespace's pods. Raises what aiohttp raises."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession() as session:
        url = f"{nodes.url}/api/v1/namespaces/default/pods/{path}"
        trust = nodes.cluster.endpoint.ssl_context or True
        async with session.ws_connect(
            url, params=list(query), protocols=protocols, headers=headers, method=method, ssl=trust
        ) as socket:
            yield PodSocket(socket)


def command(*words: str, **streams: bool) -> list[tuple[str, str]]:
    """The query of an exec; stdout and stderr unless said otherwise."""
    wanted = {"stdout": True, "stderr": True} | streams
    return [("command", word) for word in words] + [
        (name, "true") for name, there in wanted.items() if there
    ]


def kubectl_program() -> str | None:
    """One that speaks WebSocket (1.31 or newer)."""
    found = control_plane_binaries.find().get("kubectl")
    return str(found) if found is not None else os.environ.get("JUPYTER_WORKSPACES_KUBECTL") or None


class Kubectl:
    """kubectl with a home of its own."""

    def __init__(self, program: str, nodes: NodeCluster, folder: Path) -> None:
        self._program = program
        self._environment = {
            "HOME": str(folder),
            "KUBECONFIG": str(nodes.directory / "kubeconfig"),
            "PATH": os.environ["PATH"],
        }

    async def start(self, *arguments: str, **streams: Any) -> asyncio.subprocess.Process:
        piped = {
            "stdin": asyncio.subprocess.PIPE,
            "stdout": asyncio.subprocess.PIPE,
            "stderr": asyncio.subprocess.PIPE,
        } | streams
        return await asyncio.create_subprocess_exec(
            self._program, *arguments, env=self._environment, **piped
        )

    async def __call__(self, *arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        process = await self.start(*arguments)
        async with timeout(LIMIT_SECONDS):
            out, err = await process.communicate(stdin)
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()
