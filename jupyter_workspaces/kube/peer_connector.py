"""aiohttp connector that connects only to programs of our own user on this computer (`peers.py`).

It is a module of its own because it imports aiohttp, which `peers` does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp

from .peers import FOREIGN, ForeignListener, verify_transport

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler


class ForeignListenerError(aiohttp.ClientConnectionError):
    """`peers.ForeignListener` as an error of aiohttp. Nothing of the request was sent."""

    def __init__(self) -> None:
        """Make an error with the message of `ForeignListener`."""
        super().__init__(FOREIGN)


class PeerConnector(aiohttp.TCPConnector):
    """Verifies each new connection to a loopback address before its first request.

    With TLS the handshake precedes the check.
    """

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: Any, timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        """Open and verify a connection. aiohttp's connectors have this method from 3.12 to 3.14.

        Raises:
            ForeignListenerError: another user owns the other end.
        """
        protocol = await super()._create_connection(req, traces, timeout)
        assert protocol.transport is not None
        try:
            verify_transport(protocol.transport)
        except ForeignListener as error:
            protocol.transport.abort()
            raise ForeignListenerError from error
        return protocol
