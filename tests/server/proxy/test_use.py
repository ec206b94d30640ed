"""A request that is under way is use of the server, and what a task of the proxy raises is told."""

from __future__ import annotations

import asyncio
import logging

import pytest
from waiting import until

from jupyter_workspaces.server.proxy.upstreams import in_use, upstreams


@pytest.mark.parametrize("rest", ["endless", f"download?bytes={2**33}"])
async def test_a_transfer_that_is_under_way_is_use(browser, server, rest):
    settings = server.web_app.settings
    assert not in_use(settings)
    async with browser.request("GET", rest) as answer:
        await answer.content.readany()
        assert in_use(settings)
        answer.close()
    await until(lambda: not in_use(settings))


async def test_an_upload_that_is_under_way_is_use(browser, server):
    settings, found = server.web_app.settings, []

    async def body():
        for _ in range(5):
            yield b"x" * 1000
            await asyncio.sleep(0.05)
            found.append(in_use(settings))

    async with browser.request("POST", "x", data=body()) as answer:
        await answer.read()
    assert found[-1]
    await until(lambda: not in_use(settings))


async def test_what_an_exchange_raises_is_told_without_its_text(
    browser, server, monkeypatch, caplog
):
    from jupyter_workspaces.server.proxy.handlers.http import HttpHandler

    async def raises(self, target):
        raise KeyError("a secret")

    monkeypatch.setattr(HttpHandler, "_transfer", raises)
    async with browser.request("GET", "x") as answer:
        assert answer.status == 500
    told = [
        record
        for record in caplog.records
        if record.levelno == logging.ERROR and "connect /workspace" in record.getMessage()
    ]
    assert len(told) == 1
    assert "a secret" not in told[0].getMessage()
    assert upstreams(server.web_app.settings)._transfers.lost == 1


async def test_a_refusal_is_an_answer_and_no_failure(browser, server, view, caplog):
    view.cluster.tokens.clear()
    async with browser.request("GET", "x") as answer:
        assert answer.status == 502
    assert upstreams(server.web_app.settings)._transfers.lost == 0
