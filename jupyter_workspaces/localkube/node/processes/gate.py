"""Protects a program that does not authenticate its users from other users of the computer.

Every user can connect to loopback addresses. The gate accepts connections at the pod's address and
forwards those of its own user to the program, which listens at a Unix socket in a private
directory. Linux lists the user of each socket in /proc/net/tcp (proc(5)).

This is a script that runs alone (`python -I -S gate.py FILE COMMAND…`), with the standard library
only. It becomes the program, and leaves a child process that forwards connections. FILE is a JSON
object with `address`, `port` and `socket`, because every user can read command lines.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1
ESTABLISHED = "01"
PIECE_BYTES = 64 * 1024
POLL_SECONDS = 0.05
CONNECTIONS = 1024
FILES = 4096
OWN_FILES = 256
"""Reserved for connections that are not yet admitted, and for reading /proc/net/tcp."""


def main() -> None:
    """Start the forwarding child and become the program."""
    place, *command = sys.argv[1:]
    with open(place, encoding="utf-8") as file:
        plan = json.load(file)
    program = os.getpid()
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
        if os.getppid() == program:
            raise_limit()
            try:
                asyncio.run(serve(plan["address"], plan["port"], plan["socket"]))
            except OSError as error:
                print(
                    f"The gate cannot listen at the pod's address: {error.strerror}",
                    file=sys.stderr,
                )
            finally:
                # The program cannot be reached without the gate; its next run gets another port.
                os.kill(program, signal.SIGTERM)
        return
    os.execvp(command[0], command)


def raise_limit() -> None:
    """Raise the limit of open files of the gate; the program keeps its own limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most_connections() -> int:
    """Return how many connections the limit of open files allows; each needs two files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        CONNECTIONS
        if soft == resource.RLIM_INFINITY
        else max(min(CONNECTIONS, (soft - OWN_FILES) // 2), 8)
    )


async def serve(address: str, port: int, socket: str) -> None:
    """Listen once the program listens, so that probes find out when it is ready."""
    while not await _answers(socket):  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(POLL_SECONDS)
    most = most_connections()
    open_now: set[asyncio.Task[None]] = set()

    async def admit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_now.add(task)
        try:
            if len(open_now) <= most and is_of_this_user(
                writer.get_extra_info("peername"), writer.get_extra_info("sockname")
            ):
                await _forward(reader, writer, socket)
        finally:
            open_now.discard(task)
            writer.close()

    server = await asyncio.start_server(admit, address, port, limit=PIECE_BYTES)
    async with server:
        await server.serve_forever()


def is_of_this_user(peer: tuple[str, int], local: tuple[str, int]) -> bool:
    """Return whether the peer of an IPv4 connection is a socket of our user.

    Only open sockets count: the kernel reports user 0 for those that are being closed.
    """
    wanted = (_in_proc_format(*peer[:2]), _in_proc_format(*local[:2]))
    with open("/proc/net/tcp") as table:
        for line in table:
            fields = line.split()
            if (fields[1], fields[2]) == wanted:
                return fields[3] == ESTABLISHED and int(fields[7]) == os.geteuid()
    return False


def _in_proc_format(host: str, port: int) -> str:
    """Return address and port as in /proc/net/tcp: hexadecimal, in native byte order."""
    number = int.from_bytes(bytes(int(part) for part in host.split(".")), sys.byteorder)
    return f"{number:08X}:{port:04X}"


async def _answers(socket: str) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(socket)
    except OSError:
        return False
    writer.close()
    return True


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, socket: str) -> None:
    """Forward data in both directions until both have ended, with backpressure."""
    try:
        inner_reader, inner_writer = await asyncio.open_unix_connection(socket, limit=PIECE_BYTES)
    except OSError:
        return
    ways = [
        asyncio.create_task(_copy(reader, inner_writer)),
        asyncio.create_task(_copy(inner_reader, writer)),
    ]
    try:
        await asyncio.gather(*ways)
    except OSError:
        pass  # the connection of one side broke
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        inner_writer.close()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while piece := await source.read(PIECE_BYTES):
        sink.write(piece)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()


if __name__ == "__main__":
    main()
