"""Handlers at the Jupyter server's origin, if workspaces have an origin of their own.

Browsers are redirected to the workspaces' origin with a ticket (steps 1 and 3 of the sign-in that
the package describes). Only programs with a token are proxied here. Signing out of the server ends
the sessions of all workspaces.
"""

from __future__ import annotations

from typing import Any, cast

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.auth.identity import IdentityProvider
from tornado import web

from jupyter_workspaces.server.http.identity import HeaderIdentities
from jupyter_workspaces.server.proxy.handlers.base import ProxyHandler
from jupyter_workspaces.server.proxy.handlers.errors import RedirectTo, RequestRefused
from jupyter_workspaces.server.proxy.handlers.http import HttpHandler
from jupyter_workspaces.server.proxy.handlers.websocket import WebSocketHandler
from jupyter_workspaces.server.proxy.target import Target

from .separate_origin import (
    TOKEN,
    is_top_level,
    separate_origin,
    server_origin,
    sign_in_url,
)
from .sessions import Destination, Ticket


class ServerSideHandler(ProxyHandler):
    """Handler that proxies programs with a token, and redirects browsers to the origin."""

    async def find_target(self) -> Target:
        """Return the target for a program.

        Raises:
            RedirectTo: The workspaces' origin, for a navigation.
            RequestRefused: The request is another one of a browser.
            WorkspaceUnavailable: The workspace cannot be opened now.
        """
        if self.is_program:
            return await super().find_target()
        separate = separate_origin(self.settings)
        origin = separate.origin.of(self.workspace_port.namespace, self.workspace_port.name)
        if not is_top_level(self):
            raise RequestRefused(
                403,
                f"Workspaces of this server open at {origin}, in a tab of their own. Programs must"
                " send a token in the header Authorization.",
                "OtherOrigin",
            )
        await self.require_listener(await super().find_target())
        destination = Destination(
            self.workspace_port, self.request.uri or "", origin, server_origin(self.request)
        )
        ticket = separate.tickets.issue(
            Ticket("begin", destination, user=self.current_user, identity=_identity(self))
        )
        raise RedirectTo(sign_in_url(self.base_url, self.workspace_port, origin, "begin", ticket))

    @property
    def is_program(self) -> bool:
        """Whether the request is not a browser's.

        It authenticates by the header `Authorization`, which pages cannot set for navigations, and
        has none of the headers that browsers add.
        """
        headers = self.request.headers
        if (
            not headers.get("Authorization", "").strip()
            or "Origin" in headers
            or any(name.lower().startswith("sec-fetch-") for name in headers)
        ):
            return False
        provider = self.identity_provider
        return (
            self.token_authenticated
            or not provider.auth_enabled
            or isinstance(provider, HeaderIdentities)
        )


class ServerHttpHandler(ServerSideHandler, HttpHandler):
    """HTTP at the Jupyter server's origin."""


class ServerWebSocketHandler(ServerSideHandler, WebSocketHandler):
    """WebSockets at the Jupyter server's origin."""


class TicketHandler(ProxyHandler):
    """`workspace/ticket/…?for-token=TICKET`: step 3 of the sign-in."""

    def set_default_headers(self) -> None:
        """Keep the ticket out of `Referer`."""
        super().set_default_headers()
        self.set_header("Referrer-Policy", "no-referrer")

    @web.authenticated
    async def get(self, **_: str) -> None:
        """Redirect to the workspaces' origin, with a ticket for the user."""
        if not is_top_level(self):
            raise RequestRefused(403, "Tickets are only for navigations in a tab.", "NotNavigating")
        separate = separate_origin(self.settings)
        returned = separate.tickets.redeem(self.get_query_argument(f"for{TOKEN}", ""), "return")
        server = server_origin(self.request)
        if (
            returned is None
            or returned.destination.workspace_port != self.workspace_port
            or returned.destination.server != server
        ):
            self.link = f"{self.base_url}{self.workspace_port.path[1:]}", "Open the workspace again"
            raise RequestRefused(
                401, "This sign-in took longer than 30 s, or was already completed.", "TicketUsed"
            )
        workspace = self.services.cluster.workspace(
            self.workspace_port.namespace, self.workspace_port.name
        )
        if workspace is None:
            raise RedirectTo(returned.destination.uri)
        uid = workspace["metadata"].get("uid", "")
        entering = Ticket(
            "enter", returned.destination, returned.state, self.current_user, _identity(self), uid
        )
        ticket = separate.tickets.issue(entering)
        self.set_header("Cache-Control", "no-store")
        self.redirect(
            sign_in_url(
                self.base_url, self.workspace_port, returned.destination.origin, "enter", ticket
            )
        )


class EndSessionsMixin:
    """Mixin for Jupyter's logout that ends the user's sessions in all workspaces."""

    settings: dict[str, Any]
    current_user: Any

    @allow_unauthenticated
    def get(self, *args: Any, **kwargs: Any) -> Any:
        """End the sessions, then sign out."""
        name = getattr(self.current_user, "username", None)
        if name is not None:
            separate_origin(self.settings).sessions.end_of_user(name)
        return super().get(*args, **kwargs)  # type: ignore[misc]


def logout_handler(provider: IdentityProvider) -> type[web.RequestHandler]:
    """Return the identity provider's logout handler with `EndSessionsMixin`."""
    return type(
        "LogoutHandler",
        (EndSessionsMixin, cast(type[web.RequestHandler], provider.logout_handler_class)),
        {},
    )


def _identity(handler: ProxyHandler) -> Any:
    provider = handler.identity_provider
    return (
        provider.identity(handler.request.headers)
        if isinstance(provider, HeaderIdentities)
        else None
    )
