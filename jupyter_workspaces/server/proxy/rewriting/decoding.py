"""Decoders of Content-Encodings for bodies that are rewritten.

They return small pieces, however much a chunk expands to, so a compressed bomb neither blocks the
event loop nor fills the memory. aiohttp's decoder returns each chunk as a whole, so it is not used.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Protocol

PIECE = 8 * 2**10
"""Bytes that a decoder reads or writes at once. Rewriting a piece takes a few milliseconds."""


class Decoder(Protocol):
    """Decodes a body incrementally."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the decoded pieces of at most `PIECE` bytes; some are empty."""


class Identity:
    """Decoder for bodies that are not compressed."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the data in pieces."""
        for start in range(0, len(data), PIECE):
            yield data[start : start + PIECE]


class Inflate:
    """Decoder for gzip and deflate (RFC 9110 §8.4.1)."""

    def __init__(self) -> None:
        """Start before the first byte."""
        self._object = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the decoded pieces. Raises `zlib.error` for invalid data."""
        for start in range(0, len(data), PIECE):
            rest = data[start : start + PIECE]
            while rest:
                if self._object.eof:  # a gzip file may have several members (RFC 1952 §2.2)
                    self._object = zlib.decompressobj(zlib.MAX_WBITS | 32)
                yield self._object.decompress(rest, PIECE)
                rest = self._object.unconsumed_tail or self._object.unused_data


def decoder(content_encoding: str) -> Decoder | None:
    """Return the decoder for a Content-Encoding, None for one that is not supported."""
    encoding = content_encoding.strip().lower()
    if encoding in ("", "identity"):
        return Identity()
    return Inflate() if encoding in ("gzip", "x-gzip", "deflate") else None
