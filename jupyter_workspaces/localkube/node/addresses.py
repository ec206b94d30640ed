"""IP addresses and ports of pods.

On Linux each pod gets a loopback address of its own, which is random, so that other users cannot
guess it. Other systems have 127.0.0.1 only: pods share it, at free ports.
"""

from __future__ import annotations

import errno
import hashlib
import secrets
import socket
from collections.abc import Iterable

LOOPBACK = "127.0.0.1"
FIRST, LAST = 64, 127
"""Range of the second number of addresses, away from 127.0.x.y with services of the system."""


def many_addresses() -> bool:
    """Return whether every address 127.x.y.z belongs to this machine (Linux)."""
    return _can_bind("127.99.99.99", 0)


def allocate(
    ports: Iterable[int], taken: set[str], many: bool = True
) -> tuple[str, dict[str, int]]:
    """Choose an address for a pod and, for each container port, the port to listen at.

    Args:
        ports: The container ports.
        taken: Addresses of other pods.
        many: Whether a pod may have an address of its own.

    Returns:
        The address, and a mapping of container ports to ports at that address.

    Raises:
        OSError: No address or no port is free.
    """
    wanted = list(ports)
    if not (many and many_addresses()):
        return LOOPBACK, {str(port): _any_free_port(LOOPBACK) for port in wanted}
    for _ in range(64):
        address = _address(secrets.token_bytes(3))
        if address not in taken:
            break
    else:
        raise OSError(errno.EADDRNOTAVAIL, "no loopback address is free")
    # A program that listens on all addresses occupies its port at each of them.
    return address, {str(port): free_port(address, port) for port in wanted}


def address_of(uid: str) -> str:
    """Return an address for a pod that does not listen; two pods may get the same one."""
    return _address(hashlib.sha256(uid.encode()).digest()) if many_addresses() else LOOPBACK


def _address(digest: bytes) -> str:
    return f"127.{FIRST + digest[0] % (LAST - FIRST + 1)}.{digest[1]}.{1 + digest[2] % 254}"


def free_port(address: str, port: int) -> int:
    """Return `port` if nothing listens there, otherwise a free port."""
    return port if _can_bind(address, port) else _any_free_port(address)


def _can_bind(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            return True
        except OSError:
            return False


def _any_free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])
