"""The workspace's side of a WebSocket.

Imports aiohttp, so it is itself imported with the first request.
"""

from __future__ import annotations

from typing import Any

import aiohttp


class UpstreamSocket(aiohttp.ClientWebSocketResponse):
    """A WebSocket that keeps the response by which it was opened, for `framing.check_handshake`."""

    def __init__(self, reader: Any, writer: Any, protocol: str | None, response: aiohttp.ClientResponse, *args: Any, **kwargs: Any) -> None:
        super().__init__(reader, writer, protocol, response, *args, **kwargs)
        self.handshake = response
