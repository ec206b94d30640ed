"""Which compression a client gets, and that it can be read."""

from __future__ import annotations

import zlib

import pytest
import zstandard

from jupyter_workspaces.server.http import compression


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", None),
        ("*", None),
        ("identity", None),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("gzip, zstd", "zstd"),
        ("zstd;q=0.5, gzip", "gzip"),
        ("gzip;q=0", None),
        ("gzip;q=0.000, zstd;q=0.1", "zstd"),
        ("gzip;q=much", None),
        ("br, deflate", None),
    ],
)
def test_zstd_wins_where_both_are_as_welcome(accept: str, chosen: str | None) -> None:
    assert compression.encoding(accept) == chosen


def test_both_can_be_read_again() -> None:
    body = b"0123456789" * 1000

    assert zlib.decompress(compression.compressed("gzip", body), 31) == body
    assert (
        zstandard.ZstdDecompressor()
        .decompressobj()
        .decompress(compression.compressed("zstd", body))
        == body
    )
