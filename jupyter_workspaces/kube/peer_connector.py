"""HTTP connections that are opened only to programs of our own user (`peers.py`).

A module of its own because it imports aiohttp, which `peers` does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp

from .peers import FOREIGN, ForeignListener, verify_transport

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler


class ForeignListenerError(aiohttp.ClientConnectionError):
    """`peers.ForeignListener` as aiohttp's callers expect it. Nothing of the request was sent."""

    def __init__(self) -> None:
        super().__init__(FOREIGN)


class PeerConnector(aiohttp.TCPConnector):
    """Verifies each new connection to a loopback address before its first request.

    Of TLS only the handshake comes before that.
    """

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: Any, timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        """Raises `ForeignListenerError`. What aiohttp's own connectors implement; the same from 3.12 to 3.14."""
        protocol = await super()._create_connection(req, traces, timeout)
        assert protocol.transport is not None
        try:
            verify_transport(protocol.transport)
        except ForeignListener as error:
            protocol.transport.abort()
            raise ForeignListenerError from error
        return protocol
