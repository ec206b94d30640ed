"""Limits of one listener, small enough to test."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tornado.httpclient import AsyncHTTPClient
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler, stream_request_body
from tornado.websocket import WebSocketHandler, websocket_connect
from waiting import until

import jupyter_workspaces
from jupyter_workspaces.common.listeners import accepting
from jupyter_workspaces.common.listeners.accepting import Listener, listening_sockets
from jupyter_workspaces.common.listeners.connections import Connections, Limits
from jupyter_workspaces.common.listeners.http_server import BoundedHTTPServer
from jupyter_workspaces.common.listeners.site import BoundedSite
from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.controller import health_server, webhook
from jupyter_workspaces.controller.metrics import Metrics
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import Endpoint
from jupyter_workspaces.localkube import certificates
from jupyter_workspaces.localkube.apiserver.http.server import ApiServer
from jupyter_workspaces.localkube.apiserver.store.store import Store
from jupyter_workspaces.localkube.directory import Directory
from jupyter_workspaces.localkube.node import kubelet

LIMIT_SECONDS = 20.0
LIMITS = Limits(connections=4, head=5.0, idle=5.0, body=5.0, body_idle=5.0, buffered=2**20)

Dialled = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Slow:
    """What the handlers below wait for."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.waiting = 0
        self.read = 0


@asynccontextmanager
async def aiohttp_server(
    limits: Limits, trust: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[int, Slow]]:
    slow = Slow()

    async def wait(request: web.Request) -> web.Response:
        slow.waiting += 1
        await slow.go.wait()
        return web.Response(text="waited")

    async def take(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await request.read())))

    app = web.Application(client_max_size=2**30)
    app.router.add_get("/", _hello)
    app.router.add_get("/wait", wait)
    app.router.add_post("/", take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await BoundedSite(
            runner, "127.0.0.1", 0, limits, name="A server", ssl_context=trust
        ).start()
        yield runner.addresses[0][1], slow
    finally:
        slow.go.set()
        await runner.cleanup()


async def _hello(request: web.Request) -> web.Response:
    return web.Response(text="hello")


@asynccontextmanager
async def tornado_server(
    limits: Limits, trust: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[int, Slow]]:
    slow = Slow()

    class Hello(RequestHandler):
        def get(self) -> None:
            self.write("hello")

        def post(self) -> None:
            self.write(str(len(self.request.body)))

    class Wait(RequestHandler):
        async def get(self) -> None:
            slow.waiting += 1
            await slow.go.wait()
            self.write("waited")

    @stream_request_body
    class Stream(RequestHandler):
        def prepare(self) -> None:
            self.request.connection.stream_body()  # type: ignore[union-attr]

        def data_received(self, chunk: bytes) -> None:
            slow.read += len(chunk)

        def post(self) -> None:
            self.write(str(slow.read))

    class Echo(WebSocketHandler):
        def on_message(self, message: str | bytes) -> None:
            self.write_message(message)

    application = Application([("/", Hello), ("/wait", Wait), ("/stream", Stream), ("/echo", Echo)])
    server = BoundedHTTPServer(application, limits=limits, ssl_options=trust)
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    try:
        yield sockets[0].getsockname()[1], slow
    finally:
        slow.go.set()
        server.stop()
        await server.close_all_connections()


SERVERS = pytest.mark.parametrize("start", [aiohttp_server, tornado_server])
Start = Callable[..., Any]


@asynccontextmanager
async def dialled(port: int, sent: bytes = b"", **more: Any) -> AsyncIterator[Dialled]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **more)
    writer.write(sent)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def is_closed(connection: Dialled, seconds: float = LIMIT_SECONDS) -> bool:
    try:
        async with timeout(seconds):
            while await connection[0].read(65536):
                continue
    except asyncio.TimeoutError:
        return False
    except OSError:
        return True
    return True


async def asked(connection: Dialled, head: bytes = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") -> bytes:
    connection[1].write(head)
    async with timeout(LIMIT_SECONDS):
        return await connection[0].readuntil(b"hello")


WAIT = b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"


@SERVERS
async def test_the_connection_that_was_idle_longest_gives_way(start: Start) -> None:
    async with start(LIMITS) as (port, _), contextlib.AsyncExitStack() as stack:
        used = await stack.enter_async_context(dialled(port))
        assert b"200" in await asked(used)
        silent = [await stack.enter_async_context(dialled(port)) for _ in range(3)]
        latest = await stack.enter_async_context(dialled(port))

        assert await is_closed(silent[0])
        assert b"200" in await asked(latest)
        assert b"200" in await asked(used), "who never asked anything goes before who did"


@SERVERS
async def test_requests_under_way_stay_and_others_are_refused_at_once(start: Start) -> None:
    async with start(LIMITS) as (port, slow), contextlib.AsyncExitStack() as stack:
        busy = [await stack.enter_async_context(dialled(port, WAIT)) for _ in range(4)]
        await until(lambda: slow.waiting == 4)
        refused = await stack.enter_async_context(dialled(port))

        assert await is_closed(refused, 2.0)
        slow.go.set()
        for reader, _ in busy:
            async with timeout(LIMIT_SECONDS):
                await reader.readuntil(b"waited")


@SERVERS
async def test_a_body_that_nobody_sends_gives_way_and_is_cut_off(start: Start) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    async with (
        start(replace(LIMITS, body_idle=0.5)) as (port, _),
        contextlib.AsyncExitStack() as stack,
    ):
        waiting = [await stack.enter_async_context(dialled(port, head)) for _ in range(4)]
        latest = await stack.enter_async_context(dialled(port))

        assert b"200" in await asked(latest)
        for connection in waiting:
            assert await is_closed(connection, 4.0)


@SERVERS
async def test_a_body_that_comes_slowly_is_cut_off(start: Start) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    async with start(replace(LIMITS, body=0.5)) as (port, _), dialled(port, head) as slow:
        closed = asyncio.ensure_future(is_closed(slow, 4.0))
        while not closed.done():
            slow[1].write(b"x")
            await asyncio.sleep(0.05)
        assert closed.result()


@SERVERS
async def test_a_connection_ends_when_nothing_is_asked_any_more(start: Start) -> None:
    async with start(replace(LIMITS, idle=0.3)) as (port, _), dialled(port) as idle:
        assert b"200" in await asked(idle)
        assert await is_closed(idle, 4.0)


@SERVERS
async def test_a_head_that_comes_slowly_is_cut_off(start: Start) -> None:
    async with (
        start(replace(LIMITS, head=0.5)) as (port, _),
        dialled(port, b"GET / HTTP/1.1\r\n") as slow,
    ):
        closed = asyncio.ensure_future(is_closed(slow, 4.0))
        while not closed.done():
            slow[1].write(b"X-Slow: yes\r\n")
            await asyncio.sleep(0.05)
        assert closed.result()


@SERVERS
async def test_all_bodies_together_are_bounded(start: Start) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n"
    async with (
        start(replace(LIMITS, buffered=300_000)) as (port, _),
        contextlib.AsyncExitStack() as stack,
    ):
        sending = [
            await stack.enter_async_context(dialled(port, head + b"x" * 130_000)) for _ in range(3)
        ]

        assert await is_closed(sending[0], 3.0)
        assert not await is_closed(sending[2], 0.2)


async def test_a_streamed_body_may_take_long_and_is_not_counted() -> None:
    limits = replace(LIMITS, body=0.3, buffered=1000)
    head = b"POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n"
    async with tornado_server(limits) as (port, _), dialled(port, head) as (reader, writer):
        for _ in range(10):
            writer.write(b"x" * 2000)
            await asyncio.sleep(0.1)
        async with timeout(LIMIT_SECONDS):
            assert await reader.readuntil(b"20000")


async def test_a_streamed_body_that_stops_is_cut_off() -> None:
    head = b"POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\nx"
    async with (
        tornado_server(replace(LIMITS, body_idle=0.3)) as (port, _),
        dialled(port, head) as stopped,
    ):
        assert await is_closed(stopped, 4.0)


async def test_web_sockets_stay_and_are_counted_until_they_end() -> None:
    limits = replace(LIMITS, connections=2, idle=0.2, head=0.2)
    async with tornado_server(limits) as (port, _), contextlib.AsyncExitStack() as stack:
        sockets = [await websocket_connect(f"ws://127.0.0.1:{port}/echo") for _ in range(2)]
        refused = await stack.enter_async_context(dialled(port))
        assert await is_closed(refused, 2.0)
        await asyncio.sleep(0.5)  # longer than an idle connection may live
        for one in sockets:
            await one.write_message("hello")
            assert await one.read_message() == "hello"
            one.close()
            assert await one.read_message() is None

        async def answers() -> bool:
            try:
                return (await AsyncHTTPClient().fetch(f"http://127.0.0.1:{port}/")).code == 200
            except OSError:
                return False

        async with timeout(LIMIT_SECONDS):
            while not await answers():  # noqa: ASYNC110
                await asyncio.sleep(0.05)


@SERVERS
async def test_a_tls_handshake_that_stops_is_cut_off(tmp_path: Path, start: Start) -> None:
    directory = Directory(tmp_path)
    certificates.ensure(directory)
    hello = bytes.fromhex("16030100ff01")  # the beginning of a ClientHello
    async with start(replace(LIMITS, head=0.5), certificates.server_context(directory)) as (
        port,
        _,
    ):
        async with dialled(port, hello) as stopped:
            assert await is_closed(stopped, 4.0)
        async with dialled(port) as silent:
            assert await is_closed(silent, 4.0)
        trust = ssl.create_default_context(cafile=str(directory.authority))
        async with dialled(port, ssl=trust) as good:
            assert b"200" in await asked(good)


async def _health(directory: Directory) -> tuple[int, Callable[[], Awaitable[None]]]:
    server = health_server.HealthServer(Metrics(), {}, {})
    await server.start("127.0.0.1", 0)
    return server.port, server.stop


async def _webhook(directory: Directory) -> tuple[int, Callable[[], Awaitable[None]]]:
    server = webhook.Webhook(None)  # type: ignore[arg-type]
    await server.start("127.0.0.1", 0, certificates.server_context(directory))
    return server.port, server.stop


async def _kubelet(directory: Directory) -> tuple[int, Callable[[], Awaitable[None]]]:
    cluster = Cluster(Endpoint("http://127.0.0.1:1", "none"))
    server = kubelet.Kubelet(cluster, directory.path, certificates.server_context(directory))

    async def stop() -> None:
        await server.stop()
        await cluster.close()

    return await server.start(), stop


async def _api_server(directory: Directory) -> tuple[int, Callable[[], Awaitable[None]]]:
    store = Store.open(directory.database)
    server = ApiServer(store, token="token")
    port = await server.start("127.0.0.1", 0, certificates.server_context(directory), limits=LIMITS)

    async def stop() -> None:
        await server.stop()
        store.close()

    return port, stop


@pytest.mark.parametrize("start", [_health, _webhook, _kubelet, _api_server])
async def test_each_of_our_listeners_is_bounded(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    start: Callable[[Directory], Awaitable[tuple[int, Callable[[], Awaitable[None]]]]],
) -> None:
    for module in (health_server, webhook, kubelet):
        monkeypatch.setattr(module, "LIMITS", LIMITS)
    directory = Directory(tmp_path)
    certificates.ensure(directory)
    port, stop = await start(directory)
    try:
        async with contextlib.AsyncExitStack() as stack:
            silent = [await stack.enter_async_context(dialled(port)) for _ in range(7)]
            for connection in silent[:3]:
                assert await is_closed(connection, 4.0)
            assert not await is_closed(silent[-1], 0.2)
    finally:
        await stop()


def test_no_listener_is_opened_without_bounds() -> None:
    """The gate is a script of its own, with its own bound."""
    opens = re.compile(
        r"\b(TCPSite|UnixSite|SockSite|NamedPipeSite|start_server|start_unix_server|create_server|create_unix_server|run_app|HTTPServer)\("
    )
    root = Path(jupyter_workspaces.__file__).parent
    found = {
        path.name for path in root.rglob("*.py") if opens.search(path.read_text(encoding="utf-8"))
    }
    assert found == {"gate.py"}


async def test_a_listening_socket_that_is_lost_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "CHECK_SECONDS", 0.05)
    sockets, lost = listening_sockets("127.0.0.1", 0, 8), asyncio.Event()
    listener = Listener(
        sockets, lambda *_: None, Connections("A server", LIMITS), lambda why: lost.set()
    )
    listener.start()
    await asyncio.sleep(0)
    sockets[0].shutdown(socket.SHUT_RDWR)

    async with timeout(LIMIT_SECONDS):
        await lost.wait()
    listener.close()
    await listener.wait_closed()
