"""Streams of exec, attach and port-forward, multiplexed over one WebSocket.

The first byte of each message is the number of its channel. Source: Kubernetes docs, "Kubernetes
API Concepts", and the subprotocols `v4.channel.k8s.io`, `v5.channel.k8s.io`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Sequence

from aiohttp import WSMsgType, web

from jupyter_workspaces.localkube.apiserver.http.status import Refusal, bad_request

STDIN, STDOUT, STDERR, ERROR, RESIZE = range(5)
CLOSE = 255
"""Subprotocol v5: closes the channel whose number is in the next byte."""

V5, V4, V4_TEXT, V1, V1_TEXT = (
    "v5.channel.k8s.io",
    "v4.channel.k8s.io",
    "v4.base64.channel.k8s.io",
    "channel.k8s.io",
    "base64.channel.k8s.io",
)
MAX_MESSAGE_BYTES = 4 * 2**20
CLOSE_SECONDS = 5.0
_BEARER = "base64url.bearer.authorization.k8s.io."


def negotiate(request: web.Request, known: Sequence[str]) -> str | None:
    """Return the first of the client's subprotocols that is known; None if it offers none.

    Raises:
        Refusal: 400 if the request is not a WebSocket upgrade, 403 if no offered subprotocol is
            known.
    """
    headers = request.headers
    upgrades = {word.strip().lower() for word in headers.get("Connection", "").split(",")}
    wanted = headers.get("Upgrade", "").lower()
    if "upgrade" not in upgrades or not wanted:
        raise bad_request("Upgrade request required")
    if wanted != "websocket":
        raise bad_request(
            f"cannot upgrade to {headers['Upgrade']}: "
            "only WebSocket is supported (kubectl 1.31 or later)"
        )
    offered = [
        word.strip()
        for line in headers.getall("Sec-WebSocket-Protocol", ())
        for word in line.split(",")
    ]
    offered = [word for word in offered if word and not word.startswith(_BEARER)]
    if not offered:
        return None
    for protocol in offered:
        if protocol in known:
            return protocol
    raise Refusal(
        403,
        "Forbidden",
        f"none of the WebSocket protocols {', '.join(offered)} is supported; "
        f"supported are {', '.join(known)}",
    )


class Channels:
    """An accepted WebSocket with numbered channels.

    One task receives; any task may send, and waits while the client does not read.
    """

    def __init__(self, request: web.Request, protocol: str | None) -> None:
        """Create the WebSocket of a request. `open` accepts it."""
        self.protocol = protocol or V1
        self._request = request
        self._text = self.protocol in (V4_TEXT, V1_TEXT)
        self._socket = web.WebSocketResponse(
            protocols=(protocol,) if protocol else (),
            max_msg_size=MAX_MESSAGE_BYTES,
            compress=False,
            timeout=CLOSE_SECONDS,
        )
        self._sending = asyncio.Lock()

    @property
    def response(self) -> web.WebSocketResponse:
        """The response to return from the request handler."""
        return self._socket

    async def open(self) -> None:
        """Accept the WebSocket."""
        await self._socket.prepare(self._request)

    async def send(self, channel: int, data: bytes) -> None:
        """Send data on a channel.

        Raises:
            ConnectionError: if the client has disconnected.
        """
        async with self._sending:
            if self._text:
                await self._socket.send_str(f"{channel}{base64.b64encode(data).decode()}")
            else:
                await self._socket.send_bytes(bytes((channel,)) + data)

    async def receive(self) -> tuple[int, bytes] | None:
        """Return channel and data of the next message; None if the client has closed."""
        while True:
            message = await self._socket.receive()
            if message.type is WSMsgType.BINARY:
                data: bytes = message.data
            elif message.type is WSMsgType.TEXT:
                data = _decoded(message.data) if self._text else message.data.encode()
            else:
                return None
            if data:
                return data[0], data[1:]

    async def close(self) -> None:
        """Close the WebSocket."""
        await self._socket.close()


def _decoded(text: str) -> bytes:
    """Decode a message of the base64 subprotocols: a digit, then base64. Empty if invalid."""
    try:
        return bytes((int(text[:1]),)) + base64.b64decode(text[1:])
    except (ValueError, binascii.Error):
        return b""
