"""URL rules of the proxy at the Jupyter server's own origin, and patterns for other rules."""

from __future__ import annotations

import re
from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.routing import PathMatches
from tornado.web import RequestHandler

from .handlers.http import HttpHandler
from .handlers.status import StatusHandler
from .handlers.tab_notice import tab_routes
from .handlers.websocket import WebSocketHandler
from .transfer.websocket_handshake import wants_websocket

PORT = r"(?P<namespace>[a-z0-9.-]+)/(?P<name>[a-z0-9.-]+)/(?P<port>[a-z0-9_-]+)"
"""Pattern of a workspace's port in a path."""


class WebSocketRequests(PathMatches):
    """Rule that matches only requests for a WebSocket."""

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        """Return the arguments of the handler, None if the request does not match."""
        return super().match(request) if wants_websocket(request) else None


def routes(base_url: str) -> list[tuple[str | PathMatches, type[RequestHandler], dict[str, Any]]]:
    """Return rules for `Application.add_handlers`.

    WebSockets and other requests have the same URLs and different handlers.
    """
    workspaces = re.escape(base_url) + "workspace/"
    inside = rf"{workspaces}connect/{PORT}(?P<rest>/.*)?"
    return [
        (WebSocketRequests(inside), WebSocketHandler, {}),
        (inside, HttpHandler, {}),
        (rf"{workspaces}status/{PORT}", StatusHandler, {}),
        *tab_routes(base_url),
    ]
