"""State and URLs that the Jupyter server's side and the workspaces' side of the origin share."""

from __future__ import annotations

import hashlib
import os
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tornado.httputil import HTTPServerRequest

from jupyter_workspaces.server.http.identity import HeaderIdentities
from jupyter_workspaces.server.proxy.handlers.base import ProxyHandler
from jupyter_workspaces.server.proxy.headers.request_headers import public_scheme
from jupyter_workspaces.server.proxy.target import WorkspacePort

from .sessions import (
    SESSION_HOURS,
    Sessions,
    SignInLoops,
    Tickets,
)
from .workspaces_url import WorkspacesOrigin

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

SETTING = "jupyter_workspaces_origin"
"""Name of the web application's setting that holds `SeparateOrigin`."""
SIGN_IN = ".sign-in"
"""Path segment beside the ids of a workspace's ports, which contain no dot."""
TOKEN = "-token"
"""Suffix of the query parameters with tickets. Jupyter keeps such values out of its log."""
COOKIE_PREFIX = "jupyter-workspaces-"
"""Prefix of this origin's cookies, which never reach a workspace (`headers.credentials`)."""
HOST_COOKIE_PREFIX = "__Host-"


class SeparateOrigin:
    """The workspaces' origin with its tickets and sessions.

    Attributes:
        origin: The parsed `workspaces_url`.
        server: The Jupyter server's public origin, empty if it is unknown.
        cookies_of_host: Whether a host belongs to one workspace and uses HTTPS, so that its cookies
            can have the prefix `__Host-`: other hosts of the domain cannot set those (RFC 6265bis
            §4.1.3.2).
        session_cookie: Name of the session cookie.
        state_cookie: Name of the state cookie.
    """

    def __init__(
        self,
        origin: WorkspacesOrigin,
        base_url: str,
        *,
        idle_seconds: float = SESSION_HOURS * 3600,
        server: str = "",
    ) -> None:
        """Start without tickets and sessions; `base_url` is the Jupyter server's."""
        self.origin, self.server = origin, server
        self.tickets, self.sessions, self.sign_in_loops = (
            Tickets(),
            Sessions(idle_seconds=idle_seconds),
            SignInLoops(),
        )
        # Ports of one host share cookies, so several servers at one host need different names.
        mark = hashlib.sha256(f"{origin.url}{base_url}".encode()).hexdigest()[:8]
        self.cookies_of_host = origin.wildcard and origin.is_secure
        prefix = HOST_COOKIE_PREFIX if self.cookies_of_host else ""
        self.session_cookie, self.state_cookie = (
            f"{prefix}{COOKIE_PREFIX}session-{mark}",
            f"{prefix}{COOKIE_PREFIX}state-{mark}",
        )

    def entered_from(self, server: str, provider: object) -> None:
        """Remember the server's origin for requests without a session.

        Not behind `--trusted-header-auth`, where users may use different hosts.
        """
        if not isinstance(provider, HeaderIdentities):
            self.server = server


def separate_origin(settings: MutableMapping[str, Any]) -> SeparateOrigin:
    """Return the web application's `SeparateOrigin`, which exists if `workspaces_url` is set."""
    found = settings[SETTING]
    assert isinstance(found, SeparateOrigin)
    return found


def public_server(serverapp: ServerApp) -> str:
    """Return the Jupyter server's public origin by its settings, empty if it is unknown.

    It is taken from the display URL, JupyterHub's public URL, or the address that it listens on.
    """
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
    """Return the Jupyter server's origin in the browser of a request."""
    return f"{public_scheme(request.headers, request.protocol)}://{request.host}"


def is_top_level(handler: ProxyHandler) -> bool:
    """Return whether the response becomes the page of a tab, not of a frame (Fetch Metadata)."""
    destination = handler.request.headers.get("Sec-Fetch-Dest", "document")
    return handler.request.method == "GET" and destination == "document" and handler.navigates


def workspace_path(base_url: str, workspace_port: WorkspacePort) -> str:
    """Return the path of a workspace, below which its ports and its sign-in are."""
    return f"{base_url}workspace/connect/{workspace_port.namespace}/{workspace_port.name}/"


def sign_in_url(
    base_url: str, workspace_port: WorkspacePort, origin: str, step: str, ticket: str
) -> str:
    """Return the URL of a step of the sign-in at the workspaces' origin, `begin` or `enter`."""
    return f"{origin}{workspace_path(base_url, workspace_port)}{SIGN_IN}?{step}{TOKEN}={ticket}"
