"""Frames of SPDY/3.1."""

from __future__ import annotations

import struct
import zlib

import pytest

from jupyter_workspaces.localkube.apiserver.pods import spdy
from jupyter_workspaces.localkube.apiserver.pods.spdy import (
    Decoder,
    Encoder,
    Frame,
    ProtocolError,
)


def test_the_dictionary_is_that_of_other_implementations() -> None:
    # The number that other implementations announce (RFC 1950, DICTID).
    assert zlib.adler32(spdy.DICTIONARY) == 0xE3C6A7C2


def test_frames_are_decoded_from_any_chunks() -> None:
    encoder = Encoder()
    headers = {"streamtype": "data", "port": "8888", "requestid": "0"}
    sent = encoder.open(1, headers) + encoder.open(3, headers | {"streamtype": "error"})
    sent += (
        spdy.data_frame(1, b"some bytes")
        + spdy.data_frame(1, b"", ends=True)
        + spdy.ping_frame(5)
        + spdy.reset_frame(3, 7)
    )
    whole = list(Decoder().feed(sent))
    decoder = Decoder()
    pieces = [frame for at in range(len(sent)) for frame in decoder.feed(sent[at : at + 1])]

    assert whole == pieces
    assert whole == [
        Frame(spdy.SYN_STREAM, 1, headers=headers),
        Frame(spdy.SYN_STREAM, 3, headers=headers | {"streamtype": "error"}),
        Frame(None, 1, data=b"some bytes"),
        Frame(None, 1, flags=spdy.FIN),
        Frame(spdy.PING, value=5),
        Frame(spdy.RST_STREAM, 3, value=7),
    ]
    assert [frame.ends for frame in whole] == [False, False, False, True, False, False]


def test_unused_control_frames_are_ignored() -> None:
    settings = struct.pack(">HHI", 0x8003, spdy.SETTINGS, 4) + bytes(4)

    assert [frame.kind for frame in Decoder().feed(settings + spdy.ping_frame(1))] == [
        spdy.SETTINGS,
        spdy.PING,
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n" + bytes(2**20),
        struct.pack(">HHI", 0x8002, spdy.PING, 4) + bytes(4),
        struct.pack(">HHI", 0x8003, spdy.PING, 0),
        struct.pack(">HHI", 0x8003, spdy.SYN_STREAM, 2**20),
        struct.pack(">HHI", 0x8003, spdy.SYN_STREAM, 14) + bytes(14),
        struct.pack(">HHI", 0x8003, spdy.SYN_STREAM, 10) + bytes(10),
        struct.pack(">I", 1) + b"\0\xff\xff\xff",
    ],
)
def test_an_invalid_frame_raises_an_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(Decoder().feed(data))


def test_compressed_headers_are_bounded() -> None:
    bomb = zlib.compressobj(zdict=spdy.DICTIONARY)
    block = bomb.compress(struct.pack(">I", 1) + bytes(2**22)) + bomb.flush(zlib.Z_SYNC_FLUSH)
    frame = (
        struct.pack(">HHI", 0x8003, spdy.SYN_STREAM, 10 + len(block))
        + struct.pack(">IIH", 1, 0, 0)
        + block
    )

    with pytest.raises(ProtocolError, match="headers of more than"):
        list(Decoder().feed(frame))


def test_headers_with_a_wrong_length_raise_an_error() -> None:
    liar = zlib.compressobj(zdict=spdy.DICTIONARY)
    block = liar.compress(struct.pack(">II", 1, 2**31)) + liar.flush(zlib.Z_SYNC_FLUSH)
    frame = (
        struct.pack(">HHI", 0x8003, spdy.SYN_STREAM, 10 + len(block))
        + struct.pack(">IIH", 1, 0, 0)
        + block
    )

    with pytest.raises(ProtocolError):
        list(Decoder().feed(frame))
