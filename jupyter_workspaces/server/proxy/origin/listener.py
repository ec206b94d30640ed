"""Listens at the port of the workspaces' origin, and checks that the origin is usable."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING

from tornado import web
from tornado.netutil import bind_sockets

from jupyter_workspaces.common.listeners.connections import Limits
from jupyter_workspaces.common.listeners.http_server import BoundedHTTPServer
from jupyter_workspaces.common.timeouts import timeout

from .workspaces_url import InvalidWorkspacesUrl, WorkspacesOrigin, check_apart

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

BACKLOG = 128
STOP_SECONDS = 5.0
_LOOPBACK = ("127.0.0.1", "::1")


class OriginListener:
    """HTTP server at the origin's own port.

    The sockets are bound at once, so that no other program takes the port. Requests are served
    after `start`.
    """

    def __init__(
        self, application: web.Application, serverapp: ServerApp, addresses: list[str], port: int
    ) -> None:
        """Bind the port. Raises `InvalidWorkspacesUrl` if it is not available."""
        self._server = BoundedHTTPServer(
            application,
            limits=Limits(),
            lost=lambda why: serverapp.log.critical(
                "Workspaces cannot be opened any more. Restart this server: %s", why
            ),
            ssl_options=serverapp.ssl_options,
            xheaders=serverapp.trust_xheaders,
            max_body_size=serverapp.max_body_size,
            max_buffer_size=serverapp.max_buffer_size,
        )
        self._sockets: list[socket.socket] = []
        for address in addresses:
            try:
                self._sockets += bind_sockets(port, address, backlog=BACKLOG)
            except OSError as error:
                if (
                    address == _LOOPBACK[1]
                    and len(addresses) > 1
                    and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENOENT)
                ):
                    continue  # this machine has no IPv6
                self._close_sockets()
                raise InvalidWorkspacesUrl(
                    f"Cannot listen on {address} port {port} for workspaces:"
                    f" {error.strerror or error}. Set another port in workspaces_url or"
                    " workspaces_port."
                ) from error

    def start(self) -> None:
        """Serve requests."""
        sockets, self._sockets = self._sockets, []
        self._server.add_sockets(sockets)

    async def stop(self) -> None:
        """Stop listening, and close all connections within 5 s."""
        self._close_sockets()
        self._server.stop()
        try:
            async with timeout(STOP_SECONDS):
                await self._server.close_all_connections()
        except asyncio.TimeoutError:
            return

    def _close_sockets(self) -> None:
        for bound in self._sockets:
            bound.close()
        self._sockets = []


def own_port(
    origin: WorkspacesOrigin, serverapp: ServerApp, ip: str, port: int
) -> tuple[list[str], int] | None:
    """Return the addresses and the port to listen on for workspaces.

    Returns None if workspaces are served at the server's own port.

    Raises:
        InvalidWorkspacesUrl: The settings contradict each other.
    """
    secure = bool(serverapp.ssl_options)
    if port:
        if port == serverapp.port:
            raise InvalidWorkspacesUrl(
                f"workspaces_port {port} is the port of the Jupyter server itself. Set another"
                " port, or none."
            )
        if getattr(serverapp, "no_auth", False) and ip not in ("", *_LOOPBACK):
            raise InvalidWorkspacesUrl(
                "--no-auth serves this machine only. Set workspaces_ip to 127.0.0.1 instead of"
                f" {ip}, or leave it out."
            )
        return [ip or "127.0.0.1"], port
    if not origin.is_loopback or (origin.port == serverapp.port and not serverapp.sock):
        return None
    if origin.is_secure != secure:
        fix = (
            "Set a certificate (certfile, keyfile), or use http."
            if origin.is_secure
            else "Use https."
        )
        raise InvalidWorkspacesUrl(
            f"workspaces_url {origin.url} has the scheme {origin.scheme}, but this server serves"
            f" {'https' if secure else 'http'}. {fix}"
        )
    address = origin.host.strip("[]")
    # Browsers try both addresses of a name, so a program at the other one would get our requests.
    return ([address] if not address.endswith("localhost") else list(_LOOPBACK)), origin.port


def check_addresses(origin: WorkspacesOrigin, serverapp: ServerApp) -> None:
    """Raise `InvalidWorkspacesUrl` if the Jupyter server itself has the workspaces' origin."""
    scheme = "https" if serverapp.ssl_options else "http"
    for host in ("localhost", "127.0.0.1", "[::1]", serverapp.ip):
        check_apart(origin, f"{scheme}://{host}:{serverapp.port}")
    if serverapp.custom_display_url:
        check_apart(origin, serverapp.custom_display_url)
