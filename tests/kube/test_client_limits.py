"""Timeouts of the Kubernetes client, and its refusal of invalid responses."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube import client, transport
from jupyter_workspaces.kube.catalog import PODS
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import Endpoint
from jupyter_workspaces.kube.errors import ClusterError, InvalidResponse, Unreachable
from jupyter_workspaces.kube.reflector import _describe
from jupyter_workspaces.kube.sockets import keepalive_socket

CANARY = "hunter2"
ENOUGH_SECONDS = 10.0
"""Timeout of the tests, in seconds.

It is longer than the short limits need on a busy machine, and shorter than the server takes (60 s)
and than the usual limits.
"""


@asynccontextmanager
async def answering(answer: web.Response | bytes | None) -> AsyncIterator[Cluster]:
    """A server that answers everything with `answer`; bytes and then silence, or nothing at all."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if answer is None:
            await asyncio.sleep(60)
        if isinstance(answer, web.Response):
            return answer
        stream = web.StreamResponse(headers={"Content-Type": "application/json"})
        await stream.prepare(request)
        await stream.write(answer or b"")
        await asyncio.sleep(60)
        return stream

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with Cluster(
            Endpoint(f"http://127.0.0.1:{runner.addresses[0][1]}", "test")
        ) as cluster:
            yield cluster
    finally:
        await runner.cleanup()


@pytest.fixture(autouse=True)
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "FIRST_BYTE_SECONDS", 0.3)
    monkeypatch.setattr(client, "WATCH_MARGIN_SECONDS", 0.3)


async def watch(cluster: Cluster) -> list[str]:
    return [event.type async for event in cluster.watch(PODS, resource_version="1", seconds=1)]


async def test_an_answer_that_does_not_begin_is_given_up() -> None:
    async with answering(None) as cluster:
        for asking in (cluster.list(PODS), cluster.raw("GET", "/version"), watch(cluster)):
            async with timeout(ENOUGH_SECONDS):
                with pytest.raises(Unreachable):
                    await asking


async def test_a_list_that_stops_in_the_middle_is_given_up() -> None:
    async with answering(b'{"items": [') as cluster, timeout(ENOUGH_SECONDS):
        with pytest.raises(Unreachable):
            await cluster.list(PODS)


async def test_a_watch_that_is_not_ended_in_time_is_given_up() -> None:
    async with answering(b"") as cluster:
        began = time.monotonic()
        async with timeout(ENOUGH_SECONDS):
            with pytest.raises(Unreachable):
                await watch(cluster)
        assert time.monotonic() - began > 1.2


@pytest.mark.parametrize(
    "line",
    [
        f'{{"type": {CANARY}',
        f'["{CANARY}"]',
        f'{{"type": "ADDED", "object": {{"data": "{CANARY}"}}}}',
    ],
)
async def test_what_is_no_event_is_refused_and_not_quoted(
    line: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with answering(web.Response(text=line + "\n")) as cluster:
            with pytest.raises(InvalidResponse) as error:
                await watch(cluster)
    assert CANARY not in str(error.value)


async def test_an_event_that_is_cut_off_is_not_taken_for_the_end() -> None:
    async with answering(web.Response(text='{"type": "ADDED", "obj')) as cluster:
        with pytest.raises(InvalidResponse, match="middle of an event"):
            await watch(cluster)


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"status": "UP"}',
        '{"items": []}',
        '{"metadata": {"resourceVersion": "1"}, "items": [{"a": 1}]}',
    ],
)
async def test_json_that_is_no_list_is_not_an_empty_list(body: str) -> None:
    async with answering(web.Response(text=body, content_type="application/json")) as cluster:
        with pytest.raises(InvalidResponse, match="JSON that is not a list"):
            await cluster.list(PODS)


async def test_how_long_a_server_asks_to_wait_is_known() -> None:
    async with answering(web.Response(status=429, headers={"Retry-After": "7"})) as cluster:
        with pytest.raises(ClusterError) as error:
            await cluster.list(PODS)
    assert (error.value.status, error.value.retry_after) == (429, 7.0)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system has other options")
async def test_peers_that_are_gone_are_noticed_by_the_system() -> None:
    address = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 1))
    with keepalive_socket(address) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        idle, interval, probes = (
            made.getsockopt(socket.IPPROTO_TCP, option) for option in (4, 5, 6)
        )
        assert idle + interval * probes <= 30
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 30_000
    async with answering(web.Response(text="{}", content_type="application/json")) as cluster:
        await cluster.raw("GET", "/version")
        [[(handler, _)]] = cluster._session.connector._conns.values()  # type: ignore[union-attr]
        used = handler.transport.get_extra_info("socket")  # type: ignore[union-attr]
        assert used.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


async def test_no_answer_is_told_from_a_gateways_answer_and_from_silence() -> None:
    async with answering(web.Response(status=503, text=f"no upstream, {CANARY}")) as cluster:
        with pytest.raises(Unreachable) as gateway:
            await cluster.raw("GET", "/version")
    async with answering(None) as cluster:
        with pytest.raises(Unreachable) as silent:
            await cluster.raw("GET", "/version")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with Cluster(
            Endpoint(f"http://127.0.0.1:{taken.getsockname()[1]}", "test")
        ) as cluster:
            with pytest.raises(Unreachable) as refused:
                await cluster.raw("GET", "/version")
    assert [
        (found.value.answered, found.value.timed_out) for found in (gateway, silent, refused)
    ] == [
        (True, False),
        (False, True),
        (False, False),
    ]
    assert "does not answer" in _describe(refused.value)
    assert CANARY not in _describe(gateway.value)
