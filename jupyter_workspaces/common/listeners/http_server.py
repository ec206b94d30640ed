"""Tornado's HTTP server with limits of connections, times and bodies (`connections.py`)."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import IOStream

from .accepting import Listener
from .connections import (
    Connection,
    Connections,
    Limits,
    Phase,
)


class BoundedHTTPServer(HTTPServer):
    """Tornado's HTTP server with `limits` and a callback `lost`.

    A handler that streams a body calls `stream_body()` of its request's connection; then the
    timeouts and limits of bodies do not apply.
    """

    def initialize(  # type: ignore[override]
        self,
        request_callback: Any,
        *,
        limits: Limits,
        lost: Callable[[str], None] = lambda why: None,
        **settings: Any,
    ) -> None:
        """Set the server up; the other settings are Tornado's."""
        super().initialize(request_callback, idle_connection_timeout=limits.idle, **settings)
        self._open = Connections("The server", limits)
        self._lost = lost
        self._listeners: list[Listener] = []
        self._opening: Connection | None = None
        self._by_stream: dict[IOStream, Connection] = {}

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Accept connections of listening sockets. Needs a running event loop."""
        listener = Listener(list(sockets), self._accepted, self._open, self._lost)
        listener.start()
        self._listeners.append(listener)

    @property
    def busy(self) -> int:
        """Number of connections with a request in progress, WebSockets included."""
        return self._open.busy

    def stop(self) -> None:
        """Stop listening. Requests in progress continue."""
        super().stop()
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    def handle_stream(self, stream: IOStream, address: Any) -> Any:
        """Serve an accepted connection, and count it until it is closed."""
        connection, self._opening = self._opening, None
        assert connection is not None
        connection.close = stream.close
        close_fd = stream.close_fd

        def closed() -> None:
            close_fd()
            self._by_stream.pop(stream, None)
            connection.gone()

        # Every stream calls this at its end, also one of a WebSocket, which has left the server.
        setattr(stream, "close_fd", closed)  # noqa: B010
        self._by_stream[stream] = connection
        return super().handle_stream(stream, address)

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        """Begin a request, and report its progress to its connection."""
        delegate = super().start_request(server_conn, request_conn)
        connection = self._by_stream.get(server_conn.stream)  # type: ignore[attr-defined]
        if connection is None:
            return delegate
        if connection.phase > Phase.IDLE:
            connection.idle()

        setattr(request_conn, "stream_body", connection.stream)  # noqa: B010
        return _Reporting(delegate, connection)

    def _accepted(self, connected: socket.socket, address: Any, connection: Connection) -> None:
        self._opening = connection
        try:
            self._handle_connection(connected, address)
        finally:
            if self._opening is not None:  # the connection ended before it became a stream
                self._opening = None
                connection.gone()


class _Reporting(HTTPMessageDelegate):
    """Passes a request on, and reports its progress to its connection."""

    def __init__(self, inner: HTTPMessageDelegate, connection: Connection) -> None:
        self._inner, self._connection = inner, connection
        self._held = False

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        body = "Transfer-Encoding" in headers or headers.get("Content-Length", "0") != "0"
        self._connection.held = lambda: self._held
        self._connection.begin(receiving=body)
        return self._wait(self._inner.headers_received(start_line, headers))

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        self._connection.data(len(chunk))
        return self._wait(self._inner.data_received(chunk))

    def finish(self) -> None:
        self._connection.received()
        self._inner.finish()

    def on_connection_close(self) -> None:
        self._inner.on_connection_close()

    def _wait(self, taken: Awaitable[None] | None) -> Awaitable[None] | None:
        return None if taken is None else self._until(taken)

    async def _until(self, taken: Awaitable[None]) -> None:
        """Wait until the handler has taken data. The client is not late meanwhile."""
        self._held = True
        try:
            await taken
        finally:
            self._held = False
