"""Who may use which workspace at the workspaces' own origin: one-time tickets, and the sessions that they open. Knows no HTTP.

Only hashes of tickets and session cookies are kept, in memory: all of them end with the server.
Open sessions are an OrderedDict: cachetools drops entries without closing what is open in them.
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
from jupyter_workspaces.server.proxy.target import Place

TICKET_SECONDS = 30.0
TICKETS = 4096
SESSIONS = 4096
SESSION_HOURS = 12.0
DELETED = 256
"""Sessions that are remembered after their workspace was deleted, so that a tab that is still open can say so."""

STATES = 4096
ROUND_SECONDS = 30.0
ROUNDS = 3
"""How often one browser may sign in to one workspace, or be sent away by it, within `ROUND_SECONDS` before that is taken for a loop.

A round has five redirects, and browsers follow twenty.
"""


@dataclass(frozen=True)
class Destination:
    """Where a browser wants to go. `uri` is path and query; `origin` the workspace's, `server` the Jupyter server's that it came from."""

    place: Place
    uri: str
    origin: str
    server: str


@dataclass(frozen=True)
class Ticket:
    """One step of signing in. `step` is begin, return or enter; `state` the hash of the cookie that the browser must show."""

    step: str
    destination: Destination
    state: str = ""
    user: Any = None
    identity: Identity | None = None
    uid: str = ""


@dataclass(eq=False)
class Session:
    """One person in one workspace. `user` is Jupyter's; `identity` whom trusted headers named; `uid` the workspace's, `used` on our clock."""

    place: Place
    origin: str
    server: str
    user: Any
    identity: Identity | None
    uid: str
    used: float
    ended: bool = False
    away: deque[float] = field(default_factory=lambda: deque(maxlen=ROUNDS))
    open: dict[int, Callable[[], None]] = field(default_factory=dict)
    """Ends what is open in it now."""


class Tickets:
    """Single use, each good for 30 s; beyond `size` the oldest goes."""

    def __init__(
        self,
        *,
        seconds: float = TICKET_SECONDS,
        size: int = TICKETS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open: TTLCache[str, Ticket] = TTLCache(size, seconds, clock)

    def issue(self, ticket: Ticket) -> str:
        """256 random bits that stand for the ticket."""
        value = secrets.token_urlsafe(32)
        self._open[hashed(value)] = ticket
        return value

    def redeem(self, value: str, step: str) -> Ticket | None:
        """The ticket, once. None where it is unknown, used, too old or for another step."""
        ticket = self._open.pop(hashed(value), None)
        return ticket if ticket is not None and ticket.step == step else None


class Sessions:
    """Open sessions by the hash of their cookie. They end when unused for `idle_seconds`, and beyond `size` the one unused for longest."""

    def __init__(
        self,
        *,
        idle_seconds: float = SESSION_HOURS * 3600,
        size: int = SESSIONS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._idle_seconds, self._size, self._clock = idle_seconds, size, clock
        self._open: OrderedDict[str, Session] = OrderedDict()
        self._of_deleted: LRUCache[str, Session] = LRUCache(DELETED)

    def __len__(self) -> int:
        return len(self._open)

    def start(self, ticket: Ticket) -> str:
        """Begin the session that the ticket is for; the value of its cookie."""
        value, destination = secrets.token_urlsafe(32), ticket.destination
        while len(self._open) >= self._size:
            self._end(next(iter(self._open)))
        self._open[hashed(value)] = Session(
            destination.place,
            destination.origin,
            destination.server,
            ticket.user,
            ticket.identity,
            ticket.uid,
            self._clock(),
        )
        return value

    def find(self, values: list[str], place: Place, origin: str) -> Session | None:
        """The session of one of the cookie's values that is for this workspace at this origin; it counts as used."""
        for key in map(hashed, values):
            session = self._open.get(key)
            if session is None:
                continue
            if session.used + self._idle_seconds < self._clock() and not session.open:
                self._end(key)
            elif (session.place.namespace, session.place.name, session.origin) == (
                place.namespace,
                place.name,
                origin,
            ):
                session.used = self._clock()
                self._open.move_to_end(key)
                return session
        return None

    def end(self, session: Session, *, deleted: bool = False) -> None:
        """End one, and everything that is open in it. Remember that its workspace was deleted, for `server_of_deleted`."""
        for key in [key for key, found in self._open.items() if found is session]:
            self._end(key)
            if deleted:
                self._of_deleted[key] = session

    def server_of_deleted(self, values: list[str], place: Place, origin: str) -> str | None:
        """The Jupyter server of a session that ended because its workspace was deleted. It opens nothing any more."""
        for session in filter(None, map(self._of_deleted.get, map(hashed, values))):
            if (session.place.namespace, session.place.name, session.origin) == (
                place.namespace,
                place.name,
                origin,
            ):
                return session.server
        return None

    def end_of_user(self, name: str) -> None:
        """End all of a user who signs out of the Jupyter server."""
        for key in [
            key
            for key, found in self._open.items()
            if getattr(found.user, "username", None) == name
        ]:
            self._end(key)

    def sent_away(self, session: Session) -> bool:
        """Note that a browser is sent to the Jupyter server's page. False when that happens again and again: then show the page here."""
        now = self._clock()
        again = len(session.away) == ROUNDS and session.away[0] > now - ROUND_SECONDS
        session.away.append(now)
        return not again

    def _end(self, key: str) -> None:
        session = self._open.pop(key)
        session.ended, closing, session.open = True, list(session.open.values()), {}
        for close in closing:
            close()


class Rounds:
    """How often a browser has signed in to a workspace lately: one that does not keep its session's cookie would go round for ever."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: LRUCache[tuple[str, str, str], deque[float]] = LRUCache(STATES)

    def again(self, state: str, place: Place) -> bool:
        """Note one more. Whether it is one too many."""
        key, now = (state, place.namespace, place.name), self._clock()
        times = self._seen.setdefault(key, deque(maxlen=ROUNDS))
        looping = len(times) == ROUNDS and times[0] > now - ROUND_SECONDS
        times.append(now)
        return looping


def hashed(value: str) -> str:
    return hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()
