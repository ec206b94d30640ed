"""URL rules of both origins, if workspaces have an origin of their own.

The workspaces' origin is a web application of its own with five rules. It is served by its `Host`
at the Jupyter server's port, and at a port of its own if it has one (`listener`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tornado import web
from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher, Rule

from jupyter_workspaces.server.proxy.handlers.status import StatusHandler
from jupyter_workspaces.server.proxy.handlers.tab_notice import tab_routes
from jupyter_workspaces.server.proxy.routes import PORT, WebSocketRequests

from .separate_origin import SIGN_IN
from .server_handlers import (
    ServerHttpHandler,
    ServerWebSocketHandler,
    TicketHandler,
    logout_handler,
)
from .sign_in_handler import SignInHandler
from .workspace_handlers import (
    NotFoundHandler,
    OriginHttpHandler,
    OriginScriptHandler,
    OriginStateHandler,
    OriginWebSocketHandler,
)
from .workspaces_url import WorkspacesOrigin

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp


class WorkspacesHost(Matcher):
    """Matches requests whose `Host` belongs to the workspaces' origin.

    Jupyter's check of the host (`allow_remote_access`) does not apply to them.
    """

    def __init__(self, origin: WorkspacesOrigin) -> None:
        """Match the hosts of `origin`."""
        self._origin = origin

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        """Return an empty dictionary for a match, else None."""
        return {} if self._origin.serves(request.host) else None


def server_rules(base_url: str, serverapp: ServerApp) -> list[Any]:
    """Return rules for the Jupyter server's origin, in place of `proxy.routes`."""
    workspaces = re.escape(base_url) + "workspace/"
    inside = rf"{workspaces}connect/{PORT}(?P<rest>/.*)?"
    return [
        (WebSocketRequests(inside), ServerWebSocketHandler, {}),
        (inside, ServerHttpHandler, {}),
        (rf"{workspaces}status/{PORT}", StatusHandler, {}),
        (rf"{workspaces}ticket/{PORT}", TicketHandler, {}),
        (re.escape(base_url) + "logout", logout_handler(serverapp.identity_provider), {}),
    ]


def origin_application(base_url: str, settings: dict[str, Any]) -> web.Application:
    """Return the web application of the workspaces' origin, with the server's settings."""
    workspaces = re.escape(base_url) + "workspace/connect/"
    inside = rf"{workspaces}{PORT}(?P<rest>/.*)?"
    application = web.Application(
        [
            (WebSocketRequests(inside), OriginWebSocketHandler, {}),
            (inside, OriginHttpHandler, {}),
            (
                rf"{workspaces}(?P<namespace>[a-z0-9.-]+)/(?P<name>[a-z0-9.-]+)/{re.escape(SIGN_IN)}",
                SignInHandler,
                {},
            ),
            *tab_routes(base_url, OriginScriptHandler, OriginStateHandler),
            (r".*", NotFoundHandler, {}),
        ]
    )
    application.settings = settings
    return application


def serve_by_host(
    main: web.Application, application: web.Application, origin: WorkspacesOrigin
) -> None:
    """Serve the origin by its hosts, before all rules of Jupyter and of other extensions."""
    main.default_router.rules.insert(0, Rule(WorkspacesHost(origin), application))
