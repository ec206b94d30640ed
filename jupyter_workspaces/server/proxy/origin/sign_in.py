"""The Jupyter server's side of signing in to the workspaces' own origin: browsers are sent there with a ticket, never proxied here.

1. Server, the workspace's address: this person may open it → the workspaces' origin, with a ticket of the step `begin`.
2. Workspaces' origin: a cookie that only this browser has (`state`) → back to the server, with a ticket of the step `return`.
3. Server: who this is → the workspaces' origin, with a ticket of the step `enter`, good only with that cookie.
4. Workspaces' origin: the session's cookie → the address that was wanted.

So a ticket that somebody else asked for opens nothing in this browser (login CSRF, RFC 6749 §10.12 for OAuth's `state`).
"""

from __future__ import annotations

from typing import Any, cast

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.auth.identity import IdentityProvider
from tornado import web

from jupyter_workspaces.server.http.identity import HeaderIdentities
from jupyter_workspaces.server.proxy.access import ConnectHandler, Elsewhere, Refused
from jupyter_workspaces.server.proxy.handlers import HttpHandler
from jupyter_workspaces.server.proxy.pages.status import listens
from jupyter_workspaces.server.proxy.target import Target, Unavailable
from jupyter_workspaces.server.proxy.transfer.websocket import SocketHandler

from .redirects import (
    TOKEN,
    is_top_level,
    separate_origin,
    server_origin,
    sign_in_address,
)
from .sessions import Destination, Ticket


class ProgramsOnly(ConnectHandler):
    """Proxies programs that show a token in `Authorization`; sends people to the workspace's own origin."""

    async def find(self) -> Target:
        """Raises `Elsewhere` for a person who navigates, `Refused` for a page's other requests, `Absent`."""
        if self.is_program:
            return await super().find()
        separate = separate_origin(self.settings)
        origin = separate.origin.of(self.place.namespace, self.place.name)
        if not is_top_level(self):
            text = f"Workspaces of this server open at {origin}, in a tab of their own. Programs send a token in the header Authorization."
            raise Refused(403, text, "OtherOrigin")
        target = await super().find()
        if not await listens(self, target):
            raise await self.absent(
                Unavailable("starting", "Its program does not take connections yet; trying again.")
            )
        destination = Destination(
            self.place, self.request.uri or "", origin, server_origin(self.request)
        )
        ticket = separate.tickets.issue(
            Ticket("begin", destination, user=self.current_user, identity=_identity(self))
        )
        raise Elsewhere(sign_in_address(self.base_url, self.place, origin, "begin", ticket))

    @property
    def is_program(self) -> bool:
        """No browser: it authenticates by the header `Authorization`, which no page can make a browser send along, and has no origin."""
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


class ServerHttpHandler(ProgramsOnly, HttpHandler):
    """HTTP at the Jupyter server's own origin."""


class ServerSocketHandler(ProgramsOnly, SocketHandler):
    """WebSockets at the Jupyter server's own origin."""


class TicketHandler(ConnectHandler):
    """GET `workspace/ticket/…?for-token=TICKET`: who this is, for the browser that the workspaces' origin has sent."""

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Referrer-Policy", "no-referrer")

    @web.authenticated
    async def get(self, **_: str) -> None:
        if not is_top_level(self):
            raise Refused(403, "A ticket is only for a person who navigates.", "NotNavigating")
        separate = separate_origin(self.settings)
        returned = separate.tickets.redeem(self.get_query_argument(f"for{TOKEN}", ""), "return")
        server = server_origin(self.request)
        if (
            returned is None
            or returned.destination.place != self.place
            or returned.destination.server != server
        ):
            self.link = f"{self.base_url}{self.place.path[1:]}", "Open it again"
            raise Refused(
                401, "Signing in to it took longer than 30 s, or was already done.", "TicketUsed"
            )
        workspace = self.services.cluster.workspace(self.place.namespace, self.place.name)
        if workspace is None:
            raise Elsewhere(returned.destination.uri)
        uid = workspace["metadata"].get("uid", "")
        entering = Ticket(
            "enter", returned.destination, returned.state, self.current_user, _identity(self), uid
        )
        ticket = separate.tickets.issue(entering)
        self.set_header("Cache-Control", "no-store")
        self.redirect(
            sign_in_address(self.base_url, self.place, returned.destination.origin, "enter", ticket)
        )


class EndsSessions:
    """Mixed into Jupyter's logout: whoever signs out of the server is signed out of all workspaces."""

    settings: dict[str, Any]
    current_user: Any

    @allow_unauthenticated
    def get(self, *args: Any, **kwargs: Any) -> Any:
        name = getattr(self.current_user, "username", None)
        if name is not None:
            separate_origin(self.settings).sessions.end_of_user(name)
        return super().get(*args, **kwargs)  # type: ignore[misc]


def logout_handler(provider: IdentityProvider) -> type[web.RequestHandler]:
    """The identity provider's own logout, ending sessions as well."""
    return type(
        "LogoutHandler",
        (EndsSessions, cast(type[web.RequestHandler], provider.logout_handler_class)),
        {},
    )


def _identity(handler: ConnectHandler) -> Any:
    provider = handler.identity_provider
    return (
        provider.identity(handler.request.headers)
        if isinstance(provider, HeaderIdentities)
        else None
    )
