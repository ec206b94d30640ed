"""A command in a container, run by `enter.py`: its streams, its exit code and its end."""

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
"""Ends the input of a program at a terminal (VEOF in termios(3))."""


class Execution:
    """A running command. Its owner has to call `stop` at the end in any case.

    Attributes:
        outputs: Output streams by channel.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, control: socket.socket, terminal: int | None
    ) -> None:
        """Create the execution of a process; see `start`."""
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
        """Start a command.

        Args:
            program: Pid of the container's program, whose namespaces the command enters.
            environment: Environment variables of the command.
            directory: Its working directory, as the container sees it.
            command: The command.
            tty: Whether it gets a terminal.
            stdin: Whether it gets input.
            cgroup: Directory of the container's control group, if there is one.

        Raises:
            OSError: No process can be started.
        """
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
        """Write to standard input and wait until it is read; drop data if it is closed."""
        if self._input is None or self._input.is_closing():
            return
        with contextlib.suppress(ConnectionError, BrokenPipeError):
            self._input.write(data)
            await self._input.drain()

    def end_input(self) -> None:
        """Close standard input."""
        if self._input is None:
            return
        if self._terminal is not None:
            self._input.write(END_OF_INPUT)
        else:
            self._input.close()

    def resize(self, width: int, height: int) -> None:
        """Set the size of the terminal, in characters."""
        if self._terminal is not None:
            fcntl.ioctl(
                self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0)
            )

    async def wait(self) -> int:
        """Wait for the end of the command and return its exit code, 128 + n for signal n.

        Raises:
            NotPossible: The command could not be started.
        """
        loop, data = asyncio.get_running_loop(), b""
        while not data.endswith(b"\n"):
            piece = await loop.sock_recv(self._control, PIECE_BYTES)
            if not piece:
                raise NotPossible("the process that supervises the command was killed")
            data += piece
        answer: dict[str, Any] = json.loads(data)
        if "failed" in answer:
            raise NotPossible(answer["failed"])
        return int(answer["exit"])

    async def stop(self) -> None:
        """Kill the command and all its processes."""
        self._control.close()  # which makes `enter.py` kill them
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
                self._process.kill()  # this kills the command as well (PR_SET_PDEATHSIG)
            # A killed process that does not end hangs in the kernel.
            with contextlib.suppress(asyncio.TimeoutError):
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
    """Open a terminal.

    Returns:
        Our end, descriptors to read by channel, one to write, and the three of the command.
    """
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
    """Return the types of a program's namespaces that differ from ours, in the order to enter them.

    The user namespace comes first, because it gives the right to enter the other.
    """
    found = []
    for name in ("user", "mnt"):
        try:
            if os.readlink(f"/proc/{program}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}"):
                found.append(name)
        except OSError:
            continue
    return found
