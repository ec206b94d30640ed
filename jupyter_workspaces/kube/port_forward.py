"""A connection to a port of a pod, carried by the API server over a WebSocket (`v4.channel.k8s.io`): 8 ms to open, no way of its own needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .catalog import PODS
from .client import Cluster
from .errors import Forbidden

if TYPE_CHECKING:
    import aiohttp

PROTOCOL = "v4.channel.k8s.io"
PIECE_BYTES = 64 * 1024
DATA, ERROR = b"\x00", b"\x01"
RIGHTS = "get and create on pods/portforward"
"""What whoever opens one must be allowed; API servers before 1.35 do not ask for `create`."""


class ForwardFailed(Exception):
    """The node could not connect to the pod's port; the text is the node's."""


class PortForward:
    """One connection. One task reads, one writes; each waits for the slower side. Close it when done."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._begun: set[bytes] = set()

    async def send(self, data: bytes) -> None:
        """Raises `ConnectionError` when the connection has gone."""
        import aiohttp

        try:
            await self._socket.send_bytes(DATA + data)
        except aiohttp.ClientError as error:
            raise ConnectionResetError(str(error)) from error

    async def receive(self) -> bytes:
        """What came next; empty at the end. Raises `ForwardFailed`."""
        import aiohttp

        while True:
            message = await self._socket.receive()
            if message.type is not aiohttp.WSMsgType.BINARY:
                return b""
            channel, data = message.data[:1], message.data[1:]
            if channel not in self._begun:
                self._begun.add(channel)  # the first message of each channel names the port
            elif channel == ERROR:
                raise ForwardFailed(data.decode(errors="replace"))
            elif data:
                return bytes(data)

    async def close(self) -> None:
        await self._socket.close()


async def forward(cluster: Cluster, namespace: str, pod: str, port: int) -> PortForward:
    """Raises `ClusterError`; `Forbidden` names the rights that are needed. That nobody listens at the port is told by `receive` only."""
    path = PODS.path(namespace, pod, "portforward")
    try:
        return PortForward(await cluster.websocket(path, [PROTOCOL], query={"ports": str(port)}))
    except Forbidden as error:
        raise Forbidden(f"{error.message}. It takes {RIGHTS} in {namespace}.") from error
