"""Workspaces that are reached by port-forwards through the API server."""

from __future__ import annotations

import asyncio
import hashlib
import json

import aiohttp
import psutil
import pytest
from waiting import until

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.errors import Forbidden
from jupyter_workspaces.kube.port_forward import ForwardFailed, forward
from jupyter_workspaces.server.proxy import upstreams

from .conftest import ADDRESS, small_app
from .forwarded_pods import embedded_pod, real_pod

STATUS = "workspace/status/team-a/small/web"
PORT_FORWARD = {"apiGroups": [""], "resources": ["pods/portforward"], "verbs": ["get", "create"]}
READ_SECRETS = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}


@pytest.fixture
def pod(cluster_kind, request, tmp_path, upstream, jp_asyncio_loop):
    real = cluster_kind == "real"
    opening = (
        real_pod(request.getfixturevalue("real_cluster"))
        if real
        else embedded_pod(tmp_path, ADDRESS, upstream)
    )
    found = jp_asyncio_loop.run_until_complete(opening.__aenter__())
    yield found
    jp_asyncio_loop.run_until_complete(opening.__aexit__(None, None, None))


@pytest.fixture
def app(cluster_kind, pod):
    """The small program at the end of the pod's port."""
    if cluster_kind == "embedded":
        yield
        return
    with small_app(pod.address, pod.port):
        yield


@pytest.fixture
def view(view, pod):
    """A view whose workspace's pod is the cluster's."""
    view.cluster = pod.cluster
    view.pod = pod.pod
    return view


async def told(answer):
    return json.loads(await answer.read())


async def test_a_request_and_its_answer_pass(browser, app):
    async with browser.request("PUT", "a%20b/c?x=1", data=b"body") as answer:
        arrived = await told(answer)

    headers = dict(arrived["headers"])
    assert (arrived["method"], arrived["length"]) == ("PUT", 4)
    assert arrived["target"] == "/workspace/connect/team-a/small/web/a%20b/c?x=1"
    assert headers["Host"] == browser.host
    assert headers["Authorization"] == "token the-token-of-the-workspace"


@pytest.mark.parametrize("kind", ["", "&chunked"])
async def test_a_download_is_whole(browser, app, kind):
    async with browser.request("GET", f"download?bytes={20 * 2**20 + 7}{kind}") as answer:
        assert len(await answer.read()) == 20 * 2**20 + 7


async def test_an_upload_is_whole(browser, app):
    data = bytes(range(256)) * 2**15

    async with browser.request("POST", "upload", data=data) as answer:
        arrived = await told(answer)

    assert (arrived["length"], arrived["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())


async def test_a_reader_that_stops_reading_holds_the_workspace_back(browser, app):
    process = psutil.Process()
    before = process.memory_info().rss

    async with browser.request("GET", f"download?bytes={2**33}") as answer:
        await answer.content.readany()
        await asyncio.sleep(1)  # what could pile up has time to
        assert process.memory_info().rss - before < 40 * 2**20


async def test_events_come_while_the_stream_is_open(browser, app):
    async with browser.request("GET", "events") as answer:
        async with timeout(5):
            assert await answer.content.readuntil(b"\n\n") == b"data: first\n\n"
        async with browser.request("POST", "go", headers=browser.signed):
            pass
        async with timeout(5):
            assert await answer.content.readuntil(b"\n\n") == b"data: second\n\n"


async def test_a_websocket_passes_with_its_protocol_and_its_close_code(browser, app):
    async with browser.socket(protocols=["one"]) as socket:
        assert socket.protocol == "one"
        await socket.send_str("hello")
        assert (await socket.receive(5)).data == "hello"
        await socket.send_bytes(bytes(3 * 2**20))
        assert len((await socket.receive(5)).data) == 3 * 2**20
        await socket.send_str("close 4001")
        assert (await socket.receive(5)).data == 4001


async def test_a_browser_that_goes_away_ends_the_request_inside(browser, app):
    async def state():
        async with browser.request("GET", "state") as answer:
            return (await told(answer))["cancelled"]

    before = await state()
    async with browser.request("GET", "endless") as answer:
        await answer.content.readany()
        answer.close()

    async def ended():
        return await state() == before + 1

    await until(ended)


async def test_connections_are_reused(browser, app, monkeypatch):
    from jupyter_workspaces.server.proxy.transfer import port_forward

    opened = []

    async def counted(*arguments):
        opened.append(arguments)
        return await forward(*arguments)

    monkeypatch.setattr(port_forward, "forward", counted)
    for number in range(20):
        async with browser.request("GET", f"x{number}") as answer:
            assert answer.status == 200
            await answer.read()

    assert len(opened) == 1


async def test_connections_to_one_workspace_are_bounded(browser, app, monkeypatch):
    from jupyter_workspaces.server.proxy.transfer import port_forward

    monkeypatch.setattr(upstreams, "FORWARDS_OF_A_WORKSPACE", 3)
    open_now, most = 0, 0

    async def counted(*arguments):
        nonlocal open_now, most
        found = await forward(*arguments)
        open_now, most = open_now + 1, max(most, open_now + 1)
        close = found.close

        async def closed():
            nonlocal open_now
            await close()
            open_now -= 1

        found.close = closed
        return found

    async def ask(number):
        async with browser.request("GET", f"x{number}") as answer:
            await answer.read()
            return answer.status

    monkeypatch.setattr(port_forward, "forward", counted)
    assert set(await asyncio.gather(*(ask(number) for number in range(30)))) == {200}
    assert 1 <= most <= 3


async def test_a_program_that_does_not_listen_yet_is_still_starting(
    browser, pod, cluster_kind, view, tmp_path
):
    if cluster_kind == "embedded":
        record = next((tmp_path / "pods").glob("*/record.json"))
        record.write_text(record.read_text().replace(f'"8888": {pod.port}', '"8888": 1'))

    async with browser.request("GET", headers={**browser.signed, "Accept": "text/html"}) as answer:
        assert answer.status == 503
        assert "does not accept connections yet" in await answer.text()
    async with browser.request("GET", path=STATUS) as answer:
        assert (await told(answer))["ready"] is False
    carried = await forward(pod.cluster, "team-a", "ws-small-0", 8888)
    with pytest.raises(ForwardFailed, match="8888"):
        await carried.receive()
    await carried.close()


async def test_the_status_of_a_program_that_listens_is_ready(browser, app):
    async with browser.request("GET", path=STATUS) as answer:
        assert (await told(answer))["ready"] is True


async def test_a_server_without_the_right_says_which_one(browser, pod, app, view):
    view.cluster = await pod.account([READ_SECRETS])
    try:
        async with browser.request("GET") as answer:
            assert answer.status == 502
            message = (await told(answer))["message"]
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await browser.socket()
        async with browser.request("GET", path=STATUS) as answer:
            status = await told(answer)
    finally:
        await view.cluster.close()

    assert 'cannot create resource "pods/portforward"' in message
    assert "get and create on pods/portforward in team-a" in message
    assert refused.value.status == 502
    assert status["state"] == "unreachable"


async def test_the_right_to_get_alone_does_not_open_connections(pod):
    somebody = await pod.account([{**PORT_FORWARD, "verbs": ["get"]}])
    try:
        with pytest.raises(Forbidden, match='cannot create resource "pods/portforward"'):
            await forward(somebody, "team-a", "ws-small-0", 8888)
    finally:
        await somebody.close()


async def test_both_rights_open_a_workspace(browser, pod, app, view):
    view.cluster = await pod.account([READ_SECRETS, PORT_FORWARD])
    try:
        async with browser.request("GET", "x") as answer:
            assert answer.status == 200
    finally:
        await view.cluster.close()


async def test_a_pod_that_has_gone_is_still_starting(browser, pod, app, view):
    view.pod = {**pod.pod, "metadata": {**pod.pod["metadata"], "name": "ws-small-1"}}

    async with browser.request("GET") as answer:
        assert answer.status == 503
        assert 'pods "ws-small-1" not found' in (await told(answer))["message"]
