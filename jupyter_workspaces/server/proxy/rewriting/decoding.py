"""Content-Encoding of bodies that are rewritten: decoded in small pieces, however much a chunk expands to."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Protocol

PIECE = 8 * 2**10
"""Bytes that a decoder reads or writes at once, so that rewriting one piece takes the event loop a few milliseconds."""


class Decoder(Protocol):
    """Yields the decoded body in pieces of at most `PIECE` bytes; some are empty."""

    def feed(self, data: bytes) -> Iterator[bytes]: ...


class Identity:
    """For bodies that are not compressed."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), PIECE):
            yield data[start : start + PIECE]


class Inflate:
    """gzip and deflate (RFC 9110 §8.4.1). Raises `zlib.error`."""

    def __init__(self) -> None:
        self._object = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), PIECE):
            rest = data[start : start + PIECE]
            while rest:
                if self._object.eof:  # a gzip file may have several members (RFC 1952 §2.2)
                    self._object = zlib.decompressobj(zlib.MAX_WBITS | 32)
                yield self._object.decompress(rest, PIECE)
                rest = self._object.unconsumed_tail or self._object.unused_data


def decoder(content_encoding: str) -> Decoder | None:
    """Return the decoder for a Content-Encoding, None if there is none."""
    encoding = content_encoding.strip().lower()
    if encoding in ("", "identity"):
        return Identity()
    return Inflate() if encoding in ("gzip", "x-gzip", "deflate") else None
