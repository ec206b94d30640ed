"""Attacks without a token on `serve` and the local API server, each in its own process."""

from __future__ import annotations

import contextlib
import http.client
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import pytest
from attacked_servers import FILES, Server, api_server, is_closed, serving
from waiting import until_sync

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not hasattr(resource, "prlimit"), reason="limits of open files are Linux's here"
    ),
]

SERVERS = pytest.mark.parametrize("start", [serving, api_server])
Start = Callable[..., AbstractContextManager[Server]]

PROMPT_SECONDS = 5.0
HELD_SECONDS = 5.0


@contextlib.contextmanager
def held(server: Server, number: int) -> Iterator[list[socket.socket]]:
    """So many connections that say nothing."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(server.dial()) for _ in range(number)]


@SERVERS
@pytest.mark.parametrize(("number", "files"), [(1200, FILES), (3000, 1024)])
def test_idle_connections_of_strangers_keep_no_user_out(
    tmp_path: Path, start: Start, number: int, files: int
) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < number + 500:
        pytest.skip("this test itself may not open so many files")
    with start(tmp_path, files=files) as server:
        logged, memory = server.logged, server.memory
        with held(server, number):
            end = time.monotonic() + HELD_SECONDS
            slowest, asked = 0.0, 0
            while time.monotonic() < end:
                began = time.monotonic()
                assert server.ask(PROMPT_SECONDS) == 200
                slowest, asked = max(slowest, time.monotonic() - began), asked + 1
            assert server.logged - logged < 20_000
            assert server.memory - memory < 100 * 2**20
            assert psutil.Process(server.process.pid).num_fds() < files
        assert asked > 5
        assert slowest < PROMPT_SECONDS
        assert server.ask() == 200


@SERVERS
def test_a_request_whose_head_comes_slowly_is_cut_off(tmp_path: Path, start: Start) -> None:
    with start(tmp_path) as server, contextlib.closing(server.dial_inside()) as slow:
        began = time.monotonic()
        slow.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        ended = threading.Event()

        def trickle() -> None:
            with contextlib.suppress(OSError):
                while not ended.wait(0.5):
                    slow.sendall(b"X-Slow: yes\r\n")

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            until_sync(lambda: is_closed(slow, 1.0), "the end of the slow connection", seconds=40.0)
        finally:
            ended.set()
            thread.join()
        assert 5 < time.monotonic() - began < 30
        assert server.ask() == 200


def test_large_bodies_of_strangers_are_not_kept(tmp_path: Path) -> None:
    size, piece = 100 * 2**20, b"x" * 2**20
    with serving(tmp_path, files=4096) as server:
        memory = server.memory
        most = [memory]
        watching = threading.Event()

        def watch() -> None:
            while not watching.wait(0.02):
                most[0] = max(most[0], server.memory)

        def send() -> None:
            with contextlib.suppress(OSError), server.dial() as dialled:
                head = (
                    "POST /api/v1/workspaces/default HTTP/1.1\r\n"
                    f"Host: 127.0.0.1:{server.port}\r\nContent-Length: {size}\r\n\r\n"
                )
                dialled.sendall(head.encode())
                for _ in range(size // len(piece)):
                    dialled.sendall(piece)
                dialled.recv(1024)

        watcher, senders = (
            threading.Thread(target=watch),
            [threading.Thread(target=send) for _ in range(6)],
        )
        for thread in (watcher, *senders):
            thread.start()
        for thread in senders:
            thread.join()
        watching.set()
        watcher.join()
        assert most[0] - memory < 100 * 2**20
        assert server.ask() == 200


def test_one_client_cannot_fill_the_log(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        logged = server.logged
        connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
        for number in range(3000):
            connection.request("GET", f"/api/v1/{'nowhere' * 20}/{number}")
            connection.getresponse().read()
        connection.close()

        assert server.logged - logged < 200 * 400
        assert server.ask() == 200


def test_our_processes_may_open_as_many_files_as_the_system_allows(tmp_path: Path) -> None:
    soft, hard = 300, 1000
    with api_server(tmp_path, files=(soft, hard)) as server:
        assert psutil.Process(server.process.pid).rlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    with serving(tmp_path, files=(soft, hard)) as server:
        assert psutil.Process(server.process.pid).rlimit(resource.RLIMIT_NOFILE) == (hard, hard)


@SERVERS
def test_the_number_of_connections_can_be_set(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "JUPYTER_WORKSPACES_MAX_CONNECTIONS", "100"
    )  # the local cluster's own watches take some twenty of them
    with start(tmp_path) as server:
        with held(server, 110) as connections:
            until_sync(
                lambda: sum(is_closed(one, 0.01) for one in connections[:10]) == 10,
                "the oldest ten are closed",
            )
            assert not is_closed(connections[-1], 0.2)
        assert server.ask() == 200
