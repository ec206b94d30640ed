"""An address for each pod: a loopback address of its own where the system has many, else 127.0.0.1 and free ports."""

from __future__ import annotations

import errno
import hashlib
import secrets
import socket
from collections.abc import Iterable

LOOPBACK = "127.0.0.1"
FIRST, LAST = 64, 127
"""Second number of the addresses that we give: away from 127.0.x.y, where systems put their own services."""


def many_addresses() -> bool:
    """Whether every 127.x.y.z is this machine (Linux)."""
    return _can_bind("127.99.99.99", 0)


def allocate(
    ports: Iterable[int], taken: set[str], many: bool = True
) -> tuple[str, dict[str, int]]:
    """Choose an address and, for each container port, the port that shall listen there. Nobody can guess the address beforehand.

    `taken` are the addresses of other pods. Raises `OSError` when no port is free.
    """
    wanted = list(ports)
    if not (many and many_addresses()):
        return LOOPBACK, {str(port): _free_port(LOOPBACK) for port in wanted}
    for _ in range(64):
        address = _address(secrets.token_bytes(3))
        if address not in taken:
            break
    else:
        raise OSError(errno.EADDRNOTAVAIL, "no loopback address is free")
    # A program that listens on all addresses keeps its port from us on each of them.
    return address, {str(port): usable(address, port) for port in wanted}


def of(uid: str) -> str:
    """An address for a pod that does not listen; two pods may get the same."""
    return _address(hashlib.sha256(uid.encode()).digest()) if many_addresses() else LOOPBACK


def _address(digest: bytes) -> str:
    return f"127.{FIRST + digest[0] % (LAST - FIRST + 1)}.{digest[1]}.{1 + digest[2] % 254}"


def usable(address: str, port: int) -> int:
    """The port itself if nobody listens there, else one that is free."""
    return port if _can_bind(address, port) else _free_port(address)


def _can_bind(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            return True
        except OSError:
            return False


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])
