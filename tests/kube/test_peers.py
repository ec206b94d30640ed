"""The owner of the other end of a loopback connection is verified before a byte is sent."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from thief import as_root, thief

from jupyter_workspaces.kube import peers
from jupyter_workspaces.kube.peer_connector import ForeignListenerError, PeerConnector
from jupyter_workspaces.kube.peers import ForeignListener, open_connection, verify

ADDRESS = "127.91.3.7"
# Where it listens, where it is dialled.
LISTENERS = [
    (ADDRESS, ADDRESS),
    ("0.0.0.0", ADDRESS),
    ("::", ADDRESS),
    ("::1", "::1"),
    ("::", "::1"),
]

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux tells whose a socket is"
)


@pytest.fixture(params=["netlink", "tables"])
def source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to ask the kernel."""
    if request.param == "tables":

        def refused(*_: object) -> None:
            raise PermissionError

        monkeypatch.setattr(peers, "_ask_kernel", refused)
    else:
        monkeypatch.setattr(peers, "_TABLES", ())
    return str(request.param)


def listening(address: str, port: int = 0) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    made.bind((address, port))
    made.listen()
    return made


@pytest.mark.parametrize(("listens", "dialled"), LISTENERS)
@pytest.mark.usefixtures("source")
def test_our_own_program_passes_before_and_after_it_accepts(listens: str, dialled: str) -> None:
    with (
        listening(listens) as server,
        socket.create_connection((dialled, server.getsockname()[1])) as connection,
    ):
        verify(connection)
        accepted, _ = server.accept()
        with accepted:
            verify(connection)


@as_root
@pytest.mark.parametrize("accepts", [True, False], ids=["accepted", "queued"])
@pytest.mark.parametrize(("listens", "dialled"), LISTENERS)
@pytest.mark.usefixtures("source")
def test_a_program_of_another_user_is_refused(listens: str, dialled: str, accepts: bool) -> None:
    with thief(listens, accepts=accepts) as other:
        with socket.create_connection((dialled, other.port)) as connection:
            if accepts:
                other.accepted()
            with pytest.raises(ForeignListener, match="Another user's program"):
                verify(connection)
        count, taken = other.stop()

    assert count == 1
    assert taken == b""


@pytest.mark.usefixtures("source")
def test_a_connection_that_the_other_end_has_closed_is_refused() -> None:
    """The kernel says user 0, which may be ours, of a socket that is being closed."""
    with listening(ADDRESS) as server, socket.create_connection(server.getsockname()) as connection:
        server.accept()[0].close()
        with pytest.raises(ForeignListener):
            verify(connection)


@as_root
def test_a_queued_connection_whose_kernel_says_user_0_belongs_to_who_listens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Kernels before 6.17 say user 0 of a connection that was not accepted yet."""
    ask = peers._ask_kernel

    def older(here: peers.Address, there: peers.Address | None) -> object:
        found = ask(here, there)
        return peers._Socket(found.state, 0, 0) if found is not None and found.inode == 0 else found

    monkeypatch.setattr(peers, "_ask_kernel", older)
    with listening(ADDRESS) as server, socket.create_connection(server.getsockname()) as connection:
        verify(connection)
    with (
        thief(ADDRESS, accepts=False) as other,
        socket.create_connection((ADDRESS, other.port)) as connection,
        pytest.raises(ForeignListener),
    ):
        verify(connection)


def test_a_connection_that_is_accepted_while_it_is_looked_at_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thief may accept, close its listener and let ours take its place between two questions."""
    states = iter(
        [peers._Socket(peers.ESTABLISHED, 0, 0), peers._Socket(peers.LISTEN, peers.os.geteuid(), 5)]
    )
    stolen = peers._Socket(peers.ESTABLISHED, peers.os.geteuid() + 1, 7)
    monkeypatch.setattr(peers, "_ask_kernel", lambda *_: next(states, stolen))
    with (
        listening(ADDRESS) as server,
        socket.create_connection(server.getsockname()) as connection,
        pytest.raises(ForeignListener),
    ):
        verify(connection)


def test_what_the_kernel_does_not_tell_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "_ask_kernel", lambda *_: None)
    monkeypatch.setattr(peers, "_TABLES", (Path("/no/such/table"),))
    with (
        listening(ADDRESS) as server,
        socket.create_connection(server.getsockname()) as connection,
        pytest.raises(ForeignListener),
    ):
        verify(connection)


@as_root
async def test_streams_and_http_send_nothing_to_another_user() -> None:
    with thief(ADDRESS) as other:
        with pytest.raises(ForeignListener):
            await open_connection(ADDRESS, other.port)
        async with aiohttp.ClientSession(
            connector=PeerConnector(), headers={"Authorization": "token secret"}
        ) as session:
            for _ in range(3):
                with pytest.raises(ForeignListenerError, match="Another user's program"):
                    await session.get(f"http://{ADDRESS}:{other.port}/")
            with pytest.raises(ForeignListenerError):
                await session.ws_connect(f"ws://{ADDRESS}:{other.port}/")
        count, taken = await asyncio.to_thread(other.stop)

    assert count == 5
    assert taken == b""


async def test_http_reaches_our_own_program_and_keeps_the_connection() -> None:
    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        return web.Response(text=str(request.transport.get_extra_info("peername")[1]))

    application = web.Application()
    application.router.add_get("/", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, ADDRESS, 0).start()
    port = runner.addresses[0][1]
    try:
        async with aiohttp.ClientSession(connector=PeerConnector()) as session:
            texts = []
            for _ in range(2):
                async with session.get(f"http://{ADDRESS}:{port}/") as found:
                    texts.append(await found.text())
        assert texts[0] == texts[1]
    finally:
        await runner.cleanup()
