"""Connections to ports of pods through the API server (WebSocket protocol `v4.channel.k8s.io`).

A program outside the cluster cannot reach a pod's address; opening such a connection takes 8 ms.
The official client's `portforward` uses a thread and a socket pair for each connection, so this
uses our own client. Source: KEP-4006.
"""

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
"""Required permissions; API servers before 1.35 do not require `create`."""


class ForwardFailed(Exception):
    """The node could not connect to the pod's port; the text is the node's."""


class PortForward:
    """A connection to a port of a pod. One task may read and one write at the same time.

    Both wait for the slower side (back-pressure). Call `close` when done.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Use the WebSocket of a port-forward request; see `forward`."""
        self._socket = socket
        self._begun: set[bytes] = set()

    async def send(self, data: bytes) -> None:
        """Send data to the pod.

        Raises:
            ConnectionResetError: the connection is closed.
        """
        import aiohttp

        try:
            await self._socket.send_bytes(DATA + data)
        except aiohttp.ClientError as error:
            raise ConnectionResetError(str(error)) from error

    async def receive(self) -> bytes:
        """Return the next data from the pod; empty at the end of the connection.

        Raises:
            ForwardFailed: the node could not connect to the port.
        """
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
        """Close the connection."""
        await self._socket.close()


async def forward(cluster: Cluster, namespace: str, pod: str, port: int) -> PortForward:
    """Open a connection to a port of a pod.

    If no program listens at the port, only `PortForward.receive` raises an error.

    Raises:
        Forbidden: the user lacks permissions; the message names them.
        ClusterError: any other failure of the request.
    """
    path = PODS.path(namespace, pod, "portforward")
    try:
        return PortForward(await cluster.websocket(path, [PROTOCOL], query={"ports": str(port)}))
    except Forbidden as error:
        raise Forbidden(f"{error.message}. It takes {RIGHTS} in {namespace}.") from error
