"""Direct TCP connections to workspaces.

On this computer a connection is used only if the program at its other end belongs to the same user
(`kube.peers`). This module imports aiohttp, so it is imported with the first request.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from jupyter_workspaces.kube.peer_connector import ForeignListenerError, PeerConnector
from jupyter_workspaces.server.proxy.unavailable import foreign_listener

from .port_forward import NotConnected

if TYPE_CHECKING:
    import aiohttp
    from aiohttp.client_proto import ResponseHandler

_KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))


class DirectConnector(PeerConnector):
    """Connector whose error for another user's program has a message for people."""

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: Any, timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        """Connect. Raises `NotConnected` if another user's program listens."""
        try:
            return await super()._create_connection(req, traces, timeout)
        except ForeignListenerError as error:
            raise NotConnected(foreign_listener()) from error


def keepalive_socket(address: tuple[Any, ...]) -> socket.socket:
    """Create a socket with TCP keepalive, for `aiohttp.TCPConnector(socket_factory=…)`.

    Streams may be silent for hours. After 30 s of silence the system probes the other side, and
    closes the connection after 30 s more without a response.
    """
    family, kind, protocol, _, _ = address
    created = socket.socket(family=family, type=kind, proto=protocol)
    created.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, seconds in _KEEPALIVE:
        if hasattr(socket, option):
            created.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)
    return created
