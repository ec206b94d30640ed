"""Calls of asyncio transports that are also safe after the transport was closed."""

from __future__ import annotations

import asyncio


def abort(transport: asyncio.WriteTransport) -> None:
    """Close a transport at once, without sending what is buffered. Does nothing if it has ended."""
    if not _has_ended(transport):
        transport.abort()


def unsent_bytes(transport: asyncio.WriteTransport) -> int:
    """Return how many bytes are buffered; 0 if the transport has ended."""
    return 0 if _has_ended(transport) else transport.get_write_buffer_size()


def _has_ended(transport: asyncio.WriteTransport) -> bool:
    # A second `close()` removes the protocol of a TLS transport. Then `get_write_buffer_size()`
    # raises AttributeError, and in older Pythons (3.11.2) `abort()` does.
    return getattr(transport, "_ssl_protocol", transport) is None
