"""Several streams over one WebSocket: the first byte of each message names its channel (Kubernetes API concepts, “streaming”)."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Sequence

from aiohttp import WSMsgType, web

from jupyter_workspaces.localkube.apiserver.http.status import Refusal, bad_request

STDIN, STDOUT, STDERR, ERROR, RESIZE = range(5)
CLOSE = 255
"""v5: closes the channel that the next byte names."""

V5, V4, V4_TEXT, V1, V1_TEXT = (
    "v5.channel.k8s.io",
    "v4.channel.k8s.io",
    "v4.base64.channel.k8s.io",
    "channel.k8s.io",
    "base64.channel.k8s.io",
)
LONGEST_MESSAGE = 4 * 2**20
CLOSE_SECONDS = 5.0
_BEARER = "base64url.bearer.authorization.k8s.io."


def negotiated(request: web.Request, known: Sequence[str]) -> str | None:
    """The first protocol of the client's that is known, None when it names none.

    Raises `Refusal`: 400 for a request that does not want to become a WebSocket, 403 when no protocol of the client's is known.
    """
    headers = request.headers
    upgrades = {word.strip().lower() for word in headers.get("Connection", "").split(",")}
    wanted = headers.get("Upgrade", "").lower()
    if "upgrade" not in upgrades or not wanted:
        raise bad_request("Upgrade request required")
    if wanted != "websocket":
        raise bad_request(
            f"this cluster speaks WebSocket and SPDY/3.1 here, not {headers['Upgrade']}: use a client that does"
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
        f"none of the WebSocket protocols {', '.join(offered)} is known here; {', '.join(known)} are",
    )


class Channels:
    """One WebSocket, accepted. One task reads; any task may send, and waits while the client does not read."""

    def __init__(self, request: web.Request, protocol: str | None) -> None:
        self.protocol = protocol or V1
        self._request = request
        self._text = self.protocol in (V4_TEXT, V1_TEXT)
        self._socket = web.WebSocketResponse(
            protocols=(protocol,) if protocol else (),
            max_msg_size=LONGEST_MESSAGE,
            compress=False,
            timeout=CLOSE_SECONDS,
        )
        self._sending = asyncio.Lock()

    @property
    def response(self) -> web.WebSocketResponse:
        return self._socket

    async def open(self) -> None:
        await self._socket.prepare(self._request)

    async def send(self, channel: int, data: bytes) -> None:
        """Raises `ConnectionError` when the client has gone."""
        async with self._sending:
            if self._text:
                await self._socket.send_str(f"{channel}{base64.b64encode(data).decode()}")
            else:
                await self._socket.send_bytes(bytes((channel,)) + data)

    async def receive(self) -> tuple[int, bytes] | None:
        """The next message's channel and data; None when the client has closed."""
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
        await self._socket.close()


def _decoded(text: str) -> bytes:
    """A message of the text protocols: a digit, then base64; one that is not so counts for nothing."""
    try:
        return bytes((int(text[:1]),)) + base64.b64decode(text[1:])
    except (ValueError, binascii.Error):
        return b""
