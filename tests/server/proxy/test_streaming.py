"""Requests and answers pass unchanged, as they come, however large, and end together."""

from __future__ import annotations

import asyncio
import hashlib
import json

import aiohttp
import psutil
import pytest

from jupyter_workspaces.common.timeouts import timeout

from .conftest import at_both_bases

LARGE = 300 * 2**20


async def told(answer):
    return json.loads(await answer.read())


@at_both_bases
async def test_a_request_arrives_as_it_was_sent(browser):
    async with browser.request(
        "PUT",
        "a%20b/%2Fc/../d;e?x=%26&y&z=ü",
        data=b"body",
        headers={**browser.signed, "X-Own": "1"},
    ) as answer:
        arrived = await told(answer)

    assert arrived["method"] == "PUT"
    assert (
        arrived["target"]
        == "/workspace/connect/team-a/small/web/a%20b/%2Fc/../d;e?x=%26&y&z=%C3%BC"
    )
    assert arrived["length"] == 4
    assert ["X-Own", "1"] in arrived["headers"]


@at_both_bases
async def test_the_server_and_its_base_are_told_honestly(browser):
    forged = {
        **browser.signed,
        "X-Forwarded-For": "6.6.6.6",
        "Forwarded": "for=6.6.6.6",
        "X-Forwarded-Prefix": "/evil",
    }
    async with browser.request("GET", "x", headers=forged) as answer:
        headers = dict((await told(answer))["headers"])

    assert headers["X-Forwarded-For"] == "127.0.0.1"
    assert headers["X-Forwarded-Host"] == browser.host
    assert headers["X-Forwarded-Proto"] == "http"
    assert headers.get("X-Forwarded-Prefix", "") == browser.base[:-1]
    assert "Forwarded" not in headers
    assert headers["Host"] == browser.host


@pytest.mark.parametrize("status", [200, 204, 304, 404, 418, 500])
async def test_status_and_headers_come_back_without_those_of_the_hop(browser, status):
    async with browser.request("GET", f"names?status={status}") as answer:
        assert answer.status == status
        assert answer.headers["X-Name"] == "Grüße"
        assert answer.headers["Service-Worker-Allowed"] == browser.url().raw_path
        assert answer.headers["Content-Security-Policy"] == "default-src 'self'"
        assert "X-Hop" not in answer.headers
        assert len(answer.headers.getall("Server", [])) <= 1


async def test_head_has_the_length_and_no_body(browser):
    async with browser.request("HEAD", "download?bytes=1000") as answer:
        assert answer.headers["Content-Length"] == "1000"
        assert await answer.read() == b""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["", "&chunked"])
async def test_a_large_download_streams_with_flat_memory(browser, kind):
    process, peak, length = psutil.Process(), 0, 0
    before = process.memory_info().rss

    async with browser.request("GET", f"download?bytes={LARGE}{kind}") as answer:
        async for chunk in answer.content.iter_any():
            length += len(chunk)
            peak = max(peak, process.memory_info().rss)

    assert length == LARGE
    assert peak - before < 40 * 2**20


@pytest.mark.slow
@pytest.mark.parametrize("sized", [True, False])
async def test_a_large_upload_streams_with_flat_memory(browser, sized):
    process, peak, digest = psutil.Process(), 0, hashlib.sha256()
    before = process.memory_info().rss

    async def body():
        nonlocal peak
        for piece in range(LARGE // 2**18):
            chunk = piece.to_bytes(4, "big") * 2**16
            digest.update(chunk)
            peak = max(peak, process.memory_info().rss)
            yield chunk

    length = {"Content-Length": str(LARGE)} if sized else {}
    async with browser.request(
        "POST", "upload", data=body(), headers={**browser.signed, **length}
    ) as answer:
        arrived = await told(answer)

    assert arrived["length"] == LARGE
    assert arrived["sha256"] == digest.hexdigest()
    assert peak - before < 40 * 2**20


async def test_a_reader_that_stops_reading_stops_the_workspace(browser):
    process = psutil.Process()
    before = process.memory_info().rss

    async with browser.request("GET", f"download?bytes={2**33}") as answer:
        await answer.content.readany()
        await asyncio.sleep(1)  # what could pile up has time to
        assert process.memory_info().rss - before < 40 * 2**20


async def test_events_come_while_the_stream_is_open(browser):
    async with browser.request("GET", "events") as answer:
        async with timeout(5):
            assert await answer.content.readuntil(b"\n\n") == b"data: first\n\n"
        async with browser.request("POST", "go", headers=browser.signed):
            pass
        async with timeout(5):
            assert await answer.content.readuntil(b"\n\n") == b"data: second\n\n"


async def test_a_browser_that_goes_away_ends_the_request_inside(browser):
    async def state():
        async with browser.request("GET", "state") as answer:
            return (await told(answer))["cancelled"]

    before = await state()
    async with browser.request("GET", "endless") as answer:
        await answer.content.readany()
        answer.close()

    for _ in range(100):
        if await state() == before + 1:
            return
        await asyncio.sleep(0.05)
    pytest.fail("the workspace still writes")


async def test_an_answer_that_breaks_off_is_not_taken_for_whole(browser):
    async with browser.request("GET", "breaks") as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_an_answer_before_the_end_of_the_upload_comes_through(browser):
    async def body():
        for _ in range(2000):
            yield bytes(2**16)

    async def answered():
        async with browser.request("POST", "refuses", data=body()) as answer:
            return answer.status, await answer.read()

    async with timeout(20):
        assert await answered() == (413, b"too large")


async def test_only_the_workspace_decides_how_large_an_upload_is(browser, http_server):
    http_server.conn_params.max_body_size = 1000

    async with browser.request("POST", "upload", data=bytes(100_000)) as answer:
        assert (await told(answer))["length"] == 100_000

    async with browser.request("POST", path="api/contents", data=bytes(100_000)) as answer:
        assert answer.status in (400, 413)
