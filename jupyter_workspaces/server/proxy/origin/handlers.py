"""What is served at the workspaces' own origin: signing in, the programs in workspaces, and nothing else."""

from __future__ import annotations

import json
import secrets
from typing import Any

from jupyter_server.auth.decorator import ws_authenticated
from tornado import web

from jupyter_workspaces.server.http.identity import HeaderIdentities
from jupyter_workspaces.server.proxy.access import (
    Absent,
    ConnectHandler,
    Elsewhere,
    Refused,
)
from jupyter_workspaces.server.proxy.handlers import HttpHandler
from jupyter_workspaces.server.proxy.pages.tab_handlers import ScriptHandler, StateHandler
from jupyter_workspaces.server.proxy.target import Place, Target, Unavailable
from jupyter_workspaces.server.proxy.transfer.frames import Violation
from jupyter_workspaces.server.proxy.transfer.websocket import SocketHandler

from .redirects import (
    TOKEN,
    SeparateOrigin,
    is_top_level,
    separate_origin,
    workspace_path,
)
from .sessions import Session, Ticket, hashed

STATE_SECONDS = 600
SIGNED_OUT = 1008  # RFC 6455 §7.4.1, policy violation


class AtOrigin(ConnectHandler):
    """Only the session's cookie signs anybody in here: Jupyter's own cookies and tokens count for nothing."""

    session: Session | None = None

    @property
    def separate(self) -> SeparateOrigin:
        return separate_origin(self.settings)

    @property
    def own_origin(self) -> str:
        return self.separate.origin.of(self.place.namespace, self.place.name)

    async def authenticate(self) -> None:
        """By the session's cookie. Raises `Refused`, or `Elsewhere` for a person who navigates."""
        self._begin_here()
        site, origin = (
            self.request.headers.get("Sec-Fetch-Site"),
            self.request.headers.get("Origin"),
        )
        elsewhere = site in ("cross-site", "same-site") or (
            origin is not None and origin != self.own_origin
        )
        if elsewhere and not is_top_level(self):
            raise Refused(
                403,
                "This request comes from a page of another site, so it was not passed on.",
                "CrossOrigin",
            )
        self.session = self.separate.sessions.find(
            self._cookies(self.separate.session_cookie), self.place, self.own_origin
        )
        if self.session is None:
            raise self._signed_out()
        self.current_user = self.session.user
        self._name_the_user(self.session)

    def _begin_here(self) -> None:
        """What holds for every request at this origin. Raises `Refused` when it is not this workspace's."""
        self.current_user = self._jupyter_current_user = None
        self.request.protocol = (
            self.separate.origin.scheme
        )  # what browsers use; a proxy in front may have ended TLS
        if self.separate.origin.normal(self.request.host) != self.separate.origin.netloc(
            self.place.namespace, self.place.name
        ):
            raise Refused(404, "There is nothing at this address.", "NotFound")

    def _name_the_user(self, session: Session) -> None:
        """With trusted headers: the session's user is the request's, whatever came along."""
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
        """To the server's page of this workspace, which leads back with a ticket; without a known server, a page that says so."""
        if is_top_level(self) and self.separate.server:
            return Elsewhere(f"{self.separate.server}{self.request.uri}")
        text = "You are not signed in to this workspace, or no longer. Open it from your Jupyter server."
        return Refused(401, text, "NotSignedIn")

    async def find(self) -> Target:
        """Raises `Absent`; ends the session when the workspace is not the one that it was begun for."""
        assert self.session is not None
        workspace = self.services.cluster.workspace(self.place.namespace, self.place.name)
        if workspace is None or workspace["metadata"].get("uid", "") != self.session.uid:
            self.separate.sessions.end(self.session, deleted=workspace is None)
            if workspace is not None:
                raise self._signed_out()
        target = await super().find()
        if self.session.ended:  # while this request was on its way
            raise self._signed_out()
        self.session.open[id(self)] = self.end_at_once
        return target

    def end_at_once(self) -> None:
        """The session has ended."""

    def closed(self) -> None:
        """Nothing of this request is open any more."""
        if self.session is not None:
            self.session.open.pop(id(self), None)

    def from_our_pages(self) -> bool:
        """Only pages of this very origin; `allow_origin` is about the server's own API."""
        site, origin = (
            self.request.headers.get("Sec-Fetch-Site"),
            self.request.headers.get("Origin"),
        )
        return origin == self.own_origin if origin is not None else site == "same-origin"

    def set_cors_headers(self) -> None:
        """None: nothing here is for other origins but what the workspace itself says."""

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """A workspace that cannot be reached has its page at the Jupyter server."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        session = self.session
        if isinstance(error, Absent) and session is not None and is_top_level(self):
            address = f"{session.server}{self.request.uri}"
            if self.separate.sessions.sent_away(session):
                self.set_status(302)
                super().write_error(302, exc_info=(Elsewhere, Elsewhere(address), None))
                return
            self.link = address, "Try again"
        super().write_error(status_code, **kwargs)

    def _cookies(self, name: str) -> list[str]:
        """All values of one cookie: a page may have set another of the same name."""
        pairs = [
            pair.strip().partition("=")
            for line in self.request.headers.get_list("Cookie")
            for pair in line.split(";")
        ]
        return [value.strip() for found, _, value in pairs if found.strip() == name]

    def _set_cookie(self, name: str, value: str, seconds: int | None = None) -> None:
        path = "/" if self.separate.cookies_of_host else workspace_path(self.base_url, self.place)
        secure = self.separate.origin.is_secure
        self.set_cookie(
            name, value, path=path, httponly=True, samesite="Lax", secure=secure, max_age=seconds
        )


class OriginHttpHandler(AtOrigin, HttpHandler):
    """HTTP into a workspace, at its origin."""

    def end_at_once(self) -> None:
        if not self._finished:
            self._break_off()
        if self._exchange is not None:
            self._exchange.cancel()

    def on_finish(self) -> None:
        super().on_finish()
        self.closed()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self.closed()


class OriginSocketHandler(AtOrigin, SocketHandler):
    """WebSockets into a workspace, at its origin."""

    @ws_authenticated
    async def get(self, **place: str) -> None:
        try:
            await super().get(**place)
        finally:
            self.closed()

    def end_at_once(self) -> None:
        self.end(Violation(SIGNED_OUT, "You have signed out."))


class OriginScriptHandler(AtOrigin, ScriptHandler):
    """The script of the notice, at a workspace's origin."""


class OriginStateHandler(AtOrigin, StateHandler):
    """What happened to a workspace, at its origin."""

    _server = ""

    @property
    def server_url(self) -> str:
        return f"{self.session.server if self.session is not None else self._server}{self.base_url}"

    async def authenticate(self) -> None:
        """Authenticate by session. Raises `Absent` if the session ended because its workspace was deleted."""
        try:
            await super().authenticate()
        except Refused as refusal:
            server = self.separate.sessions.server_of_deleted(
                self._cookies(self.separate.session_cookie), self.place, self.own_origin
            )
            if refusal.kind != "NotSignedIn" or server is None:
                raise
            self._server = server
            raise Absent(Unavailable("gone", "")) from refusal

    def on_finish(self) -> None:
        super().on_finish()
        self.closed()


class SignInHandler(AtOrigin):
    """GET `.sign-in?begin-token=TICKET` and `.sign-in?enter-token=TICKET`: the workspaces' side of signing in (`connect.sign_in`)."""

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cache-Control", "no-store")

    async def prepare(self) -> None:  # type: ignore[override]
        self.place = Place(self.path_kwargs["namespace"], self.path_kwargs["name"], "")
        self._begin_here()
        if not is_top_level(self):
            raise Refused(403, "Signing in is only for a person who navigates.", "NotNavigating")

    async def get(self, **_: str) -> None:
        step = "begin" if self.get_query_argument(f"begin{TOKEN}", "") else "enter"
        ticket = self.separate.tickets.redeem(self.get_query_argument(f"{step}{TOKEN}", ""), step)
        if ticket is None or not self._is_for(ticket):
            raise self._refused(
                "This address to sign in was used already, or is older than 30 s.", "TicketUsed"
            )
        self.place = ticket.destination.place
        if step == "begin":
            self._begin(ticket)
        else:
            self._enter(ticket)

    def _is_for(self, ticket: Ticket) -> bool:
        wanted = ticket.destination
        same = (wanted.place.namespace, wanted.place.name) == (
            self.place.namespace,
            self.place.name,
        )
        return same and wanted.origin == self.own_origin

    def _begin(self, ticket: Ticket) -> None:
        destination = ticket.destination
        session = self._session_here()
        if session is not None and _is_same(session, ticket):
            self.redirect(destination.uri)
            return
        state = next(
            (value for value in self._cookies(self.separate.state_cookie) if len(value) == 43), ""
        ) or secrets.token_urlsafe(32)
        self._set_cookie(self.separate.state_cookie, state, STATE_SECONDS)
        returning = self.separate.tickets.issue(Ticket("return", destination, hashed(state)))
        place = self.place
        self.redirect(
            f"{destination.server}{self.base_url}workspace/ticket/{place.namespace}/{place.name}/{place.port_id}?for{TOKEN}={returning}"
        )

    def _enter(self, ticket: Ticket) -> None:
        destination = ticket.destination
        if ticket.state not in map(hashed, self._cookies(self.separate.state_cookie)):
            text = f"This browser did not ask to sign in, or it does not keep cookies of {self.own_origin}. Allow them, and open it again."
            raise self._refused(text, "OtherBrowser", ticket)
        old = self._session_here()
        if (
            old is not None and _is_same(old, ticket) and old.uid == ticket.uid
        ):  # another tab was faster
            self.redirect(destination.uri)
            return
        if old is None and self.separate.rounds.again(ticket.state, self.place):
            text = f"This browser does not keep its session's cookie of {self.own_origin}. Allow cookies, and open it again."
            raise self._refused(text, "NoCookie", ticket)
        if old is not None:
            self.separate.sessions.end(old)  # its cookie is replaced
        self.separate.entered_from(destination.server, self.identity_provider)
        self._set_cookie(self.separate.session_cookie, self.separate.sessions.start(ticket))
        self.redirect(destination.uri)

    def _session_here(self) -> Session | None:
        """What this browser has already for this workspace."""
        return self.separate.sessions.find(
            self._cookies(self.separate.session_cookie), self.place, self.own_origin
        )

    def _refused(self, text: str, kind: str, ticket: Ticket | None = None) -> Refused:
        if ticket is not None:
            self.link = f"{ticket.destination.server}{ticket.destination.uri}", "Open it again"
        elif self.separate.server:
            self.link = f"{self.separate.server}{self.base_url}", "Back to Jupyter"
        return Refused(401, text, kind)


class NothingHere(web.RequestHandler):
    """Everything else at the workspaces' origin: no API, no Lab, no static files, no sign-in to Jupyter."""

    def prepare(self) -> None:
        self.set_status(404)
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        self.finish(
            json.dumps(
                {
                    "message": "There is nothing at this address: it is for workspaces only.",
                    "reason": "NotFound",
                }
            )
        )


def _is_same(session: Session, ticket: Ticket) -> bool:
    names = [getattr(who.user, "username", None) for who in (session, ticket)]
    return names[0] is not None and names[0] == names[1] and session.identity == ticket.identity
