"""Handler of the sign-in at the workspaces' origin: steps 2 and 4 that the package describes."""

from __future__ import annotations

import secrets

from jupyter_workspaces.server.proxy.handlers.errors import RequestRefused
from jupyter_workspaces.server.proxy.target import WorkspacePort

from .separate_origin import TOKEN, is_top_level
from .sessions import Session, Ticket, hashed
from .workspace_handlers import SessionHandler

STATE_SECONDS = 600
"""Lifetime of the state cookie."""
STATE_LENGTH = 43
"""Characters of `secrets.token_urlsafe(32)`."""


class SignInHandler(SessionHandler):
    """`.sign-in?begin-token=TICKET` (step 2) and `.sign-in?enter-token=TICKET` (step 4)."""

    def set_default_headers(self) -> None:
        """Keep the ticket out of `Referer` and of caches."""
        super().set_default_headers()
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cache-Control", "no-store")

    async def prepare(self) -> None:  # type: ignore[override]
        """Refuse everything but navigations; the ticket authenticates."""
        self.workspace_port = WorkspacePort(
            self.path_kwargs["namespace"], self.path_kwargs["name"], ""
        )
        self.begin_request()
        if not is_top_level(self):
            raise RequestRefused(
                403, "Signing in is only for navigations in a tab.", "NotNavigating"
            )

    async def get(self, **_: str) -> None:
        """Redeem a ticket, and redirect to the next step."""
        step = "begin" if self.get_query_argument(f"begin{TOKEN}", "") else "enter"
        ticket = self.separate.tickets.redeem(self.get_query_argument(f"{step}{TOKEN}", ""), step)
        if ticket is None or not self._is_for(ticket):
            raise self._refused(
                "This link to sign in was already used, or is older than 30 s.", "TicketUsed"
            )
        self.workspace_port = ticket.destination.workspace_port
        if step == "begin":
            self._begin(ticket)
        else:
            self._enter(ticket)

    def _is_for(self, ticket: Ticket) -> bool:
        wanted = ticket.destination
        same = (wanted.workspace_port.namespace, wanted.workspace_port.name) == (
            self.workspace_port.namespace,
            self.workspace_port.name,
        )
        return same and wanted.origin == self.own_origin

    def _begin(self, ticket: Ticket) -> None:
        """Set the state cookie, and redirect to the Jupyter server (step 2)."""
        destination = ticket.destination
        session = self._session_here()
        if session is not None and _is_same(session, ticket):
            self.redirect(destination.uri)
            return
        state = next(
            (
                value
                for value in self.cookie_values(self.separate.state_cookie)
                if len(value) == STATE_LENGTH
            ),
            "",
        ) or secrets.token_urlsafe(32)
        self.set_origin_cookie(self.separate.state_cookie, state, STATE_SECONDS)
        returning = self.separate.tickets.issue(Ticket("return", destination, hashed(state)))
        port = self.workspace_port
        self.redirect(
            f"{destination.server}{self.base_url}workspace/ticket/"
            f"{port.namespace}/{port.name}/{port.port_id}?for{TOKEN}={returning}"
        )

    def _enter(self, ticket: Ticket) -> None:
        """Start a session, and redirect to the requested URL (step 4)."""
        destination = ticket.destination
        if ticket.state not in map(hashed, self.cookie_values(self.separate.state_cookie)):
            text = (
                "This browser did not start this sign-in, or it does not store cookies of"
                f" {self.own_origin}. Allow cookies, and open the workspace again."
            )
            raise self._refused(text, "OtherBrowser", ticket)
        old = self._session_here()
        if old is not None and _is_same(old, ticket) and old.uid == ticket.uid:
            self.redirect(destination.uri)  # another tab was faster
            return
        if old is None and self.separate.sign_in_loops.is_loop(ticket.state, self.workspace_port):
            text = (
                f"This browser does not store the session cookie of {self.own_origin}. Allow"
                " cookies, and open the workspace again."
            )
            raise self._refused(text, "NoCookie", ticket)
        if old is not None:
            self.separate.sessions.end(old)  # its cookie is replaced
        self.separate.entered_from(destination.server, self.identity_provider)
        self.set_origin_cookie(self.separate.session_cookie, self.separate.sessions.start(ticket))
        self.redirect(destination.uri)

    def _session_here(self) -> Session | None:
        """Return the browser's session for this workspace, None if it has none."""
        return self.separate.sessions.find(
            self.cookie_values(self.separate.session_cookie), self.workspace_port, self.own_origin
        )

    def _refused(self, text: str, kind: str, ticket: Ticket | None = None) -> RequestRefused:
        if ticket is not None:
            self.link = (
                f"{ticket.destination.server}{ticket.destination.uri}",
                "Open the workspace again",
            )
        elif self.separate.server:
            self.link = f"{self.separate.server}{self.base_url}", "Back to Jupyter"
        return RequestRefused(401, text, kind)


def _is_same(session: Session, ticket: Ticket) -> bool:
    """Return whether a session and a ticket belong to the same user."""
    names = [getattr(who.user, "username", None) for who in (session, ticket)]
    return names[0] is not None and names[0] == names[1] and session.identity == ticket.identity
