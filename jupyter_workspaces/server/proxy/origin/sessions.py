"""One-time tickets, and the sessions that they open, at the workspaces' own origin. Knows no HTTP.

Only hashes of tickets and session cookies are stored, in memory, so all sessions end with the
server. Open sessions are an OrderedDict: cachetools drops entries without closing what is open in
them, and the session libraries for Tornado store sessions in cookies or databases.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cachetools import LRUCache, TTLCache

from jupyter_workspaces.server.access_reviews import Identity
from jupyter_workspaces.server.proxy.target import WorkspacePort

TICKET_SECONDS = 30.0
TICKETS = 4096
SESSIONS = 4096
SESSION_HOURS = 12.0
DELETED = 256
"""Number of ended sessions of deleted workspaces that are remembered for their open tabs."""

STATES = 4096
LOOP_SECONDS = 30.0
LOOPS = 3
"""Number of sign-ins, or redirects to the server, of a browser and workspace that are a loop.

They count within `LOOP_SECONDS`. A sign-in has five redirects, and browsers follow twenty.
"""


@dataclass(frozen=True)
class Destination:
    """The URL that a browser requested.

    Attributes:
        workspace_port: The workspace's port.
        uri: Path and query.
        origin: The workspace's origin.
        server: The Jupyter server's origin, from which the browser came.
    """

    workspace_port: WorkspacePort
    uri: str
    origin: str
    server: str


@dataclass(frozen=True)
class Ticket:
    """Permission for one step of a sign-in.

    Attributes:
        step: `begin`, `return` or `enter`.
        destination: The requested URL.
        state: Hash of the state cookie that the browser must send.
        user: Jupyter's user.
        identity: The user of the trusted headers.
        uid: The uid of the workspace.
    """

    step: str
    destination: Destination
    state: str = ""
    user: Any = None
    identity: Identity | None = None
    uid: str = ""


@dataclass(eq=False)
class Session:
    """The session of a browser in one workspace.

    Attributes:
        workspace_port: The workspace's port at which the session began.
        origin: The workspace's origin.
        server: The Jupyter server's origin.
        user: Jupyter's user.
        identity: The user of the trusted headers.
        uid: The uid of the workspace.
        used: Time of the last request.
        ended: Whether the session has ended.
        redirects: Times of the last redirects to the server.
        open: Functions that close what is open in the session.
    """

    workspace_port: WorkspacePort
    origin: str
    server: str
    user: Any
    identity: Identity | None
    uid: str
    used: float
    ended: bool = False
    redirects: deque[float] = field(default_factory=lambda: deque(maxlen=LOOPS))
    open: dict[int, Callable[[], None]] = field(default_factory=dict)

    def is_for(self, workspace_port: WorkspacePort, origin: str) -> bool:
        """Return whether this is a session of a port's workspace, at its origin."""
        own = self.workspace_port
        return (own.namespace, own.name, self.origin) == (
            workspace_port.namespace,
            workspace_port.name,
            origin,
        )


class Tickets:
    """Tickets that can be redeemed once within 30 s. Beyond `size`, the oldest is removed."""

    def __init__(
        self,
        *,
        seconds: float = TICKET_SECONDS,
        size: int = TICKETS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start without tickets."""
        self._clock = clock
        self._open: TTLCache[str, Ticket] = TTLCache(size, seconds, lambda: self._clock())

    def issue(self, ticket: Ticket) -> str:
        """Store a ticket. Returns its value: 256 random bits."""
        value = secrets.token_urlsafe(32)
        self._open[hashed(value)] = ticket
        return value

    def redeem(self, value: str, step: str) -> Ticket | None:
        """Return and remove a ticket; None if it is unknown, used, expired or for another step."""
        ticket = self._open.pop(hashed(value), None)
        return ticket if ticket is not None and ticket.step == step else None


class Sessions:
    """Open sessions by the hash of their cookie.

    A session ends when it is unused for `idle_seconds`. Beyond `size`, the least recently used one
    ends.
    """

    def __init__(
        self,
        *,
        idle_seconds: float = SESSION_HOURS * 3600,
        size: int = SESSIONS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start without sessions."""
        self._idle_seconds, self._size, self._clock = idle_seconds, size, clock
        self._open: OrderedDict[str, Session] = OrderedDict()
        self._of_deleted: LRUCache[str, Session] = LRUCache(DELETED)

    def __len__(self) -> int:
        """Return the number of open sessions."""
        return len(self._open)

    def start(self, ticket: Ticket) -> str:
        """Start the session of a ticket. Returns the value of its cookie."""
        value, destination = secrets.token_urlsafe(32), ticket.destination
        while len(self._open) >= self._size:
            self._end(next(iter(self._open)))
        self._open[hashed(value)] = Session(
            destination.workspace_port,
            destination.origin,
            destination.server,
            ticket.user,
            ticket.identity,
            ticket.uid,
            self._clock(),
        )
        return value

    def find(self, values: list[str], workspace_port: WorkspacePort, origin: str) -> Session | None:
        """Return the session of one of the cookie's values, and mark it as used.

        Returns None if none of them is for this workspace at this origin.
        """
        for key in map(hashed, values):
            session = self._open.get(key)
            if session is None:
                continue
            if session.used + self._idle_seconds < self._clock() and not session.open:
                self._end(key)
            elif session.is_for(workspace_port, origin):
                session.used = self._clock()
                self._open.move_to_end(key)
                return session
        return None

    def end(self, session: Session, *, deleted: bool = False) -> None:
        """End a session, and close everything that is open in it.

        With `deleted`, `server_of_deleted` remembers it.
        """
        for key in [key for key, found in self._open.items() if found is session]:
            self._end(key)
            if deleted:
                self._of_deleted[key] = session

    def server_of_deleted(
        self, values: list[str], workspace_port: WorkspacePort, origin: str
    ) -> str | None:
        """Return the Jupyter server of a session whose workspace was deleted, else None."""
        for session in filter(None, map(self._of_deleted.get, map(hashed, values))):
            if session.is_for(workspace_port, origin):
                return session.server
        return None

    def end_of_user(self, name: str) -> None:
        """End all sessions of a user who signs out of the Jupyter server."""
        for key in [
            key
            for key, found in self._open.items()
            if getattr(found.user, "username", None) == name
        ]:
            self._end(key)

    def count_redirect(self, session: Session) -> bool:
        """Count a redirect to the Jupyter server's page. Returns False if it is one of a loop."""
        now = self._clock()
        again = len(session.redirects) == LOOPS and session.redirects[0] > now - LOOP_SECONDS
        session.redirects.append(now)
        return not again

    def _end(self, key: str) -> None:
        session = self._open.pop(key)
        session.ended, closing, session.open = True, list(session.open.values()), {}
        for close in closing:
            close()


class SignInLoops:
    """Detects sign-ins in a loop, which happen in a browser that does not store cookies."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without sign-ins."""
        self._clock = clock
        self._seen: LRUCache[tuple[str, str, str], deque[float]] = LRUCache(STATES)

    def is_loop(self, state: str, workspace_port: WorkspacePort) -> bool:
        """Count a sign-in of a browser by its state cookie. Returns whether it is in a loop."""
        key, now = (state, workspace_port.namespace, workspace_port.name), self._clock()
        times = self._seen.setdefault(key, deque(maxlen=LOOPS))
        looping = len(times) == LOOPS and times[0] > now - LOOP_SECONDS
        times.append(now)
        return looping


def hashed(value: str) -> str:
    """Return the SHA-256 hash of a ticket or cookie."""
    return hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()
