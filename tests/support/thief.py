"""Another user of this computer who listens at a workspace's port and records all bytes."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

NOBODY = 65534
LIMIT_SECONDS = 20

as_root = pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="only root can run a program of another user"
)

_SCRIPT = """
import os, select, socket, sys, time
address, port, accepts = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "accepts"
family = socket.AF_INET6 if ":" in address else socket.AF_INET
listening = socket.socket(family)
listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
until = time.monotonic() + 60
while True:
    try:
        listening.bind((address, port))
        listening.listen(64)
        break
    except OSError:
        if time.monotonic() > until:
            sys.exit("the address was never free")
print(os.geteuid(), listening.getsockname()[1], flush=True)
answer = b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n{}"
count, taken, held = 0, b"", []
def accept():
    global count
    held.append(listening.accept()[0])
    count += 1
while True:
    ready = select.select([sys.stdin, *held, *([listening] if accepts else [])], [], [])[0]
    if sys.stdin in ready:
        break
    if listening in ready:
        accept()
        print("accepted", flush=True)
    for connection in ready:
        if connection in held:
            try:
                data = connection.recv(65536)
            except OSError:
                data = b""
            taken += data
            if data:
                connection.sendall(answer)
            else:
                held.remove(connection)
listening.setblocking(False)
while True:
    try:
        accept()
    except BlockingIOError:
        break
for connection in held:
    connection.setblocking(False)
    try:
        taken += connection.recv(65536)
    except OSError:
        pass
print(count, taken.hex(), flush=True)
"""


class Thief:
    """A listener at `port`. `stop` returns the number of connections and all their bytes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self._process = process
        user, port = process.stdout.readline().split()
        assert int(user) == NOBODY
        self.port = int(port)
        self._told: tuple[int, bytes] | None = None

    def accepted(self) -> None:
        """Wait until it has accepted one more connection."""
        told = self._process.stdout
        assert told is not None
        assert select.select([told], [], [], LIMIT_SECONDS)[0], "it has accepted no connection"
        assert told.readline() == "accepted\n"

    def kill(self) -> None:
        """End it whatever it does."""
        self._process.kill()
        self._process.communicate()

    def stop(self) -> tuple[int, bytes]:
        if self._told is None:
            told, _ = self._process.communicate("\n", timeout=LIMIT_SECONDS)
            count, _, taken = told.strip().rpartition("\n")[2].partition(" ")
            self._told = int(count), bytes.fromhex(taken)
        return self._told


def start_thief(address: str, port: int = 0, *, accepts: bool = True) -> Thief:
    """Return one that listens at an address and port, as soon as these are free. Blocks until then.

    One that does not accept leaves connections in the kernel's queue.
    """
    python = shutil.which("python3", path="/usr/bin") or sys.executable
    command = [python, "-c", _SCRIPT, address, str(port), "accepts" if accepts else "waits"]
    return Thief(
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/", user=NOBODY
        )
    )


@contextmanager
def thief(address: str, port: int = 0, *, accepts: bool = True) -> Iterator[Thief]:
    """`start_thief`, ended with the block."""
    found = start_thief(address, port, accepts=accepts)
    try:
        yield found
    finally:
        found.kill()
