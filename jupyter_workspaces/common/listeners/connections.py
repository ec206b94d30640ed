"""Open connections of one listener: their number, which one is closed for another, timeouts.

Neither Tornado nor aiohttp limits the number of connections, or closes waiting ones to make room.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from .descriptors import connections_within

log = logging.getLogger(__name__)

REPORT_SECONDS = 10.0
MAX_CONNECTIONS = "JUPYTER_WORKSPACES_MAX_CONNECTIONS"
"""Environment variable with the limit of open connections.

It applies to `serve` and to the API server of the local cluster.
"""
CONNECTIONS = 2048
SWEEP_SECONDS = 1.0


@dataclass(frozen=True)
class Limits:
    """Limits of one listener. Times in seconds, sizes in bytes."""

    connections: int = CONNECTIONS
    """Open connections; never more than half of the files that the process may open."""
    head: float = 15.0
    """Time from the connection (TLS handshake included) to the end of a request's head."""
    idle: float = 75.0
    """Time between two requests."""
    body: float = 60.0
    """Time for the whole body of a request, unless its handler streams it."""
    body_idle: float = 30.0
    """Time without a byte of a body that the handler waits for."""
    buffered: int = 64 * 2**20
    """Size of all request bodies in memory together."""


def configured_connections() -> int:
    """Return the limit that the environment sets, or else the default. Raises `ValueError`."""
    text = os.environ.get(MAX_CONNECTIONS, "").strip()
    if not text:
        return CONNECTIONS
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise ValueError(f"{MAX_CONNECTIONS} must be a positive number, not {text[:40]!r}.")
    return int(text)


class Phase(IntEnum):
    """What a connection is doing. Connections in a lower phase are closed first."""

    CONNECTED = 0
    """Before the head of the first request is complete."""
    IDLE = 1
    """Between two requests."""
    RECEIVING = 2
    """The body of a request is incomplete."""
    ANSWERING = 3
    """A request is in progress, or the connection is a WebSocket. It is never closed for others."""


class Connection:
    """One open connection. Its server reports each step; `gone` must be called at its end."""

    def __init__(self, owner: Connections, close: Callable[[], None]) -> None:
        """Make a connection that `close` closes."""
        self.close = close
        """Closes the connection at once."""
        self.held: Callable[[], bool] = lambda: False
        """Returns whether reading waits for us and not for the client."""
        self.phase = Phase.CONNECTED
        self.began = self.last = time.monotonic()
        self.streamed = False
        self.buffered = 0
        self._early = 0
        self._owner = owner

    def begin(self, *, receiving: bool) -> None:
        """Report the head of a request; its body is still to come if `receiving` is true."""
        self.began, self.streamed = time.monotonic(), False
        self._move(Phase.RECEIVING if receiving else Phase.ANSWERING)
        early, self._early = self._early, 0
        if receiving:
            self._owner.buffer(self, early)

    def data(self, size: int) -> None:
        """Report bytes from the client. Not called for WebSockets."""
        if self.phase <= Phase.IDLE:
            self._early += size  # the beginning of the body may arrive with the head
        if self.phase == Phase.IDLE:
            self._move(Phase.CONNECTED)
        elif self.phase == Phase.RECEIVING:
            self._move(Phase.RECEIVING)
            if not self.streamed:
                self._owner.buffer(self, size)

    def stream(self) -> None:
        """Report that the body is streamed: it is not in memory, and only pauses are limited."""
        self.streamed = True
        self._owner.unbuffer(self)

    def received(self) -> None:
        """Report the end of the body."""
        if self.phase == Phase.RECEIVING:
            self._move(Phase.ANSWERING)

    def idle(self) -> None:
        """Report that the response is complete."""
        self._owner.unbuffer(self)
        self._move(Phase.IDLE)

    def gone(self) -> None:
        """Report that the connection is closed. Idempotent."""
        self._owner.remove(self)

    def _move(self, phase: Phase) -> None:
        self._owner.move(self, phase)


class Connections:
    """The open connections of a listener, within its limits."""

    def __init__(self, name: str, limits: Limits) -> None:
        """Make an empty collection; `name` identifies the listener in logs."""
        self.limits = limits
        self.most = connections_within(limits.connections)
        self._name = name
        self._phases: dict[Phase, OrderedDict[Connection, None]] = {
            phase: OrderedDict() for phase in Phase
        }
        self._buffered = 0
        self._sweeping: asyncio.TimerHandle | None = None
        self._reported = -REPORT_SECONDS
        self._counts = {"refused": 0, "closed": 0, "late": 0}

    def __len__(self) -> int:
        """Return the number of open connections."""
        return sum(map(len, self._phases.values()))

    @property
    def busy(self) -> int:
        """Number of connections with a request in progress, WebSockets included."""
        return len(self._phases[Phase.RECEIVING]) + len(self._phases[Phase.ANSWERING])

    def open(self, close: Callable[[], None]) -> Connection | None:
        """Add a connection, and close a waiting one if there is no room.

        Returns None if all connections are in use.
        """
        if len(self) >= self.most and not self.make_room():
            self._count("refused")
            return None
        connection = Connection(self, close)
        self._phases[Phase.CONNECTED][connection] = None
        self._sweep_later()
        return connection

    def make_room(self) -> bool:
        """Close the connection that has waited longest. Returns False if none is waiting."""
        for phase in (Phase.CONNECTED, Phase.IDLE, Phase.RECEIVING):
            if waiting := self._phases[phase]:
                self._close(next(iter(waiting)), "closed")
                return True
        return False

    def buffer(self, connection: Connection, size: int) -> None:
        """Count bytes of a body; if there are too many, refuse the one that has waited longest."""
        if connection not in self._phases[connection.phase]:
            return  # closed; these are its last bytes
        connection.buffered += size
        self._buffered += size
        while self._buffered > self.limits.buffered and (
            receiving := self._phases[Phase.RECEIVING]
        ):
            self._close(next(iter(receiving)), "refused")

    def unbuffer(self, connection: Connection) -> None:
        """Subtract the body of a connection, which is no longer in memory."""
        self._buffered -= connection.buffered
        connection.buffered = 0

    def move(self, connection: Connection, phase: Phase) -> None:
        """Move a connection to the end of a phase. Does nothing if it is closed."""
        held = self._phases[connection.phase]
        if connection in held:
            del held[connection]
            connection.phase, connection.last = phase, time.monotonic()
            self._phases[phase][connection] = None

    def remove(self, connection: Connection) -> None:
        """Remove a connection."""
        self.unbuffer(connection)
        self._phases[connection.phase].pop(connection, None)

    def close(self) -> None:
        """Close all connections without a request in progress."""
        for phase in (Phase.CONNECTED, Phase.IDLE):
            for connection in list(self._phases[phase]):
                self._close(connection, "")
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None

    def _close(self, connection: Connection, why: str) -> None:
        self.remove(connection)
        connection.close()
        if why:
            self._count(why)

    def _sweep_later(self) -> None:
        if self._sweeping is None:
            limits = self.limits
            shortest = min(limits.head, limits.idle, limits.body, limits.body_idle)
            self._sweeping = asyncio.get_running_loop().call_later(
                min(SWEEP_SECONDS, shortest / 4), self._sweep
            )

    def _sweep(self) -> None:
        """Close connections that exceeded a timeout."""
        self._sweeping = None
        if len(self):
            self._sweep_later()
        now, limits = time.monotonic(), self.limits
        for phase, seconds in ((Phase.CONNECTED, limits.head), (Phase.IDLE, limits.idle)):
            waiting = self._phases[phase]
            while waiting and now - (longest := next(iter(waiting))).last > seconds:
                self._close(longest, "late" if phase == Phase.CONNECTED else "")
        for connection in list(self._phases[Phase.RECEIVING]):
            if connection.held():
                self._move_on(connection, now)
            elif now - connection.last > limits.body_idle or (
                not connection.streamed and now - connection.began > limits.body
            ):
                self._close(connection, "late")
        self._report()

    def _move_on(self, connection: Connection, now: float) -> None:
        """Do not count the time in which we, not the client, were late."""
        connection.began += now - connection.last
        connection.last = now

    def _count(self, what: str) -> None:
        self._counts[what] += 1
        self._report()

    def _report(self) -> None:
        """Log the numbers of closed connections, at most once in ten seconds."""
        counts = self._counts
        if not any(counts.values()) or time.monotonic() - self._reported < REPORT_SECONDS:
            return
        self._reported = time.monotonic()
        log.warning(
            "%s: %d of at most %d connections are open; "
            "%d were closed to make room, %d were refused, %d sent their request too slowly",
            *(
                self._name,
                len(self),
                self.most,
                counts["closed"],
                counts["refused"],
                counts["late"],
            ),
        )
        self._counts = dict.fromkeys(counts, 0)
