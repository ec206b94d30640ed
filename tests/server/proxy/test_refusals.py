"""Clients of an unavailable workspace are delayed, and do not fill the log."""

from __future__ import annotations

import asyncio
import json
import time

import aiohttp
import pytest
from waiting import until

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.server.proxy import rate_limits
from jupyter_workspaces.server.proxy.handlers import base
from jupyter_workspaces.server.proxy.rate_limits import (
    FREE,
    LINES,
    LINES_SECONDS,
    LONGEST,
    SECONDS,
    WAITING,
    ErrorDelays,
    LogLimit,
)
from jupyter_workspaces.server.proxy.upstreams import upstreams

POLLED_SECONDS = 1.5
STATUS = "workspace/status/team-a/small/web"


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def test_a_client_that_asks_at_once_again_gets_one_refusal_in_two_seconds():
    clock = Clock()
    counted, asked, end = ErrorDelays(clock), 0, clock.now + 600
    while clock.now < end:
        clock.now += counted.delay("tab") + 0.001
        asked += 1
    assert asked < FREE + 600 / SECONDS + 2


def test_many_requests_at_once_wait_long_but_not_for_ever():
    counted = ErrorDelays(Clock())
    waits = [counted.delay("tab") for _ in range(100)]
    assert waits[:FREE] == [0.0] * FREE
    assert max(waits) == LONGEST


def test_a_client_that_asks_rarely_never_waits_and_clients_do_not_wait_for_each_other():
    clock = Clock()
    counted = ErrorDelays(clock)
    for _ in range(100):
        assert counted.delay("slow") == 0.0
        clock.now += SECONDS
    for _ in range(50):
        counted.delay("fast")
    assert counted.delay("slow") == 0.0


def test_what_is_kept_of_clients_and_lines_is_bounded():
    counted, lines = ErrorDelays(Clock()), LogLimit(Clock())
    for number in range(rate_limits.KEYS * 2):
        counted.delay(number)
        lines.count(number)
    assert len(counted._due) == len(lines._windows) == rate_limits.KEYS
    counted.waiting = WAITING
    assert [counted.delay("one more") for _ in range(50)] == [0.0] * 50


def test_of_equal_lines_the_first_few_of_a_minute_are_written_and_the_others_counted():
    clock = Clock()
    repeats = LogLimit(clock)
    assert [repeats.count("a")[0] for _ in range(LINES + 10)] == [True] * LINES + [False] * 10
    assert repeats.count("b") == (True, 0)
    clock.now += LINES_SECONDS + 1
    assert repeats.count("a") == (True, 10)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_request_to_a_workspace_that_is_gone_is_410_and_a_page_is_404(
    browser, view, method
):
    view.there = None
    async with browser.request(method, "api/contents") as answer:
        assert answer.status == 410
        told = json.loads(await answer.read())
    assert told == {
        "message": "small: Workspace 'small' not found in namespace 'team-a'. "
        "It may have been deleted.",
        "reason": "Gone",
    }
    async with browser.request(
        "GET", "lab", headers={**browser.signed, "Accept": "text/html"}
    ) as answer:
        assert answer.status == 404
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await browser.socket()
    assert refused.value.status == 410


@pytest.mark.parametrize("state", ["paused", "unready"])
async def test_a_request_to_a_workspace_that_may_come_back_says_when_to_ask_again(
    browser, view, state
):
    getattr(view, state)()
    async with browser.request("GET", "api/contents") as answer:
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) >= 2


@pytest.fixture
def quick(monkeypatch):
    """Shorten the delays."""
    monkeypatch.setattr(rate_limits, "SECONDS", 0.4)
    monkeypatch.setattr(base, "RECHECK_SECONDS", 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("state", ["delete", "paused", "unready"])
async def test_tabs_that_never_pause_are_slowed_down(browser, view, quick, state):
    getattr(view, state)()
    asked = 0

    async def poll():
        nonlocal asked
        while time.monotonic() < end:
            async with browser.request("GET", "api/contents") as answer:
                assert answer.status in (410, 503)
            asked += 1

    async def reconnect():
        nonlocal asked
        while time.monotonic() < end:
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await browser.socket()
            asked += 1

    end = time.monotonic() + POLLED_SECONDS
    await asyncio.gather(poll(), poll(), reconnect())
    assert asked < FREE + POLLED_SECONDS / 0.4 + 6


async def test_a_request_that_waits_is_answered_as_soon_as_the_workspace_is_back(
    browser, server, view, monkeypatch
):
    refused = upstreams(server.web_app.settings).error_delays
    monkeypatch.setattr(rate_limits, "SECONDS", 60.0)
    monkeypatch.setattr(rate_limits, "LONGEST", 60.0)
    there, view.there = view.there, None
    for _ in range(FREE):
        async with browser.request("GET", "x") as answer:
            assert answer.status == 410

    async def status():
        async with browser.request("GET", "x") as answer:
            return answer.status

    waiting = asyncio.create_task(status())
    await until(lambda: refused.waiting == 1, "the request to wait")
    view.there = there
    async with timeout(30):
        assert await waiting == 200


async def test_the_page_and_its_status_are_never_slowed_down(browser, server, view, monkeypatch):
    slowed_down = []
    monkeypatch.setattr(
        upstreams(server.web_app.settings).error_delays,
        "delay",
        lambda client: slowed_down.append(client) or 0.0,
    )
    view.paused()
    for _ in range(2 * FREE):
        async with browser.request("GET", path=STATUS) as answer:
            assert answer.status == 200
        async with browser.request(
            "GET", "lab", headers={**browser.signed, "Accept": "text/html"}
        ) as answer:
            assert answer.status == 503
    assert slowed_down == []
    async with browser.request("GET", "x"):
        pass
    assert len(slowed_down) == 1  # as another request is


async def test_a_client_that_goes_away_while_it_waits_is_no_fault(browser, server, view, caplog):
    refused = upstreams(server.web_app.settings).error_delays
    view.there = None
    for _ in range(FREE):
        async with browser.request("GET", "x"):
            pass
    waiting = asyncio.create_task(browser.request("GET", "x").__aenter__())
    await until(lambda: refused.waiting == 1, "the request to wait")
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await until(lambda: refused.waiting == 0, "the end of its wait")
    async with browser.request(
        "GET", "x", headers={**browser.signed, "Accept": "text/html"}
    ) as answer:
        assert answer.status == 404  # what the server had to do for the other request is done
    assert [record for record in caplog.records if record.exc_info] == []


async def test_the_log_of_requests_that_fail_alike_is_short(browser, view, caplog, monkeypatch):
    monkeypatch.setattr(rate_limits, "SECONDS", 0.0)
    view.there = None
    for number in range(50):
        async with browser.request("GET", f"api/contents/{number}?content=1"):
            pass
    lines = [record for record in caplog.records if "410 GET" in record.getMessage()]
    assert len(lines) == LINES


async def test_the_log_of_one_address_of_a_program_that_fails_is_short_and_others_are_logged(
    browser, caplog
):
    for number in range(3 * LINES):
        async with browser.request("GET", f"names?status=418&{number}"):
            pass
    async with browser.request("GET", "sub/names?status=418"):
        pass
    async with browser.request("GET", "names?status=500"):
        pass
    messages = [record.getMessage() for record in caplog.records]
    assert len([line for line in messages if line.startswith("418 GET")]) == LINES + 1
    assert len([line for line in messages if line.startswith("500 GET")]) == 1
