"""Handlers at the workspaces' origin, authenticated by the origin's session cookie."""

from __future__ import annotations

import json
from typing import Any

from jupyter_server.auth.decorator import ws_authenticated
from tornado import web

from jupyter_workspaces.server.http.identity import HeaderIdentities
from jupyter_workspaces.server.proxy.handlers.access import CROSS_ORIGIN
from jupyter_workspaces.server.proxy.handlers.base import ProxyHandler
from jupyter_workspaces.server.proxy.handlers.errors import (
    RedirectTo,
    RequestRefused,
    WorkspaceUnavailable,
)
from jupyter_workspaces.server.proxy.handlers.http import HttpHandler
from jupyter_workspaces.server.proxy.handlers.tab_notice import ScriptHandler, StateHandler
from jupyter_workspaces.server.proxy.handlers.websocket import WebSocketHandler
from jupyter_workspaces.server.proxy.target import Target
from jupyter_workspaces.server.proxy.transfer.websocket_frames import Violation
from jupyter_workspaces.server.proxy.unavailable import Unavailable

from .separate_origin import (
    SeparateOrigin,
    is_top_level,
    separate_origin,
    workspace_path,
)
from .sessions import Session

SIGNED_OUT = 1008  # RFC 6455 §7.4.1, policy violation


class SessionHandler(ProxyHandler):
    """Base class of the handlers. Jupyter's own cookies and tokens do not authenticate here.

    Attributes:
        session: The browser's session, after `authenticate`.
    """

    session: Session | None = None

    @property
    def separate(self) -> SeparateOrigin:
        """The origin's tickets and sessions."""
        return separate_origin(self.settings)

    @property
    def own_origin(self) -> str:
        """The origin of the requested workspace."""
        return self.separate.origin.of(self.workspace_port.namespace, self.workspace_port.name)

    async def authenticate(self) -> None:
        """Authenticate by the session cookie.

        Raises:
            RequestRefused: The request is another site's, or there is no session.
            RedirectTo: The Jupyter server, for a navigation without a session.
        """
        self.begin_request()
        site, origin = (
            self.request.headers.get("Sec-Fetch-Site"),
            self.request.headers.get("Origin"),
        )
        is_cross_site = site in ("cross-site", "same-site") or (
            origin is not None and origin != self.own_origin
        )
        if is_cross_site and not is_top_level(self):
            raise RequestRefused(
                403,
                "This request comes from a page of another site, so it was not forwarded.",
                CROSS_ORIGIN,
            )
        self.session = self.separate.sessions.find(
            self.cookie_values(self.separate.session_cookie), self.workspace_port, self.own_origin
        )
        if self.session is None:
            raise self._signed_out()
        self.current_user = self.session.user
        self._set_user_headers(self.session)

    def begin_request(self) -> None:
        """Reset the user. Raises `RequestRefused` if the host is not this workspace's."""
        self.current_user = self._jupyter_current_user = None
        # The browser's scheme; a reverse proxy in front may end TLS.
        self.request.protocol = self.separate.origin.scheme
        if self.separate.origin.normal(self.request.host) != self.separate.origin.netloc(
            self.workspace_port.namespace, self.workspace_port.name
        ):
            raise RequestRefused(404, "Not found.", "NotFound")

    def _set_user_headers(self, session: Session) -> None:
        """Replace the user in trusted headers by the session's user."""
        provider = self.identity_provider
        if not isinstance(provider, HeaderIdentities):
            return
        headers = self.request.headers
        for name in (provider.user_header, provider.groups_header):
            if name in headers:
                del headers[name]
        if session.identity is not None:
            headers.add(provider.user_header, provider.user_prefix + session.identity.user)
            for group in session.identity.groups:
                headers.add(provider.groups_header, provider.groups_prefix + group)

    def _signed_out(self) -> web.HTTPError:
        """Return the error for a request without a session.

        It redirects a navigation to the server, which redirects back with a ticket, if the server
        is known.
        """
        if is_top_level(self) and self.separate.server:
            return RedirectTo(f"{self.separate.server}{self.request.uri}")
        return RequestRefused(
            401,
            "You are not signed in to this workspace, or your session has ended. Open the workspace"
            " from your Jupyter server.",
            "NotSignedIn",
        )

    async def find_target(self) -> Target:
        """Return the target; end the session if its workspace was deleted or replaced."""
        assert self.session is not None
        workspace = self.services.cluster.workspace(
            self.workspace_port.namespace, self.workspace_port.name
        )
        if workspace is None or workspace["metadata"].get("uid", "") != self.session.uid:
            self.separate.sessions.end(self.session, deleted=workspace is None)
            if workspace is not None:
                raise self._signed_out()
        target = await super().find_target()
        if self.session.ended:  # in the meantime
            raise self._signed_out()
        self.session.open[id(self)] = self.end_at_once
        return target

    def end_at_once(self) -> None:
        """Close what is open in this request, because the session has ended."""

    def closed(self) -> None:
        """Note that nothing is open in this request any more."""
        if self.session is not None:
            self.session.open.pop(id(self), None)

    def is_from_our_pages(self) -> bool:
        """Return whether a page of this origin sent the request; `allow_origin` is ignored."""
        site, origin = (
            self.request.headers.get("Sec-Fetch-Site"),
            self.request.headers.get("Origin"),
        )
        return origin == self.own_origin if origin is not None else site == "same-origin"

    def set_cors_headers(self) -> None:
        """Set none, because only the workspace may permit other origins."""

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Redirect to the server's placeholder page if the workspace is unavailable."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        session = self.session
        if isinstance(error, WorkspaceUnavailable) and session is not None and is_top_level(self):
            url = f"{session.server}{self.request.uri}"
            if self.separate.sessions.count_redirect(session):
                self.set_status(302)
                super().write_error(302, exc_info=(RedirectTo, RedirectTo(url), None))
                return
            self.link = url, "Try again"
        super().write_error(status_code, **kwargs)

    def cookie_values(self, name: str) -> list[str]:
        """Return all values of a cookie, since a page may have set another one of its name."""
        pairs = [
            pair.strip().partition("=")
            for line in self.request.headers.get_list("Cookie")
            for pair in line.split(";")
        ]
        return [value.strip() for found, _, value in pairs if found.strip() == name]

    def set_origin_cookie(self, name: str, value: str, seconds: int | None = None) -> None:
        """Set a cookie for the workspace that scripts cannot read."""
        path = (
            "/"
            if self.separate.cookies_of_host
            else workspace_path(self.base_url, self.workspace_port)
        )
        secure = self.separate.origin.is_secure
        self.set_cookie(
            name, value, path=path, httponly=True, samesite="Lax", secure=secure, max_age=seconds
        )


class OriginHttpHandler(SessionHandler, HttpHandler):
    """HTTP into a workspace at its origin."""

    def end_at_once(self) -> None:
        """Close the connection, and cancel the transfer."""
        if not self._finished:
            self._abort_connection()
        if self._transfer_task is not None:
            self._transfer_task.cancel()

    def on_finish(self) -> None:
        """Note the end of the request."""
        super().on_finish()
        self.closed()

    def on_connection_close(self) -> None:
        """Note the end of the request."""
        super().on_connection_close()
        self.closed()


class OriginWebSocketHandler(SessionHandler, WebSocketHandler):
    """WebSockets into a workspace at its origin."""

    @ws_authenticated
    async def get(self, **arguments: str) -> None:
        """Open the WebSocket and relay it until it ends."""
        try:
            await super().get(**arguments)
        finally:
            self.closed()

    def end_at_once(self) -> None:
        """Close both sides with 1008."""
        self.end(Violation(SIGNED_OUT, "You have signed out."))


class OriginScriptHandler(SessionHandler, ScriptHandler):
    """The script of the notice at a workspace's origin."""


class OriginStateHandler(SessionHandler, StateHandler):
    """The state of a workspace at its origin."""

    _server = ""

    @property
    def server_url(self) -> str:
        """URL of the Jupyter server."""
        return f"{self.session.server if self.session is not None else self._server}{self.base_url}"

    async def authenticate(self) -> None:
        """Authenticate by the session cookie.

        Raises:
            WorkspaceUnavailable: The session ended because its workspace was deleted.
        """
        try:
            await super().authenticate()
        except RequestRefused as error:
            server = self.separate.sessions.server_of_deleted(
                self.cookie_values(self.separate.session_cookie),
                self.workspace_port,
                self.own_origin,
            )
            if error.reason_code != "NotSignedIn" or server is None:
                raise
            self._server = server
            raise WorkspaceUnavailable(Unavailable("gone", "")) from error

    def on_finish(self) -> None:
        """Note the end of the request."""
        super().on_finish()
        self.closed()


class NotFoundHandler(web.RequestHandler):
    """Every other URL at the workspaces' origin, which has no API, Lab or static files."""

    def prepare(self) -> None:
        """Respond with 404."""
        self.set_status(404)
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        self.finish(
            json.dumps(
                {
                    "message": "Not found. This origin is for workspaces only.",
                    "reason": "NotFound",
                }
            )
        )
