"""Stands before a program that asks nobody who they are: lets in connections of the user who runs it, and nobody else's.

Run as a script of its own (`python -I -S gate.py FILE COMMAND…`): becomes the program, which shall listen at a Unix socket (in a
directory that only its user enters), and leaves a child that carries connections from an address and port to it. All three stand in
FILE, a JSON object with `address`, `port` and `socket`: every user of a computer can read command lines.
Every user of a computer can dial its loopback addresses; Linux tells in /proc/net/tcp whose socket is at the other end (proc(5)).
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
LOOK_SECONDS = 0.05
CONNECTIONS = 1024
FILES = 4096
OWN_FILES = 256
"""Kept for connections that are accepted and not yet admitted, and for looking who dials."""


def main() -> None:
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
                    f"Nothing can listen at this workspace's address: {error.strerror}",
                    file=sys.stderr,
                )
            finally:
                os.kill(
                    program, signal.SIGTERM
                )  # nobody reaches it without its gate; its next run may get another port
        return
    os.execvp(command[0], command)


def raise_limit() -> None:
    """Allow this process more open files; the program keeps the limit that it was given."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def room() -> int:
    """Return how many connections fit below the limit of open files, each with its connection to the program."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        CONNECTIONS
        if soft == resource.RLIM_INFINITY
        else max(min(CONNECTIONS, (soft - OWN_FILES) // 2), 8)
    )


async def serve(address: str, port: int, socket: str) -> None:
    """Listens once the program does, so that whoever tries the port learns when it is ready."""
    while not await _answers(socket):  # noqa: ASYNC110 - a program does not tell when it listens
        await asyncio.sleep(LOOK_SECONDS)
    most = room()
    open_now: set[asyncio.Task[None]] = set()

    async def admit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_now.add(task)
        try:
            if len(open_now) <= most and is_of_this_user(
                writer.get_extra_info("peername"), writer.get_extra_info("sockname")
            ):
                await _carry(reader, writer, socket)
        finally:
            open_now.discard(task)
            writer.close()

    server = await asyncio.start_server(admit, address, port, limit=PIECE_BYTES)
    async with server:
        await server.serve_forever()


def is_of_this_user(peer: tuple[str, int], here: tuple[str, int]) -> bool:
    """Whether the socket at the other end of a connection over IPv4 belongs to our own user.

    Only while it is open: the kernel says user 0 of one that is being closed.
    """
    wanted = (_as_written(*peer[:2]), _as_written(*here[:2]))
    with open("/proc/net/tcp") as table:
        for line in table:
            fields = line.split()
            if (fields[1], fields[2]) == wanted:
                return fields[3] == ESTABLISHED and int(fields[7]) == os.geteuid()
    return False


def _as_written(host: str, port: int) -> str:
    """As in /proc/net/tcp: the address as a number of this machine's byte order, both in hexadecimal digits."""
    number = int.from_bytes(bytes(int(part) for part in host.split(".")), sys.byteorder)
    return f"{number:08X}:{port:04X}"


async def _answers(socket: str) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(socket)
    except OSError:
        return False
    writer.close()
    return True


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, socket: str) -> None:
    """Both ways until both have ended; each side is read no faster than the other takes it."""
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
        pass  # one side broke off, so does the other
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
