"""Compression of responses: zstd or gzip, from 1024 bytes on."""

from __future__ import annotations

import zlib
from typing import Protocol

import zstandard

COMPRESS_BYTES = 1024
_PREFERENCE = {"zstd": 2, "gzip": 1}
_ZSTD_LEVEL, _GZIP_LEVEL, _GZIP_FORMAT = 1, 1, 31


class Compressor(Protocol):
    """Compresses a body piece by piece."""

    def compress(self, data: bytes, /) -> bytes:
        """Compress a piece."""
        ...

    def flush(self) -> bytes:
        """Return the end of the compressed body."""
        ...


def encoding(accept: str) -> str | None:
    """Return the content coding for an `Accept-Encoding` header; None for no compression.

    zstd is preferred to gzip at the same weight. `*` alone means no compression.
    """
    weights: dict[str, float] = {}
    for part in accept.lower().split(","):
        name, _, parameters = part.strip().partition(";")
        if name.strip() in _PREFERENCE:
            weights[name.strip()] = _weight(parameters)
    usable = [name for name, weight in weights.items() if weight > 0]
    return max(usable, key=lambda name: (weights[name], _PREFERENCE[name]), default=None)


def compressor(name: str) -> Compressor:
    """Return a compressor for a coding of `encoding`."""
    if name == "zstd":
        return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compressobj()
    return zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_FORMAT)


def compressed(name: str, body: bytes) -> bytes:
    """Compress a whole body with a coding of `encoding`."""
    one = compressor(name)
    return one.compress(body) + one.flush()


def _weight(parameters: str) -> float:
    for parameter in parameters.split(";"):
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
