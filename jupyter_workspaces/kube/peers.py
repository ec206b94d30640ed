"""Verifies that the program at the other end of a loopback connection runs as our own user.

Every user of a computer can listen at its loopback addresses, so a connection to a workspace's
address may reach a program that another user started there first. Before a byte is sent, `verify`
gets the owner of the socket at the other end from the kernel: by sock_diag(7), or by
proc_pid_net(5) where that is not allowed. Other systems than Linux do not offer this, so there
nothing is checked. Processes of one user trust each other.

`psutil.net_connections` is no replacement: it scans the processes of the whole computer for each
call, and without root it does not tell who owns the sockets of other users.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOREIGN = "Another user's program listens at this workspace's address."
"""Beginning of every message about a program of another user."""

ESTABLISHED, SYN_RECV, LISTEN = 1, 3, 10
_ALIVE = (ESTABLISHED, SYN_RECV)

_SOCK_DIAG = 4  # NETLINK_SOCK_DIAG
_BY_FAMILY, _REQUEST, _ERROR = 20, 1, 2  # SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, NLMSG_ERROR
_ANSWER_SECONDS = 1.0
_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_HEADER, _MESSAGE_FIELDS, _IDENTITY_BYTES = struct.calcsize("=IHHII"), struct.calcsize("=BBBB"), 48
_MAPPED = bytes(10) + b"\xff\xff"


class ForeignListener(ConnectionError):
    """The program at the other end belongs to another user of this computer. Nothing was sent."""

    def __init__(self) -> None:
        """Make an error with the errno of a refused connection."""
        super().__init__(errno.ECONNREFUSED, FOREIGN)

    def __str__(self) -> str:
        """Return the message without the errno."""
        return FOREIGN


@dataclass(frozen=True)
class _Socket:
    """A socket as the kernel describes it.

    `inode` is 0 while no process holds it: it waits to be accepted, or is being closed.
    """

    state: int
    user: int
    inode: int


Address = tuple[bytes, int]


def verify(connection: socket.socket) -> None:
    """Check that our own user owns the other end of a TCP connection. Takes about 0.1 ms.

    Accepts connections to other computers, and every connection on systems other than Linux.

    Raises:
        ForeignListener: another user owns it, or the connection is closed.
    """
    if not sys.platform.startswith("linux") or connection.family not in (
        socket.AF_INET,
        socket.AF_INET6,
    ):
        return
    try:
        here, there = connection.getsockname()[:2], connection.getpeername()[:2]
    except OSError as error:  # the other end has already closed the connection
        raise ForeignListener from error
    if not _is_loopback(there[0]):
        return
    local, remote = _address(*here), _address(*there)
    if not _is_ours(local, remote):
        raise ForeignListener


async def open_connection(
    host: str, port: int, *, limit: int = 2**16
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect as `asyncio.open_connection` does, and `verify` the connection.

    Raises:
        ForeignListener: another user owns the other end.
        OSError: the connection could not be opened.
    """
    reader, writer = await asyncio.open_connection(host, port, limit=limit)
    try:
        verify_transport(writer.transport)
    except ForeignListener:
        writer.transport.abort()
        raise
    return reader, writer


def verify_transport(transport: asyncio.BaseTransport) -> None:
    """Verify the socket of a transport.

    Raises:
        ForeignListener: another user owns the other end.
    """
    connection = transport.get_extra_info("socket")
    if connection is not None:
        verify(connection)


def _is_ours(local: Address, remote: Address) -> bool:
    """Return whether the connection's other socket, `remote`, belongs to our user.

    A connection that waits to be accepted has no owner yet (older kernels report user 0 then): it
    will belong to the listener. Two programs never listen at one address and port unless they
    belong to one user. So if the connection still waits after the listener was found, that
    listener is the one that will get it.
    """
    found = _find(remote, local)
    if found is None or found.state not in _ALIVE:
        return False
    if found.inode != 0:
        return found.user == os.geteuid()
    listener = _find(remote, None)
    if listener is None or listener.state != LISTEN or listener.user != os.geteuid():
        return False
    again = _find(remote, local)
    if again is None or again.state not in _ALIVE:
        return False
    return again.inode == 0 or again.user == os.geteuid()


def _find(here: Address, there: Address | None) -> _Socket | None:
    """Return the socket that is bound to `here` and connected to `there`.

    With None for `there`, return the socket that listens for `here`.
    """
    try:
        found = _ask_kernel(here, there)
    except OSError:  # no netlink in this sandbox, or the kernel was built without tcp_diag
        found = None
    return found if found is not None else _read_tables(here, there)


def _ask_kernel(here: Address, there: Address | None) -> _Socket | None:
    """Look one socket up by inet_diag (sock_diag(7)), which also finds wildcard listeners.

    Raises:
        OSError: the kernel does not answer or found no socket.
    """
    family = socket.AF_INET if len(here[0]) == 4 else socket.AF_INET6
    other = there if there is not None else (bytes(len(here[0])), 0)
    ports = struct.pack("!HH", here[1], other[1])
    identity = (
        ports
        + here[0].ljust(16, b"\0")
        + other[0].ljust(16, b"\0")
        + struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)
    )
    request = struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF) + identity
    header = struct.pack("=IHHII", _HEADER + len(request), _BY_FAMILY, _REQUEST, 1, 0)
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _SOCK_DIAG
    ) as asking:
        asking.settimeout(_ANSWER_SECONDS)
        asking.send(header + request)
        answer = asking.recv(65536)
    kind = struct.unpack_from("=IHHII", answer)[1]
    if kind != _BY_FAMILY:
        number = -struct.unpack_from("=i", answer, _HEADER)[0] if kind == _ERROR else errno.EPROTO
        raise OSError(number, os.strerror(number))
    state = struct.unpack_from("=BBBB", answer, _HEADER)[1]
    _, _, _, user, inode = struct.unpack_from(
        "=IIIII", answer, _HEADER + _MESSAGE_FIELDS + _IDENTITY_BYTES
    )
    if there is not None and state == LISTEN:
        return None  # there is no such connection; the kernel returned the listener instead
    return _Socket(state, user, inode)


def _read_tables(here: Address, there: Address | None) -> _Socket | None:
    """Look a socket up in the kernel's text tables, which list all sockets of the computer.

    Prefers a socket of another user if several match.
    """
    found: list[_Socket] = []
    for table in _TABLES:
        try:
            with table.open(encoding="ascii") as lines:
                next(lines, "")
                found += _matching(lines, here, there)
        except OSError:
            continue
    return next(
        (entry for entry in found if entry.user != os.geteuid()), found[0] if found else None
    )


def _matching(lines: Iterator[str], here: Address, there: Address | None) -> Iterator[_Socket]:
    width = len(here[0])
    bound = {_written(here)} | (
        {_written((bytes(4), here[1])), _written((bytes(16), here[1]))} if there is None else set()
    )
    if width == 4:
        bound.add(_written((_MAPPED + here[0], here[1])))
    connected = (
        None
        if there is None
        else {_written(there)}
        | ({_written((_MAPPED + there[0], there[1]))} if width == 4 else set())
    )
    for line in lines:
        fields = line.split()
        state = int(fields[3], 16)
        if fields[1] not in bound or (
            fields[2] not in connected if connected is not None else state != LISTEN
        ):
            continue
        yield _Socket(state, int(fields[7]), int(fields[9]))


def _written(address: Address) -> str:
    """Format an address as the tables do: 32-bit words in native byte order, in hexadecimal."""
    packed, port = address
    words = (
        int.from_bytes(packed[index : index + 4], sys.byteorder)
        for index in range(0, len(packed), 4)
    )
    return f"{''.join(f'{word:08X}' for word in words)}:{port:04X}"


def _address(host: str, port: int) -> Address:
    """Pack an address; an IPv4-mapped IPv6 address becomes IPv4."""
    found = ipaddress.ip_address(host.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).packed, port


def _is_loopback(host: str) -> bool:
    found = ipaddress.ip_address(host.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback
