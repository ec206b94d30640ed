"""Memory of a WebSocket does not depend on the size of its messages, nor on who reads them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import psutil
import pytest

from jupyter_workspaces.server.proxy.limits import SETTING, Limits
from jupyter_workspaces.server.proxy.transfer.websocket_frames import (
    FrameChecker,
    Violation,
    close_frame,
    frame,
)

pytestmark = pytest.mark.slow  # nearly every test waits for seconds

MIB = 2**20
LIMIT_SECONDS = 30
PATH = "/workspace/connect/team-a/small/web/socket"


class Proxy:
    def __init__(self, process, port):
        self.process, self.port = psutil.Process(process.pid), port

    @property
    def memory(self):
        return self.process.memory_info().rss

    def socket(self, *messages):
        """A browser that sends a message and never reads the response."""
        made = socket.create_connection(("127.0.0.1", self.port))
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
        made.settimeout(LIMIT_SECONDS)
        made.sendall(handshake(self.port))
        head = b""
        while b"\r\n\r\n" not in head:
            head += made.recv(1)
        assert head.startswith(b"HTTP/1.1 101"), head
        for message in messages:
            made.sendall(text(message))
        return made

    def settled(self):
        """Return the memory once it has not changed for a second."""
        last, since, begun = self.memory, time.monotonic(), time.monotonic()
        while time.monotonic() - since < 1 and time.monotonic() - begun < LIMIT_SECONDS:
            if abs(self.memory - last) > MIB:
                last, since = self.memory, time.monotonic()
            time.sleep(0.05)
        return self.memory


def handshake(port, *more):
    lines = (
        f"GET {PATH} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *more,
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def text(message):
    made = bytearray(frame(0x9, message.encode(), masked=True))
    made[0] = 0x81
    return bytes(made)


@pytest.fixture(scope="module")
def proxy(upstream):
    command = [
        sys.executable,
        "-m",
        "tests.server.proxy.proxy_process",
        str(upstream),
        str(256 * MIB),
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            found = Proxy(process, int(process.stdout.readline()))
            found.socket("x").close()  # what is imported with the first one
            found.settled()
            yield found
        finally:
            process.kill()


def test_browsers_that_do_not_read_large_messages_hold_little_and_it_is_freed(proxy):
    before = proxy.memory

    sockets = [proxy.socket(f"send {100 * MIB}") for _ in range(8)]
    assert proxy.settled() - before < 30 * MIB

    for one in sockets:
        one.close()
    assert proxy.settled() - before < 20 * MIB
    assert connections_inside(proxy) == 0


def test_a_workspace_that_does_not_read_holds_the_browser_back(proxy, upstream):
    """The program waits for its own slow reader, and reads nothing in the meantime."""
    before = proxy.memory
    one = proxy.socket(f"send {100 * MIB}")
    one.settimeout(1)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while True:
            sent += one.send(masked(bytes(MIB)))
            assert sent < 200 * MIB, "nobody held it back"
    assert proxy.settled() - before < 30 * MIB
    one.close()


def test_floods_of_pings_and_of_tiny_messages_hold_little(proxy):
    before = proxy.memory
    pinged = proxy.socket("pings 200000")
    tiny = proxy.socket()
    tiny.settimeout(1)
    many = text("x") * 10_000
    sent = 0
    with contextlib.suppress(TimeoutError):  # their echoes are not read
        while True:
            sent += tiny.send(many)
            assert sent < 200 * MIB, "nobody held them back"
    assert proxy.settled() - before < 30 * MIB
    pinged.close()
    tiny.close()


def connections_inside(proxy):
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        open_now = [
            one
            for one in proxy.process.net_connections("tcp")
            if one.raddr and one.raddr.ip == "127.83.7.1" and one.status == "ESTABLISHED"
        ]
        if not open_now:
            return 0
        time.sleep(0.05)
    return len(open_now)


def test_compression_is_not_negotiated(proxy):
    with socket.create_connection(("127.0.0.1", proxy.port)) as one:
        one.sendall(handshake(proxy.port, "Sec-WebSocket-Extensions: permessage-deflate"))
        one.settimeout(LIMIT_SECONDS)
        head = b""
        while b"\r\n\r\n" not in head:
            head += one.recv(1)
        assert head.startswith(b"HTTP/1.1 101")
        assert b"extensions" not in head.lower()
        one.sendall(b"\xc1\x80" + bytes(4))  # a compressed message all the same
        assert one.recv(4)[2:] == struct.pack("!H", 1002)


@pytest.fixture
def small_messages(server):
    server.web_app.settings[SETTING] = Limits(websocket_message_bytes=MIB)


async def is_closed_inside(browser, before, code):
    """Wait until a socket was closed with a code; those of earlier tests may close meanwhile."""
    for _ in range(200):
        async with browser.request("GET", "state") as answer:
            closed = (await answer.json())["closed"][before:]
        if code in closed:
            return True
        await asyncio.sleep(0.02)
    raise AssertionError(f"the workspace's side was not closed with {code}: {closed}")


async def how_many(browser):
    async with browser.request("GET", "state") as answer:
        return len((await answer.json())["closed"])


@pytest.mark.parametrize("sender", ["workspace", "browser", "browser in fragments"])
async def test_a_message_above_the_bound_closes_both_sides(browser, small_messages, sender, caplog):
    before = await how_many(browser)
    async with browser.socket() as one:
        await one.send_str("x" * MIB)
        assert len((await one.receive(10)).data) == MIB
        if sender == "workspace":
            await one.send_str(f"send {MIB + 1}")
        elif sender == "browser":
            await one.send_bytes(bytes(MIB + 1))
        else:
            for number in range(17):
                one._writer.transport.write(masked(bytes(2**16), 0x02 if number == 0 else 0x00))
        last = await one.receive(10)
        while sender == "browser in fragments" and last.type is aiohttp.WSMsgType.BINARY:
            last = await one.receive(10)
        assert (last.type, last.data) == (aiohttp.WSMsgType.CLOSE, 1009)
        assert last.extra == "A message is larger than 1 MiB."
    assert await is_closed_inside(browser, before, 1009)
    assert len([line for line in caplog.messages if "WebSocket of" in line]) == 1


async def test_the_server_may_ping_a_browser_of_a_silent_workspace(browser, server):
    server.web_app.settings["websocket_ping_interval"] = 0.1
    async with browser.socket(autoping=False) as one:
        assert (await one.receive(10)).type is aiohttp.WSMsgType.PING


def masked(payload, opcode=0x82):
    return struct.pack("!BBQ", opcode, 0xFF, len(payload)) + bytes(4) + payload


@pytest.mark.parametrize("seed", range(5))
def test_pieces_of_any_size_pass_as_they_are(seed):
    choose = random.Random(seed)
    stream = b"".join(
        (
            masked(bytes(choose.choice((0, 1, 125, 126, 70_000)))),
            frame(0x9, b"?", masked=True),
            text("y"),
        )[choose.randrange(3)]
        for _ in range(50)
    )
    stream += close_frame(Violation(1000, "bye"), masked=True)
    frames, passed, rest = FrameChecker(masked=True, longest=MIB), b"", stream
    while rest:
        size = choose.choice((1, 2, 3, 14, 1000, 65_536))
        passed += frames.feed(rest[:size])
        rest = rest[size:]
    assert passed == stream
    assert frames.closed
    assert frames.violation is None


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (bytes((0x82, 0x01, 0x00)), 1002),  # not masked
        (bytes((0xC2, 0x80, 0, 0, 0, 0)), 1002),  # a bit of an extension
        (bytes((0x83, 0x80, 0, 0, 0, 0)), 1002),  # an opcode that is reserved
        (bytes((0x09, 0x80, 0, 0, 0, 0)), 1002),  # a fragmented ping
        (bytes((0x89, 0xFE, 0, 126, 0, 0, 0, 0)), 1002),  # a long ping
        (struct.pack("!BBQ", 0x82, 0xFF, MIB + 1) + bytes(4), 1009),
        (struct.pack("!BBQ", 0x82, 0xFF, 2**63) + bytes(4), 1009),
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_nothing_of_a_bad_frame_passes(bad, code, size):
    good = text("good")
    frames, stream, passed = FrameChecker(masked=True, longest=MIB), good + bad + text("later"), b""
    for start in range(0, len(stream), size):
        if frames.violation is None:
            passed += frames.feed(stream[start : start + size])
    assert passed == good
    assert frames.violation.code == code
    assert frames.between
