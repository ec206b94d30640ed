"""A listener of aiohttp's server with limits, to be used in place of `aiohttp.web.TCPSite`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from asyncio import sslproto
from collections.abc import Callable
from functools import partial
from typing import Any

from aiohttp import web

from jupyter_workspaces.common.transports import abort

from .accepting import Listener, listening_sockets
from .connections import Connection, Connections, Limits

log = logging.getLogger(__name__)

BACKLOG = 512
TLS_BUFFER_BYTES = 32 * 2**10
"""TLS buffer of a connection. asyncio's default of 256 KiB makes 0.5 GB for 2,000 connections."""
LINGER_SECONDS = 2.0
"""Time in which the rest of an unused body is read, so that the client reads its response."""


class BoundedSite(web.BaseSite):
    """Listens for a runner, which may have no other site.

    `lines` are `max_line_size` and `max_field_size` of aiohttp, in bytes.
    """

    def __init__(
        self,
        runner: web.BaseRunner,
        host: str,
        port: int,
        limits: Limits,
        *,
        name: str,
        ssl_context: ssl.SSLContext | None = None,
        lost: Callable[[str], None] = lambda why: None,
        **lines: int,
    ) -> None:
        """Make a listener; `start` begins to listen."""
        super().__init__(runner, ssl_context=ssl_context, backlog=BACKLOG)
        assert runner.server is not None
        if ssl_context is not None:
            _small_tls_buffers()
        self._host, self._port, self._title, self._lost = host, port, name, lost
        self._connections = Connections(name, limits)
        self._manager = _counted(runner.server)
        self._settings: dict[str, Any] = {
            "access_log": None,
            "lingering_time": LINGER_SECONDS,
            "keepalive_timeout": limits.idle,
            **lines,
        }
        self._opening: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        """Name and address of the listener."""
        return f"{self._title} at {self._host}:{self._port}"

    async def start(self) -> None:
        """Start to listen. Raises `OSError`."""
        sockets = listening_sockets(self._host, self._port, BACKLOG)
        await super().start()
        listener = Listener(sockets, self._accepted, self._connections, self._lost)
        listener.start()
        self._listener = listener
        # The runner reads its sockets, and the base class closes it.
        self._server = listener  # type: ignore[assignment]

    async def stop(self) -> None:
        """Stop listening and close connections without a request."""
        await super().stop()
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        await self._listener.wait_closed()

    def _accepted(self, connected: socket.socket, address: Any, connection: Connection) -> None:
        task = asyncio.get_running_loop().create_task(
            self._open(connected, connection), name="open a connection"
        )
        self._opening.add(task)
        task.add_done_callback(self._opened)

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s: a connection could not be opened", self._title, exc_info=error)

    async def _open(self, connected: socket.socket, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        bounds: dict[str, Any] = (
            {}
            if self._ssl_context is None
            else {"ssl_handshake_timeout": self._connections.limits.head}
        )
        try:
            if self._ssl_context is not None and not await _speaks(connected):
                connected.close()
                connection.gone()
                return
            await loop.connect_accepted_socket(
                lambda: _Protocol(self._manager, connection, loop=loop, **self._settings),
                connected,
                ssl=self._ssl_context,
                **bounds,
            )
        except (OSError, asyncio.TimeoutError) as error:  # TLS errors are OSErrors
            connection.gone()
            log.debug(
                "%s: a connection ended before its first request: %s",
                self._title,
                type(error).__name__,
            )
        except asyncio.CancelledError:
            connection.gone()
            with contextlib.suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)
            raise


class _Protocol(web.RequestHandler):
    """aiohttp's connection, which reports its progress."""

    __slots__ = ("connection",)

    def __init__(self, manager: web.Server, connection: Connection, **settings: Any) -> None:
        super().__init__(manager, **settings)
        self.connection = connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.connection.close = partial(abort, transport)
        self.connection.held = lambda: not transport.is_reading()
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self.connection.data(len(data))
        super().data_received(data)

    async def finish_response(self, *args: Any) -> Any:
        try:
            return await super().finish_response(*args)
        finally:
            self.connection.idle()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.connection.gone()
        super().connection_lost(exc)


async def _speaks(connected: socket.socket) -> bool:
    """Return True at the first byte, False if the connection ends before.

    A client that sends nothing must not cost a TLS session.
    """
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    try:
        loop.add_reader(connected, readable.set)
    except NotImplementedError:  # Windows
        return True
    try:
        try:
            await readable.wait()
        finally:
            loop.remove_reader(connected)
        return bool(connected.recv(1, socket.MSG_PEEK))
    except OSError:
        return False
    except asyncio.CancelledError:
        connected.close()
        raise


def _small_tls_buffers() -> None:
    """Make the TLS buffers of all connections of this process smaller.

    Python 3.10 has no such buffers.
    """
    protocol: Any = sslproto.SSLProtocol
    if (known := getattr(protocol, "max_size", 0)) > TLS_BUFFER_BYTES:
        log.debug("TLS buffers of %d bytes instead of %d", TLS_BUFFER_BYTES, known)
        protocol.max_size = TLS_BUFFER_BYTES


def _counted(server: web.Server) -> web.Server:
    """Return the server, changed so that it reports requests to their connections."""
    handle = server.request_handler

    async def begun(request: web.BaseRequest) -> web.StreamResponse:
        protocol = request.protocol
        if isinstance(protocol, _Protocol):
            body = request.content
            protocol.connection.begin(receiving=not body.is_eof())
            if not body.is_eof():
                body.on_eof(protocol.connection.received)
        return await handle(request)

    server.request_handler = begun
    return server
