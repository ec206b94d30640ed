"""Processes that print their port, and can be stopped and continued."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil


class Stoppable:
    """A process that listens at `port`."""

    def __init__(self, pid: int, port: int) -> None:
        self.pid, self.port = pid, port

    def stop(self) -> None:
        """Stop the process as `kill -STOP`: the system still accepts its connections."""
        os.kill(self.pid, signal.SIGSTOP)
        while psutil.Process(self.pid).status() != psutil.STATUS_STOPPED:
            pass

    def connections(self) -> int:
        """Return the number of open connections to its port, accepted or not."""
        established = (one for one in psutil.net_connections("tcp") if one.status == "ESTABLISHED")
        return sum(1 for one in established if one.raddr and one.raddr.port == self.port)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


@contextmanager
def running(script: str, *arguments: str) -> Iterator[Stoppable]:
    """Run a script of this folder until the block ends."""
    command = [sys.executable, str(Path(__file__).with_name(script)), *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield Stoppable(process.pid, int(process.stdout.readline()))
        finally:
            process.kill()
