"""A stopped program accepts requests and does not respond: timeouts, and the page about it."""

from __future__ import annotations

import asyncio
import json
import time

import aiohttp
import pytest
from waiting import until

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.server.proxy.handlers import http, websocket
from jupyter_workspaces.server.proxy.limits import PROBE_SECONDS, SETTING, Limits
from jupyter_workspaces.server.proxy.target import WorkspacePort
from jupyter_workspaces.server.proxy.transfer.body_stream import BodyStream
from jupyter_workspaces.server.proxy.transfer.response_wait import (
    PageTimeouts,
    ResponseTimeout,
    wait_for_head,
)

from .conftest import ADDRESS, View
from .processes import running

pytestmark = pytest.mark.slow  # nearly every test waits for seconds

STATUS = "workspace/status/team-a/small/web?probe=1"
PAGE_SECONDS, RESPONSE_SECONDS = 0.5, 3.0


@pytest.fixture
def program():
    with running("upstream.py", ADDRESS) as process:
        yield process


@pytest.fixture
def view(program):
    return View(program.port)


@pytest.fixture
def browser(server, browser):
    server.web_app.settings[SETTING] = Limits(PAGE_SECONDS, RESPONSE_SECONDS)
    return browser


async def get(browser, rest="lab", **headers):
    begun = time.monotonic()
    async with browser.request("GET", rest, headers={**browser.signed, **headers}) as answer:
        return (
            answer.status,
            answer.headers,
            (await answer.read()).decode(),
            time.monotonic() - begun,
        )


async def status(browser):
    async with browser.request("GET", path=STATUS) as answer:
        return json.loads(await answer.read())


async def test_a_page_says_so_and_goes_on_when_the_program_does(browser, program):
    assert (await get(browser, Accept="text/html"))[0] == 200
    program.stop()

    code, headers, text, seconds = await get(browser, Accept="text/html")
    assert (code, headers["Retry-After"]) == (504, "2")
    assert seconds < PAGE_SECONDS + PROBE_SECONDS + 1
    assert "small does not answer" in text
    assert "It may be busy or stopped" in text
    assert "Try again" in text
    assert 'value="restart"' in text
    assert "team-a/small/web?probe=1" in text
    told = await status(browser)
    assert (told["state"], told["ready"]) == ("silent", False)

    program.go_on()
    assert (await status(browser))["ready"] is True
    assert (await get(browser, Accept="text/html"))[0] == 200


async def test_other_requests_wait_longer_and_get_json(browser, program):
    program.stop()
    code, _, text, seconds = await get(browser, "api/x")
    assert code == 504
    assert RESPONSE_SECONDS - 0.1 < seconds < RESPONSE_SECONDS + 2
    assert json.loads(text)["reason"] == "NoAnswer"


async def test_an_upload_that_is_not_taken_ends(browser, program, monkeypatch):
    monkeypatch.setattr(http, "DRAIN_SECONDS", 0.5)
    program.stop()

    async def endless():
        while True:
            yield bytes(2**16)

    async def upload():
        try:
            async with browser.request("POST", "upload", data=endless()) as answer:
                assert answer.status == 504
        except aiohttp.ClientError:  # the connection is closed under what is still being sent
            return

    async with timeout(RESPONSE_SECONDS + 20):
        await upload()


async def test_a_websocket_handshake_has_a_limit(browser, program, monkeypatch):
    monkeypatch.setattr(websocket, "HANDSHAKE_SECONDS", 0.5)
    program.stop()
    begun = time.monotonic()
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await browser.socket()
    assert refused.value.status == 504
    assert time.monotonic() - begun < 3


async def test_a_browser_that_leaves_during_the_handshake_leaves_nothing_behind(
    browser, program, server, caplog
):
    program.stop()
    port = int(browser.host.rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = (
        f"GET {browser.url('socket').raw_path} HTTP/1.1",
        f"Host: {browser.host}",
        f"Authorization: token {browser.token}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    )
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    await until(lambda: program.connections() == 1, "the handshake to reach the program")
    writer.close()
    program.go_on()

    await until(lambda: program.connections() == 0, "the connection to the program to end")
    await until(
        lambda: server.web_app.settings["jupyter_workspaces_connect"].sockets == 0,
        "the relay to end",
    )
    assert "Uncaught exception" not in caplog.text


async def test_a_slow_page_of_a_program_that_answers_others_is_waited_for(browser):
    code, _, text, _ = await get(browser, f"slow?seconds={PAGE_SECONDS + 1}", Accept="text/html")
    assert (code, text) == (200, "at last")


async def test_a_page_of_a_program_that_does_one_thing_at_a_time_comes_in_the_end(browser):
    codes = []
    for _ in range(4):
        codes.append(
            (
                await get(
                    browser,
                    f"slow?blocks&seconds={PAGE_SECONDS + PROBE_SECONDS + 0.1}",
                    Accept="text/html",
                )
            )[0]
        )
        if codes[-1] == 200:
            break
        while not (await status(browser))["ready"]:
            pass
    assert codes[0] == 504
    assert codes[-1] == 200


async def test_a_stream_has_no_limit_after_its_head(browser):
    async with browser.request("GET", "events") as answer:
        assert await answer.content.readuntil(b"\n\n") == b"data: first\n\n"
        await asyncio.sleep(RESPONSE_SECONDS + 0.5)  # longer than any head is waited for
        async with browser.request("POST", "go"):
            pass
        assert await answer.content.readuntil(b"\n\n") == b"data: second\n\n"


async def test_time_counts_from_the_end_of_an_upload(browser):
    async def body():
        for _ in range(8):
            yield b"x"
            await asyncio.sleep(RESPONSE_SECONDS / 6)

    async with browser.request("POST", "upload", data=body()) as answer:
        assert json.loads(await answer.read())["length"] == 8


def test_patience_doubles_and_is_forgotten_after_success():
    patience, workspace_port = PageTimeouts(Limits(15, 40)), WorkspacePort("a", "b", "c")
    assert patience.seconds(workspace_port) == 15
    patience.failed(workspace_port)
    assert (patience.seconds(workspace_port), patience.seconds(WorkspacePort("a", "b", "d"))) == (
        30,
        15,
    )
    patience.failed(workspace_port)
    assert patience.seconds(workspace_port) == 40
    patience.succeeded(workspace_port)
    assert patience.seconds(workspace_port) == 15


async def test_a_request_that_is_given_up_is_cancelled():
    ended = []

    async def never():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def dead():
        return False

    with pytest.raises(ResponseTimeout):
        await wait_for_head(never(), 0.05, lambda: float("inf"), dead, 1)
    assert ended == [True]


async def test_a_body_that_waits_for_the_browser_is_not_stalled():
    body = BodyStream()
    taken = body.chunks()
    waiting = asyncio.ensure_future(anext(taken))
    await asyncio.sleep(0)
    assert body.stalled() == 0
    await body.put(b"x")
    assert await waiting == b"x"
    begun = time.monotonic()
    while body.stalled() == 0:
        await asyncio.sleep(0)
        assert time.monotonic() - begun < 5
