"""Workspaces at an origin of their own (`workspaces_url`): what the Jupyter server's side and the workspaces' side share."""

from __future__ import annotations

import hashlib
import os
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tornado.httputil import HTTPServerRequest

from jupyter_workspaces.server.http.identity import HeaderIdentities
from jupyter_workspaces.server.proxy.access import ConnectHandler
from jupyter_workspaces.server.proxy.target import Place

from .sessions import (
    SESSION_HOURS,
    Rounds,
    Sessions,
    Tickets,
)
from .settings import WorkspacesOrigin

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

SETTING = "jupyter_workspaces_origin"
SIGN_IN = ".sign-in"  # beside a workspace's ports, whose names have no dot
TOKEN = "-token"  # ends the names of parameters that hold tickets: Jupyter keeps such values out of its log
COOKIE = "jupyter-workspaces-"
HOST_COOKIE = "__Host-"
"""Cookies with these prefixes never reach a workspace (`connect.credentials`)."""


class SeparateOrigin:
    """The workspaces' origin with its tickets and sessions. `server` is the Jupyter server's own public origin, empty if not known."""

    def __init__(
        self,
        origin: WorkspacesOrigin,
        base_url: str,
        *,
        idle_seconds: float = SESSION_HOURS * 3600,
        server: str = "",
    ) -> None:
        self.origin, self.server = origin, server
        self.tickets, self.sessions, self.rounds = (
            Tickets(),
            Sessions(idle_seconds=idle_seconds),
            Rounds(),
        )
        # Ports of one host share cookies, and there may be a server at each, or several below one name.
        mark = hashlib.sha256(f"{origin.url}{base_url}".encode()).hexdigest()[:8]
        # A host that is one workspace's alone can keep other hosts of its domain from setting its cookies (RFC 6265bis §4.1.3.2).
        self.cookies_of_host = origin.wildcard and origin.is_secure
        prefix = HOST_COOKIE if self.cookies_of_host else ""
        self.session_cookie, self.state_cookie = (
            f"{prefix}{COOKIE}session-{mark}",
            f"{prefix}{COOKIE}state-{mark}",
        )

    def entered_from(self, server: str, provider: object) -> None:
        """Remember where the server's user comes from, for a visit without a session. Not of one user for another."""
        if not isinstance(provider, HeaderIdentities):
            self.server = server


def separate_origin(settings: MutableMapping[str, Any]) -> SeparateOrigin:
    """The web application's one; there are handlers that need it only where `workspaces_url` is set."""
    found = settings[SETTING]
    assert isinstance(found, SeparateOrigin)
    return found


def public_server(serverapp: ServerApp) -> str:
    """The Jupyter server's own origin as far as it is known before anybody came: its display URL, its hub's, what it listens on."""
    for url in (
        serverapp.custom_display_url,
        os.environ.get("JUPYTERHUB_PUBLIC_URL", ""),
        serverapp.connection_url,
    ):
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.netloc:
            return f"{parts.scheme}://{parts.netloc}"
    return ""


def server_origin(request: HTTPServerRequest) -> str:
    """The Jupyter server's origin as this browser knows it. A proxy in front that ends TLS says so (nobody else gains by saying it)."""
    told = (
        request.headers.get("X-Forwarded-Proto", request.headers.get("X-Scheme", ""))
        .partition(",")[0]
        .strip()
        .lower()
    )
    return f"{told if told in ('http', 'https') else request.protocol}://{request.host}"


def is_top_level(handler: ConnectHandler) -> bool:
    """Whether the answer becomes a tab's page: a GET that navigates, and not into a frame (Fetch Metadata, `Sec-Fetch-Dest`)."""
    destination = handler.request.headers.get("Sec-Fetch-Dest", "document")
    return handler.request.method == "GET" and destination == "document" and handler.navigates


def workspace_path(base_url: str, place: Place) -> str:
    """The path below which all ports of a workspace are, and its sign-in."""
    return f"{base_url}workspace/connect/{place.namespace}/{place.name}/"


def sign_in_address(base_url: str, place: Place, origin: str, step: str, ticket: str) -> str:
    """Where a browser shows a ticket; `step` is begin or enter."""
    return f"{origin}{workspace_path(base_url, place)}{SIGN_IN}?{step}{TOKEN}={ticket}"
