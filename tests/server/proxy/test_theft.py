"""Another user of this computer who listens at a workspace's address gets no request or token."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import aiohttp
import pytest
from thief import Thief, as_root, thief

from .conftest import ADDRESS, PORT

STATUS = "workspace/status/team-a/small/web"
WORDS = "Another user's program listens at this workspace's address."

pytestmark = as_root


@pytest.fixture
def other(view) -> Iterator[Thief]:
    """Listen at the pod's address as another user."""
    with thief(ADDRESS) as found:
        view.pod["metadata"]["annotations"][f"jupyter-workspaces/local-port.{PORT}"] = str(
            found.port
        )
        yield found


async def nothing_came(other: Thief) -> None:
    count, taken = await asyncio.to_thread(other.stop)
    assert count >= 1
    assert taken == b""


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_request_is_refused_in_words(browser, other, method):
    async with browser.request(
        method, "api/x", data=b"a secret" if method == "POST" else None
    ) as answer:
        assert answer.status == 503
        assert WORDS in json.loads(await answer.read())["message"]

    await nothing_came(other)


async def test_the_page_offers_to_restart(browser, other):
    async with browser.request(
        "GET", "lab", headers={**browser.signed, "Accept": "text/html"}
    ) as answer:
        text = (await answer.read()).decode()

    assert "small needs attention" in text
    assert "Another user&#x27;s program listens" in text
    assert 'value="restart"' in text
    await nothing_came(other)


async def test_the_status_says_the_same(browser, other):
    async with browser.request("GET", path=STATUS) as answer:
        status = json.loads(await answer.read())

    assert (status["ready"], status["state"]) == (False, "failed")
    assert WORDS in status["message"]
    await nothing_came(other)


async def test_a_websocket_is_refused(browser, other):
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with browser.socket():
            pass

    assert refused.value.status == 503
    await nothing_came(other)
