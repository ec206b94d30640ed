"""Sockets with TCP keepalive."""

from __future__ import annotations

import socket
from typing import Any

IDLE_SECONDS, INTERVAL_SECONDS, PROBES = 15, 5, 3
USER_TIMEOUT_MILLISECONDS = 30_000
_OPTIONS = (
    ("TCP_KEEPIDLE", IDLE_SECONDS),
    ("TCP_KEEPINTVL", INTERVAL_SECONDS),
    ("TCP_KEEPCNT", PROBES),
    ("TCP_USER_TIMEOUT", USER_TIMEOUT_MILLISECONDS),
)


def keepalive_socket(address: tuple[Any, ...]) -> socket.socket:
    """Make a socket for an address of `getaddrinfo` that fails within 30 s when its peer is gone.

    A watch may be silent for minutes: without keepalive (RFC 9293 §3.8.4) a vanished peer looks
    like a silent one. Options that the system does not support are omitted.
    """
    family, kind, protocol, _, _ = address
    made = socket.socket(family=family, type=kind, proto=protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _OPTIONS:
        if hasattr(socket, option):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return made
