"""Accepts connections of listening sockets within limits.

It gives other tasks their turn and, when no file descriptors are left, waits and logs once in ten
seconds. asyncio's and Tornado's own loops log every failure and have no limit of connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from .connections import Connection, Connections

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
REPORT_SECONDS = 10.0
CHECK_SECONDS = 5.0
AT_ONCE = 32
"""Number of connections that are accepted before other tasks get their turn."""

_LOST = (errno.EBADF, errno.EINVAL, errno.ENOTSOCK)

Accepted = Callable[[socket.socket, Any, Connection], None]


class Listener:
    """Accepts connections until closed, no more than `connections` allows.

    `accepted` is called with each connection. `lost` is called if a socket no longer listens for a
    reason that does not pass.
    """

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        accepted: Accepted,
        connections: Connections,
        lost: Callable[[str], None],
    ) -> None:
        """Take listening sockets; `start` begins to accept."""
        self.sockets = tuple(sockets)
        self._accepted, self._connections, self._lost = accepted, connections, lost
        self._tasks: list[asyncio.Task[None]] = []
        self._reported = -REPORT_SECONDS
        self._failures = 0
        self._checking: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start to accept connections. Needs a running event loop."""
        for listening in self.sockets:
            listening.setblocking(False)
            task = asyncio.get_running_loop().create_task(self._accept(listening), name="accept")
            task.add_done_callback(self._ended)
            self._tasks.append(task)
        self._check_later()

    def close(self) -> None:
        """Stop listening. Connections with a request under way stay open."""
        if self._checking is not None:
            self._checking.cancel()
        for task in self._tasks:
            task.cancel()
        for listening in self.sockets:
            # The event loop of Windows has no readers.
            with contextlib.suppress(OSError, ValueError, NotImplementedError):
                asyncio.get_running_loop().remove_reader(listening)
            listening.close()
        self._connections.close()

    async def wait_closed(self) -> None:
        """Wait until no connection is accepted any more."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, listening: socket.socket) -> None:
        loop, pause, accepted = asyncio.get_running_loop(), FIRST_PAUSE, 0
        while True:
            try:
                connected, address = await loop.sock_accept(listening)
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if error.errno in _LOST:
                    raise
                self._tell(error)
                self._connections.make_room()
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            pause, accepted = FIRST_PAUSE, accepted + 1
            self._take(connected, address)
            if accepted % AT_ONCE == 0:
                await asyncio.sleep(0)

    def _take(self, connected: socket.socket, address: Any) -> None:
        connection = self._connections.open(lambda: _break_off(connected))
        if connection is None:
            connected.close()
        else:
            self._accepted(connected, address, connection)

    def _tell(self, error: OSError) -> None:
        self._failures += 1
        if time.monotonic() - self._reported >= REPORT_SECONDS:
            self._reported = time.monotonic()
            log.warning(
                "Connections cannot be accepted now (%s, %d times); trying again",
                error.strerror,
                self._failures,
            )
            self._failures = 0

    def _check_later(self) -> None:
        self._checking = asyncio.get_running_loop().call_later(CHECK_SECONDS, self._check)

    def _check(self) -> None:
        """Find a socket that other code closed: it never becomes readable, so accepting waits."""
        for listening in self.sockets:
            try:
                listens = bool(listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
            except OSError:
                listens = False
            if not listens:
                log.critical("A listening socket is lost")
                self._lost("Its listening socket is lost.")
                return
        self._check_later()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            error = task.exception()
            log.critical("A listener failed: %s", type(error).__name__, exc_info=error)
            self._lost(f"It no longer accepts connections ({type(error).__name__}).")


def listening_sockets(host: str, port: int, backlog: int) -> list[socket.socket]:
    """Listen at all addresses of a host; port 0 chooses a free port. Raises `OSError`."""
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    bound: list[socket.socket] = []
    absent: OSError | None = None
    for family, kind, protocol, _, address in dict.fromkeys(found):
        try:
            bound.append(_listening_socket(family, kind, protocol, address, backlog))
        except OSError as error:
            if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                absent = error  # `localhost` may have an IPv6 address that this machine lacks
                continue
            for made in bound:
                made.close()
            raise
    if not bound and absent is not None:
        raise absent
    return bound


def _listening_socket(
    family: int, kind: int, protocol: int, address: Any, backlog: int
) -> socket.socket:
    made = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix" and sys.platform != "cygwin":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.listen(backlog)
    except OSError:
        made.close()
        raise
    return made


def _break_off(connected: socket.socket) -> None:
    """End a connection that is not served yet; its owner notices and closes it."""
    with contextlib.suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)
