"""Silent WebSockets get pings, and a browser that disappeared is detected within a limit."""

from __future__ import annotations

import asyncio
import base64
import os
import time

import aiohttp
import pytest
from waiting import until

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.server.proxy.limits import SETTING, Limits
from jupyter_workspaces.server.proxy.transfer.websocket_relay import CLOSE_SECONDS, DEAD_AFTER
from jupyter_workspaces.server.proxy.upstreams import in_use

PING = 0.2


@pytest.fixture
def pinging(server):
    server.web_app.settings[SETTING] = Limits(ping_seconds=PING)


async def opened(browser):
    """A browser's side as bytes after the handshake, without automatic responses."""
    reader, writer = await asyncio.open_connection("127.0.0.1", browser.url().port)
    lines = [
        f"GET {browser.url('socket').raw_path} HTTP/1.1",
        f"Host: {browser.host}",
        f"Authorization: token {browser.token}",
    ]
    lines += ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    lines += [f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}", "", ""]
    writer.write("\r\n".join(lines).encode())
    async with timeout(10):
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


def test_pings_are_sent_without_a_setting():
    assert Limits().ping_seconds == 30


async def test_a_silent_websocket_is_pinged_and_stays_open_as_long_as_the_browser_answers(
    browser, pinging
):
    async with (
        browser.socket() as socket
    ):  # aiohttp answers pings by itself while it reads, as browsers do
        asyncio.get_running_loop().call_later(
            PING * (DEAD_AFTER + 4), lambda: asyncio.ensure_future(socket.send_str("still here"))
        )
        received = [message.data async for message in until_it_says(socket, "still here")]
    assert (
        received.count("pong ") >= DEAD_AFTER
    )  # the small app tells of answers, which pass on to it


async def until_it_says(socket, last):
    async with timeout(10):
        while True:
            message = await socket.receive()
            assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
            yield message
            if message.data == last:
                return


@pytest.mark.slow
async def test_a_browser_that_answers_no_ping_is_gone_and_both_sides_are_closed(
    browser, server, pinging
):
    reader, writer = await opened(browser)
    assert in_use(server.web_app.settings)
    began = time.monotonic()
    async with timeout(2 * CLOSE_SECONDS):
        received = await reader.read()  # to the end
    assert time.monotonic() - began > PING * DEAD_AFTER
    assert received.startswith(b"\x89\x00" * DEAD_AFTER)
    assert b"The browser does not respond to pings." in received
    await until(lambda: not in_use(server.web_app.settings))
    writer.close()


async def test_a_browser_that_sends_anything_is_not_gone(browser, pinging):
    reader, writer = await opened(browser)
    end = time.monotonic() + PING * (DEAD_AFTER + 5)
    while time.monotonic() < end:
        writer.write(b"\x81\x81\0\0\0\0x")  # a message, and no pong
        await asyncio.sleep(PING / 2)
    assert not reader.at_eof()
    writer.close()


async def test_a_message_in_pieces_is_not_broken_by_a_ping(browser, pinging):
    """Pings may be inserted between frames of the other direction only."""
    async with browser.socket(max_msg_size=2**26) as socket:
        for size in (1, 200_000, 3_000_000):
            await socket.send_str(f"send {size}")
            async with timeout(10):
                message = await socket.receive()
                while message.type is aiohttp.WSMsgType.TEXT:
                    message = await socket.receive()
            assert len(message.data) == size
            await asyncio.sleep(PING * 2)
