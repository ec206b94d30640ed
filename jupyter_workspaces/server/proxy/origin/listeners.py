"""Serving the workspaces' own origin: by its `Host` at the Jupyter server's port, and at a port of its own where it has one."""

from __future__ import annotations

import asyncio
import errno
import re
import socket
from typing import TYPE_CHECKING, Any

from tornado import web
from tornado.httputil import HTTPServerRequest
from tornado.netutil import bind_sockets
from tornado.routing import Matcher, Rule

from jupyter_workspaces.common.listeners.connections import Limits
from jupyter_workspaces.common.listeners.http_server import BoundedHTTPServer
from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.server.proxy.access import PORT
from jupyter_workspaces.server.proxy.handlers import Upgrades
from jupyter_workspaces.server.proxy.pages.status import StatusHandler
from jupyter_workspaces.server.proxy.pages.tab_handlers import tab_routes

from .handlers import (
    NothingHere,
    OriginHttpHandler,
    OriginScriptHandler,
    OriginSocketHandler,
    OriginStateHandler,
    SignInHandler,
)
from .redirects import SIGN_IN
from .settings import BadOrigin, WorkspacesOrigin, check_apart
from .sign_in import (
    ServerHttpHandler,
    ServerSocketHandler,
    TicketHandler,
    logout_handler,
)

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

BACKLOG = 128
STOP_SECONDS = 5.0
_LOOPBACK = ("127.0.0.1", "::1")


class IsWorkspacesOrigin(Matcher):
    """Matches requests whose `Host` names the workspaces' origin, whatever Jupyter's `allow_remote_access` says of that name."""

    def __init__(self, origin: WorkspacesOrigin) -> None:
        self._origin = origin

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        return {} if self._origin.serves(request.host) else None


class Listener:
    """The origin's own port. The sockets are bound at once, so that nobody else takes the port; requests are answered after `start`."""

    def __init__(
        self, application: web.Application, serverapp: ServerApp, addresses: list[str], port: int
    ) -> None:
        """Raises `BadOrigin` when the port cannot be had."""
        self._server = BoundedHTTPServer(
            application,
            limits=Limits(),
            lost=lambda why: serverapp.log.critical(
                "Workspaces cannot be opened any more, restart this server: %s", why
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
                text = f"Cannot listen on {address} port {port} for workspaces: {error.strerror or error}."
                raise BadOrigin(
                    f"{text} Choose another port in workspaces_url or workspaces_port."
                ) from error

    def start(self) -> None:
        sockets, self._sockets = self._sockets, []
        self._server.add_sockets(sockets)

    async def stop(self) -> None:
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
    """Addresses and port where the server itself listens for workspaces; None: at its own port. Raises `BadOrigin`."""
    secure = bool(serverapp.ssl_options)
    if port:
        if port == serverapp.port:
            raise BadOrigin(
                f"workspaces_port {port} is the port of the Jupyter server itself. Choose another one, or leave it out."
            )
        if getattr(serverapp, "no_auth", False) and ip not in ("", *_LOOPBACK):
            raise BadOrigin(
                f"--no-auth serves this machine only: leave out workspaces_ip, or say 127.0.0.1 instead of {ip}."
            )
        return [ip or "127.0.0.1"], port
    if not origin.is_loopback or (origin.port == serverapp.port and not serverapp.sock):
        return None
    if origin.is_secure != secure:
        fix = (
            "Give the server a certificate (certfile, keyfile), or say http."
            if origin.is_secure
            else "Say https."
        )
        raise BadOrigin(
            f"workspaces_url {origin.url} says {origin.scheme}, but this server answers {'https' if secure else 'http'}. {fix}"
        )
    address = origin.host.strip("[]")
    # Browsers try both for a name: whoever listened at the other one would be sent what is for us.
    return ([address] if not address.endswith("localhost") else list(_LOOPBACK)), origin.port


def check_addresses(origin: WorkspacesOrigin, serverapp: ServerApp) -> None:
    """Raises `BadOrigin` when the server itself is known at the workspaces' origin."""
    scheme = "https" if serverapp.ssl_options else "http"
    for host in ("localhost", "127.0.0.1", "[::1]", serverapp.ip):
        check_apart(origin, f"{scheme}://{host}:{serverapp.port}")
    if serverapp.custom_display_url:
        check_apart(origin, serverapp.custom_display_url)


def server_rules(base_url: str, serverapp: ServerApp) -> list[Any]:
    """For `Application.add_handlers`, instead of `connect.routes`: at the Jupyter server's own origin browsers are not proxied."""
    room = re.escape(base_url) + "workspace/"
    inside = rf"{room}connect/{PORT}(?P<rest>/.*)?"
    return [
        (Upgrades(inside), ServerSocketHandler, {}),
        (inside, ServerHttpHandler, {}),
        (rf"{room}status/{PORT}", StatusHandler, {}),
        (rf"{room}ticket/{PORT}", TicketHandler, {}),
        (re.escape(base_url) + "logout", logout_handler(serverapp.identity_provider), {}),
    ]


def origin_application(base_url: str, settings: dict[str, Any]) -> web.Application:
    """All that there is at the workspaces' origin. It shares the Jupyter server's settings."""
    room = re.escape(base_url) + "workspace/connect/"
    inside = rf"{room}{PORT}(?P<rest>/.*)?"
    application = web.Application(
        [
            (Upgrades(inside), OriginSocketHandler, {}),
            (inside, OriginHttpHandler, {}),
            (
                rf"{room}(?P<namespace>[a-z0-9.-]+)/(?P<name>[a-z0-9.-]+)/{re.escape(SIGN_IN)}",
                SignInHandler,
                {},
            ),
            *tab_routes(base_url, OriginScriptHandler, OriginStateHandler),
            (r".*", NothingHere, {}),
        ]
    )
    application.settings = settings
    return application


def serve_by_host(
    main: web.Application, application: web.Application, origin: WorkspacesOrigin
) -> None:
    """Before every other rule, of Jupyter's and of other extensions."""
    main.default_router.rules.insert(0, Rule(IsWorkspacesOrigin(origin), application))
