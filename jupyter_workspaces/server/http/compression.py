"""Compressed answers, as the original chooses them: zstd before gzip, from 1024 bytes on (contracts/kubeflow-workspaces.md §1.1)."""

from __future__ import annotations

import zlib
from typing import Protocol

import zstandard

COMPRESS_BYTES = 1024
_PREFERENCE = {"zstd": 2, "gzip": 1}
_ZSTD_LEVEL, _GZIP_LEVEL, _GZIP_FORMAT = 1, 1, 31


class Packer(Protocol):
    """Compresses a body piece by piece."""

    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


def encoding(accept: str) -> str | None:
    """The content coding for an Accept-Encoding header; None for as it is. `*` alone asks for nothing."""
    weights: dict[str, float] = {}
    for part in accept.lower().split(","):
        name, _, parameters = part.strip().partition(";")
        if name.strip() in _PREFERENCE:
            weights[name.strip()] = _weight(parameters)
    usable = [name for name, weight in weights.items() if weight > 0]
    return max(usable, key=lambda name: (weights[name], _PREFERENCE[name]), default=None)


def packer(name: str) -> Packer:
    """For a coding that `encoding` chose."""
    if name == "zstd":
        return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compressobj()
    return zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_FORMAT)


def packed(name: str, body: bytes) -> bytes:
    pack = packer(name)
    return pack.compress(body) + pack.flush()


def _weight(parameters: str) -> float:
    for parameter in parameters.split(";"):
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
