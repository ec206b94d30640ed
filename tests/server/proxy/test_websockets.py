"""WebSockets keep subprotocols, message types, pings and close codes, with back-pressure."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import psutil
import pytest

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.server.proxy.upstreams import in_use

ENDS = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING)


async def receive(socket):
    async with timeout(10):
        return await socket.receive()


async def test_text_and_bytes_come_back_as_they_were(browser):
    async with browser.socket() as socket:
        await socket.send_str("grüß dich")
        assert (await receive(socket)).data == "grüß dich"
        await socket.send_bytes(b"\x00\xff")
        assert (await receive(socket)).data == b"\x00\xff"


async def test_a_message_of_40_mb_passes(browser):
    async with browser.socket(max_msg_size=2**28) as socket:
        await socket.send_bytes(bytes(40 * 2**20))
        assert len((await receive(socket)).data) == 40 * 2**20


async def test_the_workspace_chooses_the_subprotocol(browser):
    async with browser.socket(protocols=("one", "three")) as socket:
        assert socket.protocol == "one"


async def test_no_subprotocol_is_made_up(browser):
    async with browser.socket() as socket:
        assert socket.protocol is None


async def test_the_origin_is_the_workspaces_own_and_the_token_is_exchanged(browser):
    async with browser.socket(
        headers={"Cookie": await browser.cookie(), "Origin": browser.origin}
    ) as socket:
        await socket.send_str("headers")
        headers = json.loads((await receive(socket)).data)

    assert headers["Origin"] == f"http://{headers['Host']}"
    assert headers["Authorization"] == "token the-token-of-the-workspace"
    assert "Cookie" not in headers


async def test_a_ping_of_the_workspace_is_answered_by_the_browser(browser):
    async with browser.socket(autoping=False) as socket:
        await socket.send_str("ping")
        asked = await receive(socket)
        assert (asked.type, bytes(asked.data)) == (aiohttp.WSMsgType.PING, b"are you there")
        await socket.pong(asked.data)
        assert (await receive(socket)).data == "pong are you there"


@pytest.mark.parametrize("code", [1000, 1001, 1008, 4001])
async def test_the_workspaces_close_code_reaches_the_browser(browser, code):
    async with browser.socket() as socket:
        await socket.send_str(f"close {code}")
        ended = await receive(socket)
        assert (ended.type, ended.data, ended.extra) == (aiohttp.WSMsgType.CLOSE, code, "said so")


@pytest.mark.parametrize("code", [1000, 4002])
async def test_the_browsers_close_code_reaches_the_workspace(browser, code):
    async with browser.request("GET", "state") as answer:
        before = len(json.loads(await answer.read())["closed"])
    async with browser.socket() as socket:
        await socket.close(code=code)

    for _ in range(100):
        async with browser.request("GET", "state") as answer:
            closed = json.loads(await answer.read())["closed"]
        if len(closed) > before:
            break
        await asyncio.sleep(0.05)
    assert closed[-1] == code


async def test_a_workspace_that_breaks_off_closes_the_browsers_side(browser):
    async with browser.socket() as socket:
        await socket.send_str("abort")
        ended = await receive(socket)
        assert (ended.type, ended.data) == (aiohttp.WSMsgType.CLOSE, 1011)


async def test_a_browser_that_does_not_read_holds_the_workspace_back(browser):
    process = psutil.Process()
    async with browser.socket() as socket:
        before = process.memory_info().rss
        await socket.send_str("flood")  # 128 MB
        await asyncio.sleep(1)  # what could pile up has time to
        assert process.memory_info().rss - before < 40 * 2**20
        for _ in range(2000):
            assert len((await receive(socket)).data) == 2**16


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_a_page_of_another_site_gets_no_socket(browser, headers):
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await browser.socket(headers={"Cookie": await browser.cookie(), **headers})
    assert refused.value.status == 403


async def test_nobody_gets_a_socket_without_signing_in(browser):
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await browser.socket(headers={"Origin": browser.origin})
    assert refused.value.status == 403


async def test_a_refusal_of_the_workspace_is_the_answer(browser):
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await browser.socket("no-socket")
    assert refused.value.status == 404


async def test_a_paused_workspace_refuses_the_socket(browser, view):
    view.paused()
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await browser.socket()
    assert refused.value.status == 503


async def test_an_open_socket_is_use_of_the_server(browser, jp_serverapp):
    settings = jp_serverapp.web_app.settings
    assert not in_use(settings)
    async with browser.socket() as socket:
        await socket.send_str("x")
        await receive(socket)
        assert in_use(settings)
        await socket.close()
    for _ in range(100):
        if not in_use(settings):
            return
        await asyncio.sleep(0.05)
    pytest.fail("the socket still counts")
