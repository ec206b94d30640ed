"""Without free file descriptors accepting pauses; users' programs keep their own limit."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from waiting import until_sync

from jupyter_workspaces.common.listeners import descriptors
from jupyter_workspaces.localkube.node.processes import gate

LISTENS = """
import asyncio, os, resource, sys, time
from jupyter_workspaces.common.listeners.accepting import Listener, listening_sockets
from jupyter_workspaces.common.listeners.connections import Connections, Limits

async def main():
    sockets = listening_sockets("127.0.0.1", 0, 128)
    taken = []
    listener = Listener(sockets, lambda connected, *_: taken.append(connected),\
 Connections("A server", Limits(head=60)), print)
    listener.start()
    held = []
    try:
        while True:
            held.append(os.dup(0))
    except OSError:
        print(sockets[0].getsockname()[1], flush=True)
    began = time.process_time()
    await asyncio.sleep(3)
    print(time.process_time() - began, len(taken), flush=True)
    for one in held:
        os.close(one)
    await asyncio.sleep(2)
    print(len(taken), flush=True)

asyncio.run(main())
"""


@pytest.mark.slow
def test_files_that_run_out_cost_neither_time_nor_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as written:
        server = subprocess.Popen(
            [sys.executable, "-c", LISTENS],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            stderr=written,
            text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)),
        )
    assert server.stdout is not None
    with server, socket.create_connection(("127.0.0.1", int(server.stdout.readline()))):
        spent, taken = server.stdout.readline().split()
        assert int(taken) == 0
        assert float(spent) < 0.5
        assert 0 < log.stat().st_size < 2000
        assert int(server.stdout.readline()) == 1, "it is accepted as soon as there are files again"


def test_the_limit_is_raised_and_the_former_one_known() -> None:
    script = """
import resource
from jupyter_workspaces.common.listeners.descriptors import former_limit, raise_limit
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 900))
raise_limit()
print(*resource.getrlimit(resource.RLIMIT_NOFILE), former_limit())
raise_limit(100)
print(*resource.getrlimit(resource.RLIMIT_NOFILE), former_limit())
"""
    environment = {name: value for name, value in os.environ.items() if name != descriptors.FORMER}
    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    ).stdout

    assert told.splitlines() == ["900 900 200", "900 900 200"]


def test_the_gate_has_files_for_all_its_connections_and_its_program_keeps_its_limit(
    tmp_path: Path,
) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < gate.FILES:
        pytest.skip("this system allows fewer files")
    place = tmp_path / "gate.json"
    place.write_text(
        json.dumps({"address": "127.0.0.1", "port": 1, "socket": str(tmp_path / "socket")}),
        encoding="utf-8",
    )
    command = [sys.executable, "-I", "-S", gate.__file__, str(place), sys.executable, "-c"]
    process = psutil.Popen(
        [*command, "import time; time.sleep(60)"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (300, gate.FILES)),
    )
    try:
        (child,) = until_sync(process.children, "the gate")
        until_sync(
            lambda: child.rlimit(resource.RLIMIT_NOFILE)[0] == gate.FILES, "the gate's own limit"
        )
        assert process.rlimit(resource.RLIMIT_NOFILE)[0] == 300
    finally:
        process.kill()
        process.wait(10)
    until_sync(
        lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE,
        "the end of the gate",
    )


def test_the_gate_takes_no_more_connections_than_it_has_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for soft, most in ((4096, gate.CONNECTIONS), (1024, 384), (100, 8)):
        monkeypatch.setattr(resource, "getrlimit", lambda which, soft=soft: (soft, soft))
        assert gate.most_connections() == most
