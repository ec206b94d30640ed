"""Open workspaces keep working while the cluster does not answer, and errors name their cause."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import time

import pytest

from jupyter_workspaces.kube.catalog import SECRETS
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import Endpoint
from jupyter_workspaces.kube.errors import Unreachable
from jupyter_workspaces.server import answer_cache
from jupyter_workspaces.server.proxy import tokens
from jupyter_workspaces.server.proxy.handlers import access, base

from .api_process import ADMIN, NOBODY, ensure_secret
from .processes import running

STATUS = "workspace/status/team-a/small/web"
INNER = "token the-token-of-the-workspace"


def client(port, token=ADMIN):
    async def bearer():
        return token

    return Cluster(
        Endpoint(f"http://127.0.0.1:{port}", "local cluster", None, bearer, embedded=True)
    )


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running("api_process.py", str(tmp_path_factory.mktemp("api"))) as process:
        yield process


@pytest.fixture
def cluster(api, view, jp_asyncio_loop):
    """A view whose Secrets come from the process."""
    view.cluster = made = client(api.port)
    jp_asyncio_loop.run_until_complete(ensure_secret(made))
    yield made
    api.go_on()
    jp_asyncio_loop.run_until_complete(made.close())


async def get(browser, rest="x", **headers):
    begun = time.monotonic()
    async with browser.request("GET", rest, headers={**browser.signed, **headers}) as answer:
        return (
            answer.status,
            answer.headers,
            (await answer.read()).decode(),
            time.monotonic() - begun,
        )


@pytest.fixture
def always_stale(monkeypatch):
    """Read a token again for each request, as after its 30 s."""
    monkeypatch.setattr(tokens, "_LIFETIME", answer_cache.Lifetime(0, math.inf))


async def test_a_known_token_is_used_while_the_cluster_is_silent(
    browser, api, cluster, always_stale
):
    assert (await get(browser))[0] == 200
    api.stop()

    took = []
    for _ in range(20):
        status, _, text, seconds = await get(browser)
        took.append(seconds)
        assert status == 200
        assert dict(json.loads(text)["headers"])["Authorization"] == INNER

    assert (
        sum(took) < 4 * answer_cache.PATIENCE_SECONDS
    )  # waits for a newer one until the first read has failed, and no longer
    started = time.monotonic()
    answers = await asyncio.gather(*(get(browser) for _ in range(20)))
    assert {answer[0] for answer in answers} == {200}
    assert time.monotonic() - started < 2 * answer_cache.PATIENCE_SECONDS


async def test_reads_that_failed_are_not_waited_for_again(
    browser, api, cluster, always_stale, monkeypatch
):
    monkeypatch.setattr(answer_cache, "READ_SECONDS", 0.2)
    await get(browser)
    api.stop()
    await get(browser)

    for _ in range(5):
        assert (await get(browser))[3] < 0.5


@pytest.mark.slow
async def test_a_token_that_nobody_knows_is_waited_for_a_moment_and_the_page_goes_on(
    browser, api, cluster, monkeypatch
):
    monkeypatch.setattr(answer_cache, "FIRST_SECONDS", 5)
    api.stop()

    status, headers, text, seconds = await get(browser, Accept="text/html")
    assert (status, headers["Retry-After"]) == (503, "2")
    assert seconds < 8
    assert "small is waiting for its cluster" in text
    assert "The cluster does not answer" in text
    async with browser.request("GET", path=STATUS) as answer:
        told = json.loads(await answer.read())
    assert (told["state"], told["ready"]) == ("cluster", False)

    api.go_on()
    for _ in range(100):
        async with browser.request("GET", path=STATUS) as answer:
            if json.loads(await answer.read())["ready"]:
                break
    assert (await get(browser))[0] == 200


async def test_a_websocket_opens_while_the_cluster_is_silent(browser, api, cluster, always_stale):
    await get(browser)
    api.stop()
    async with browser.socket() as socket:
        await socket.send_str("x")
        assert (await socket.receive(5)).data == "x"


async def test_a_right_that_is_missing_is_named(browser, api, view, cluster):
    view.cluster = client(api.port, NOBODY)
    try:
        status, _, text, _ = await get(browser)
        page = await get(browser, Accept="text/html")
    finally:
        await view.cluster.close()
    assert status == 502
    assert json.loads(text)["reason"] == "MayNotReadToken"
    assert "may not get Secret 'small-token' in namespace 'team-a'" in json.loads(text)["message"]
    assert "small cannot be opened" in page[2]
    assert "<form" not in page[2]


async def test_a_secret_that_is_missing_is_named_and_a_restart_offered(browser, cluster):
    await cluster.delete(SECRETS, "small-token", "team-a")

    status, _, text, _ = await get(browser)
    page = (await get(browser, Accept="text/html"))[2]

    assert status == 502
    assert json.loads(text)["reason"] == "NoToken"
    assert "Restart the workspace" in json.loads(text)["message"]
    assert 'value="restart"' in page


@pytest.mark.parametrize(
    "value", [None, "", "/////w==", base64.b64encode(b"x\r\nX-Evil: 1").decode()]
)
async def test_a_secret_without_a_token_in_it_is_no_token(browser, view, value):
    whole = view.cluster.get

    async def secret(*asked):
        return await whole(*asked) | {"data": {"token": value} if value is not None else {}}

    view.cluster.get = secret
    status, _, text, _ = await get(browser)
    assert (status, json.loads(text)["reason"]) == (502, "NoToken")


async def test_a_right_or_a_secret_that_is_taken_away_ends_the_use_of_a_known_token(
    browser, cluster, always_stale
):
    assert (await get(browser))[0] == 200
    await cluster.delete(SECRETS, "small-token", "team-a")
    assert (await get(browser))[0] == 502


class Broken:
    """An API server that fails in one way."""

    def __init__(self, how):
        self.how = how

    async def __call__(self, reader, writer):
        try:
            await reader.readuntil(b"\r\n\r\n")
            if self.how.isdecimal():
                writer.write(f"HTTP/1.1 {self.how} Bad\r\nContent-Length: 4\r\n\r\nno.\n".encode())
            elif self.how == "hangs":
                writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"da')
                await writer.drain()
                await reader.read()
            elif self.how == "not json":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
            elif self.how == "not http":
                writer.write(b"220 mail.example ESMTP\r\n")
            elif self.how == "resets":
                writer.transport.abort()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@pytest.mark.parametrize(
    "how", ["500", "503", "429", "401", "hangs", "not json", "not http", "resets", "refuses"]
)
async def test_a_known_token_is_used_however_the_cluster_fails(browser, view, always_stale, how):
    assert (await get(browser))[0] == 200
    server = await asyncio.start_server(Broken(how), "127.0.0.1", 0)
    view.cluster = client(server.sockets[0].getsockname()[1])
    if how == "refuses":
        server.close()
    try:
        for _ in range(3):
            status, _, _, seconds = await get(browser)
            assert status == 200
            assert seconds < 2 * answer_cache.PATIENCE_SECONDS
    finally:
        server.close()
        await view.cluster.close()


async def test_many_first_requests_read_the_secret_once(browser, view):
    reading, get_secret = asyncio.Event(), view.cluster.get

    async def slow(*arguments):
        await reading.wait()
        return await get_secret(*arguments)

    view.cluster.get = slow
    requests = [asyncio.ensure_future(get(browser)) for _ in range(20)]
    asyncio.get_running_loop().call_later(0.3, reading.set)
    assert {answer[0] for answer in await asyncio.gather(*requests)} == {200}
    assert view.cluster.asked == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_refusals_of_the_program_do_not_read_the_secret_each_time(browser, view, status):
    await get(browser)
    for _ in range(3):
        answers = await asyncio.gather(*(get(browser, f"names?status={status}") for _ in range(10)))
        assert {answer[0] for answer in answers} == {status}
    assert view.cluster.asked == 2


async def test_a_token_leaves_memory_with_its_workspace(browser, view, server):
    await get(browser)
    known = server.web_app.settings["jupyter_workspaces_connect"]._tokens
    assert len(known) == 1

    view.delete()

    assert len(known) == 0


async def test_a_token_of_another_cluster_is_not_used(browser, view, server, upstream):
    from .conftest import View

    await get(browser)
    other = View(upstream)
    other.cluster.tokens["small-token"] = "another-token"
    server.web_app.settings["jupyter_workspaces"].ready = other.ready
    arrived = json.loads((await get(browser))[2])
    assert dict(arrived["headers"])["Authorization"] == "token another-token"
    assert view.listeners == []


async def test_steps_that_do_not_come_do_not_hold_the_page_back(browser, view, monkeypatch):
    async def progress(namespace, name):
        await asyncio.Event().wait()

    monkeypatch.setattr(base, "STEPS_SECONDS", 0.2)
    view.unready()
    view.progress = progress
    status, _, text, seconds = await get(browser, Accept="text/html")
    assert status == 503
    assert "small is starting" in text
    assert seconds < 2


async def test_a_namespace_that_does_not_come_does_not_hold_the_page_back(
    browser, view, monkeypatch
):
    async def reach(namespace):
        await asyncio.Event().wait()

    monkeypatch.setattr(access, "CLUSTER_SECONDS", 0.2)
    view.reach = reach
    status, _, text, seconds = await get(browser, Accept="text/html")
    assert status == 503
    assert "small is waiting for its cluster" in text
    assert seconds < 2


async def test_an_action_that_is_not_answered_is_said_to_be_uncertain(browser, view):
    async def restart(namespace, name):
        raise Unreachable("local cluster does not answer")

    view.restart = restart
    async with browser.request("POST", path=STATUS, data={"action": "restart"}) as answer:
        assert answer.status == 503
        assert (
            "unknown whether workspace 'small' will restart"
            in json.loads(await answer.read())["message"]
        )
