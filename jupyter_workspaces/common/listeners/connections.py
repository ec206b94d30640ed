"""Open connections of one listener: how many there may be, which one gives way, and how long each may wait."""

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
"""Environment variable for the connections that `serve` and the local cluster's API server have open at once."""
CONNECTIONS = 2048
SWEEP_SECONDS = 1.0


@dataclass(frozen=True)
class Limits:
    """Bounds of one listener. Times in seconds, sizes in bytes."""

    connections: int = CONNECTIONS
    """Open at once; never more than half of the files that the process may open."""
    head: float = 15.0
    """From the connection (TLS handshake included) to the end of the first request's head."""
    idle: float = 75.0
    """Between two requests."""
    body: float = 60.0
    """For the whole body of a request, unless its handler streams it."""
    body_idle: float = 30.0
    """Without a byte of a body that somebody waits for."""
    buffered: int = 64 * 2**20
    """Of all request bodies together that are read into memory."""


def configured_connections() -> int:
    """Return the bound that the environment sets, else the default. Raises `ValueError`."""
    text = os.environ.get(MAX_CONNECTIONS, "").strip()
    if not text:
        return CONNECTIONS
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise ValueError(f"{MAX_CONNECTIONS} must be a positive number, not {text[:40]!r}.")
    return int(text)


class Phase(IntEnum):
    """What a connection is doing. Lower ones give way first."""

    CONNECTED = 0
    """The head of a request has not come yet."""
    IDLE = 1
    """A request was answered and no other one has begun."""
    RECEIVING = 2
    """The body of a request has not come yet."""
    ANSWERING = 3
    """A request is under way, or the connection is a WebSocket. It never gives way."""


class Connection:
    """One open connection. Whoever serves it reports what it does; `gone` must be called at its end."""

    def __init__(self, owner: Connections, close: Callable[[], None]) -> None:
        self.close = close
        """Close the connection at once, whatever it is doing."""
        self.held: Callable[[], bool] = lambda: False
        """Whether the reader waits for us and not for the client."""
        self.phase = Phase.CONNECTED
        self.began = self.last = time.monotonic()
        self.streamed = False
        self.buffered = 0
        self._early = 0
        self._owner = owner

    def begin(self, *, receiving: bool) -> None:
        """The head of a request has come; its body has not, if `receiving`."""
        self.began, self.streamed = time.monotonic(), False
        self._move(Phase.RECEIVING if receiving else Phase.ANSWERING)
        early, self._early = self._early, 0
        if receiving:
            self._owner.buffer(self, early)

    def data(self, size: int) -> None:
        """Bytes have come that belong to no WebSocket."""
        if self.phase <= Phase.IDLE:
            self._early += size  # the body may begin in the piece that ends the head
        if self.phase == Phase.IDLE:
            self._move(Phase.CONNECTED)
        elif self.phase == Phase.RECEIVING:
            self._move(Phase.RECEIVING)
            if not self.streamed:
                self._owner.buffer(self, size)

    def stream(self) -> None:
        """Keep nothing of the present body in memory: it may take as long as it likes while something comes."""
        self.streamed = True
        self._owner.unbuffer(self)

    def received(self) -> None:
        """The body has come."""
        if self.phase == Phase.RECEIVING:
            self._move(Phase.ANSWERING)

    def idle(self) -> None:
        """The request was answered."""
        self._owner.unbuffer(self)
        self._move(Phase.IDLE)

    def gone(self) -> None:
        """The connection is closed. May be called again."""
        self._owner.remove(self)

    def _move(self, phase: Phase) -> None:
        self._owner.move(self, phase)


class Connections:
    """The open connections of a listener, within its limits."""

    def __init__(self, name: str, limits: Limits) -> None:
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
        return sum(map(len, self._phases.values()))

    @property
    def busy(self) -> int:
        """Connections with a request under way; WebSockets are among them."""
        return len(self._phases[Phase.RECEIVING]) + len(self._phases[Phase.ANSWERING])

    def open(self, close: Callable[[], None]) -> Connection | None:
        """Add a connection, closing an idle one where there is no room; None if all are in use."""
        if len(self) >= self.most and not self.make_room():
            self._count("refused")
            return None
        connection = Connection(self, close)
        self._phases[Phase.CONNECTED][connection] = None
        self._sweep_later()
        return connection

    def make_room(self) -> bool:
        """Close the connection that has waited longest without a request under way; False if there is none."""
        for phase in (Phase.CONNECTED, Phase.IDLE, Phase.RECEIVING):
            if waiting := self._phases[phase]:
                self._close(next(iter(waiting)), "closed")
                return True
        return False

    def buffer(self, connection: Connection, size: int) -> None:
        """Count bytes of a body; the body that has waited longest goes when there are too many."""
        if connection not in self._phases[connection.phase]:
            return  # closed, and its last bytes come
        connection.buffered += size
        self._buffered += size
        while self._buffered > self.limits.buffered and (
            receiving := self._phases[Phase.RECEIVING]
        ):
            self._close(next(iter(receiving)), "refused")

    def unbuffer(self, connection: Connection) -> None:
        """The body of a connection is no longer in memory."""
        self._buffered -= connection.buffered
        connection.buffered = 0

    def move(self, connection: Connection, phase: Phase) -> None:
        """Put a connection last among those in a phase; one that is gone stays so."""
        held = self._phases[connection.phase]
        if connection in held:
            del held[connection]
            connection.phase, connection.last = phase, time.monotonic()
            self._phases[phase][connection] = None

    def remove(self, connection: Connection) -> None:
        """Forget a connection."""
        self.unbuffer(connection)
        self._phases[connection.phase].pop(connection, None)

    def close(self) -> None:
        """Close all that wait for a request. Those with a request under way are left to whoever serves them."""
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
        """Close connections whose time is over."""
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
        """The client was ready and we were not: no time has passed for it."""
        connection.began += now - connection.last
        connection.last = now

    def _count(self, what: str) -> None:
        self._counts[what] += 1
        self._report()

    def _report(self) -> None:
        """Log what was closed, at most once in ten seconds: a line for each would fill the disk."""
        counts = self._counts
        if not any(counts.values()) or time.monotonic() - self._reported < REPORT_SECONDS:
            return
        self._reported = time.monotonic()
        log.warning(
            "%s: %d of at most %d connections are open; %d were closed to make room, %d were refused, %d sent their request too slowly",
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
