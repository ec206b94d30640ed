"""One command that runs beside a container's program, as whoever carries its streams sees it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import socket
import struct
import sys
import termios
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from jupyter_workspaces.common.listeners import descriptors
from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.localkube.apiserver.pods.channels import STDERR, STDOUT
from jupyter_workspaces.localkube.apiserver.pods.programs import NotPossible

ENTER = Path(__file__).with_name("enter.py")
PIECE_BYTES = 64 * 1024
STOP_SECONDS = 10.0
END_OF_INPUT = b"\x04"
"""What ends the input of a program at a terminal (termios(3), VEOF)."""


class Execution:
    """Owned by whoever started it, who awaits `stop` at the end whatever has happened."""

    def __init__(
        self, process: asyncio.subprocess.Process, control: socket.socket, terminal: int | None
    ) -> None:
        self.outputs: dict[int, asyncio.StreamReader] = {}
        self._process = process
        self._control = control
        self._terminal = terminal
        self._input: asyncio.StreamWriter | None = None
        self._transports: list[asyncio.BaseTransport] = []

    @classmethod
    async def start(
        cls,
        program: int,
        environment: Mapping[str, str],
        directory: str,
        command: Sequence[str],
        *,
        tty: bool,
        stdin: bool,
        cgroup: str = "",
    ) -> Execution:
        """Start a command beside the process `program`, in its control group if it has one. Raises `OSError`."""
        plan = {
            "program": program,
            "namespaces": _namespaces(program),
            "environment": dict(environment),
            "directory": directory,
            "command": list(command),
            "tty": tty,
            "openFiles": descriptors.former_limit(),
            "cgroup": cgroup,
        }
        loop = asyncio.get_running_loop()
        with ExitStack() as theirs, ExitStack() as ours:
            control, end = socket.socketpair()
            ours.callback(control.close)
            theirs.callback(end.close)
            terminal, reads, writes, given = (
                _terminal(theirs, ours) if tty else _pipes(theirs, ours)
            )
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(ENTER), str(end.fileno())),
                stdin=given[0],
                stdout=given[1],
                stderr=given[2],
                cwd="/",
                env={"LANG": "C.UTF-8"},
                pass_fds=(end.fileno(),),
            )
            ours.pop_all()
        control.setblocking(False)
        made = cls(process, control, terminal)
        for channel, number in reads.items():
            await made._read(channel, number)
        await made._write(writes)
        if not stdin and not tty:
            made.end_input()
        await loop.sock_sendall(control, json.dumps(plan).encode() + b"\n")
        return made

    async def write(self, data: bytes) -> None:
        """To its standard input; returns when it has been taken. What nobody reads any more is dropped."""
        if self._input is None or self._input.is_closing():
            return
        with contextlib.suppress(ConnectionError, BrokenPipeError):
            self._input.write(data)
            await self._input.drain()

    def end_input(self) -> None:
        if self._input is None:
            return
        if self._terminal is not None:
            self._input.write(END_OF_INPUT)
        else:
            self._input.close()

    def resize(self, width: int, height: int) -> None:
        if self._terminal is not None:
            fcntl.ioctl(
                self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0)
            )

    async def wait(self) -> int:
        """Its exit code, 128 + n for a signal n. Raises `NotPossible` when it could not be started."""
        loop, data = asyncio.get_running_loop(), b""
        while not data.endswith(b"\n"):
            piece = await loop.sock_recv(self._control, PIECE_BYTES)
            if not piece:
                raise NotPossible("the process that watches over the command was killed")
            data += piece
        answer: dict[str, Any] = json.loads(data)
        if "failed" in answer:
            raise NotPossible(answer["failed"])
        return int(answer["exit"])

    async def stop(self) -> None:
        """Kill it and all that it started."""
        self._control.close()  # which is what it waits for
        for transport in self._transports:
            transport.close() if isinstance(transport, asyncio.ReadTransport) else _abort(transport)
        if self._terminal is not None:
            os.close(self._terminal)
            self._terminal = None
        try:
            async with timeout(STOP_SECONDS):
                await self._process.wait()
        except asyncio.TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()  # the command goes with it (PR_SET_PDEATHSIG)
            with contextlib.suppress(
                asyncio.TimeoutError
            ):  # a killed process that does not end hangs in the kernel
                async with timeout(STOP_SECONDS):
                    await self._process.wait()

    async def _read(self, channel: int, end: int) -> None:
        reader = asyncio.StreamReader(limit=PIECE_BYTES)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: protocol, os.fdopen(end, "rb", 0)
        )
        self._transports.append(transport)
        self.outputs[channel] = reader

    async def _write(self, end: int) -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.connect_write_pipe(
            asyncio.streams.FlowControlMixin, os.fdopen(end, "wb", 0)
        )
        self._transports.append(transport)
        self._input = asyncio.StreamWriter(transport, protocol, None, loop)


def _terminal(
    theirs: ExitStack, ours: ExitStack
) -> tuple[int | None, dict[int, int], int, tuple[int, int, int]]:
    """Our end of a new terminal, descriptors to read by channel and one to write, and the three that the command gets."""
    master, slave = pty.openpty()
    theirs.callback(os.close, slave)
    ends = [master, os.dup(master), os.dup(master)]
    for end in ends:
        ours.callback(os.close, end)
    return master, {STDOUT: ends[1]}, ends[2], (slave, slave, slave)


def _pipes(
    theirs: ExitStack, ours: ExitStack
) -> tuple[int | None, dict[int, int], int, tuple[int, int, int]]:
    (stdin, write), (out, stdout), (err, stderr) = os.pipe(), os.pipe(), os.pipe()
    for end in (stdin, stdout, stderr):
        theirs.callback(os.close, end)
    for end in (write, out, err):
        ours.callback(os.close, end)
    return None, {STDOUT: out, STDERR: err}, write, (stdin, stdout, stderr)


def _abort(transport: asyncio.BaseTransport) -> None:
    assert isinstance(transport, asyncio.WriteTransport)
    transport.abort()


def _namespaces(program: int) -> list[str]:
    """Those of the program's that are not ours: user first, for it gives the right to the other."""
    found = []
    for name in ("user", "mnt"):
        try:
            if os.readlink(f"/proc/{program}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}"):
                found.append(name)
        except OSError:
            continue
    return found
