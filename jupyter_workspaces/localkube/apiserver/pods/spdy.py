"""Frames of SPDY/3.1 and their compressed headers, as far as port-forward tunnels need them.

Only kubectl's port-forward still uses SPDY, and no maintained Python library implements it. Source:
draft-mbelshe-httpbis-spdy-00, section 2.6.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING = 1, 2, 3, 4, 6
FIN = 0x01
PROTOCOL_ERROR, REFUSED_STREAM = 1, 3
MAX_CONTROL_BYTES = 64 * 1024
MAX_DATA_BYTES = 2**20
MAX_HEADER_BYTES = 256 * 1024
_HEAD = 8
_VERSION = 3
_STREAM = 2**31 - 1
_CONTROL = 0x80

_NAMES = """
options head post put delete trace accept accept-charset accept-encoding accept-language
accept-ranges age allow authorization cache-control connection content-base content-encoding
content-language content-length content-location content-md5 content-range content-type date etag
expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since
last-modified location max-forwards pragma proxy-authenticate proxy-authorization range referer
retry-after server te trailer transfer-encoding upgrade user-agent vary via warning
www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie keep-alive origin
"""
_TEXT = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Una"
    "uthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service"
    " UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, "
    "Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,applicat"
    "ion/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf"
    "-8charset=iso-8859-1,utf-,*,enq=0."
)


def _sized(text: str) -> bytes:
    return struct.pack(">I", len(text.encode())) + text.encode()


DICTIONARY = b"".join(_sized(name.replace("_", " ")) for name in _NAMES.split()) + _TEXT.encode()
"""Initial dictionary of the header compression (section 2.6.10.1)."""


class ProtocolError(Exception):
    """The data is not SPDY/3.1, or a frame exceeds the limits."""


@dataclass(frozen=True)
class Frame:
    """A received frame.

    Attributes:
        kind: type of a control frame; None for data.
        value: value of PING, RST_STREAM and GOAWAY.
    """

    kind: int | None
    stream: int = 0
    flags: int = 0
    data: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    value: int = 0

    @property
    def ends(self) -> bool:
        """Whether the frame is the last one of its stream."""
        return bool(self.flags & FIN)


class Decoder:
    """Decodes frames from a stream of bytes."""

    def __init__(self) -> None:
        """Create a decoder for one connection."""
        self._rest = bytearray()
        self._headers = zlib.decompressobj(zdict=DICTIONARY)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that are complete with this data.

        Raises:
            ProtocolError: if the data is not SPDY/3.1.
        """
        self._rest += data
        while len(self._rest) >= _HEAD:
            control = bool(self._rest[0] & _CONTROL)
            length = int.from_bytes(self._rest[5:8], "big")
            if length > (MAX_CONTROL_BYTES if control else MAX_DATA_BYTES):
                raise ProtocolError(f"a frame of {length} bytes")
            if len(self._rest) < _HEAD + length:
                return
            head, body = bytes(self._rest[:_HEAD]), bytes(self._rest[_HEAD : _HEAD + length])
            del self._rest[: _HEAD + length]
            yield (
                self._control(head, body)
                if control
                else Frame(None, int.from_bytes(head[:4], "big"), head[4], body)
            )

    def _control(self, head: bytes, body: bytes) -> Frame:
        version, kind = struct.unpack(">HH", head[:4])
        if version != _CONTROL << 8 | _VERSION:
            raise ProtocolError(f"version {version & 0x7FFF} of SPDY")
        try:
            match kind:
                case 1:
                    return Frame(
                        kind, _number(body, 0) & _STREAM, head[4], headers=self._block(body[10:])
                    )
                case 2 | 8:
                    return Frame(
                        kind, _number(body, 0) & _STREAM, head[4], headers=self._block(body[4:])
                    )
                case 3:
                    return Frame(kind, _number(body, 0) & _STREAM, value=_number(body, 4))
                case 6 | 7:
                    return Frame(kind, value=_number(body, 0))
        except (zlib.error, struct.error, UnicodeDecodeError) as error:
            raise ProtocolError(f"a frame of kind {kind} that cannot be read: {error}") from error
        return Frame(kind)

    def _block(self, data: bytes) -> dict[str, str]:
        """Return the headers of a block, names in lower case.

        All blocks of a connection are one compressed stream.
        """
        plain = self._headers.decompress(data, MAX_HEADER_BYTES)
        if self._headers.unconsumed_tail:
            raise ProtocolError(f"headers of more than {MAX_HEADER_BYTES} bytes")
        texts, at = [], 4
        for _ in range(2 * _number(plain, 0)):
            size = _number(plain, at)
            if at + 4 + size > len(plain):
                raise ProtocolError("a header longer than its frame")
            texts.append(plain[at + 4 : at + 4 + size].decode())
            at += 4 + size
        return {name.lower(): value for name, value in zip(texts[::2], texts[1::2], strict=True)}


class Encoder:
    """Encodes the frames that have headers, in the order in which they are sent."""

    def __init__(self) -> None:
        """Create an encoder for one connection."""
        self._headers = zlib.compressobj(zdict=DICTIONARY)

    def reply(self, stream: int) -> bytes:
        """Return the frame that accepts a stream of the client, without headers."""
        block = self._headers.compress(struct.pack(">I", 0)) + self._headers.flush(
            zlib.Z_SYNC_FLUSH
        )
        return _frame(SYN_REPLY, struct.pack(">I", stream) + block)

    def open(self, stream: int, headers: Mapping[str, str]) -> bytes:
        """Return the frame with which a client opens a stream."""
        pairs = b"".join(_sized(name) + _sized(value) for name, value in headers.items())
        block = self._headers.compress(
            struct.pack(">I", len(headers)) + pairs
        ) + self._headers.flush(zlib.Z_SYNC_FLUSH)
        return _frame(SYN_STREAM, struct.pack(">IIH", stream, 0, 0) + block)


def data_frame(stream: int, data: bytes, *, ends: bool = False) -> bytes:
    """Return a frame with data; `ends` closes the stream."""
    return (
        struct.pack(">I", stream)
        + bytes((FIN if ends else 0,))
        + len(data).to_bytes(3, "big")
        + data
    )


def reset_frame(stream: int, why: int) -> bytes:
    """Return the frame that refuses a stream."""
    return _frame(RST_STREAM, struct.pack(">II", stream, why))


def ping_frame(number: int) -> bytes:
    """Return a ping, or the reply to one with the same number."""
    return _frame(PING, struct.pack(">I", number))


def _frame(kind: int, body: bytes) -> bytes:
    return struct.pack(">HHI", _CONTROL << 8 | _VERSION, kind, len(body)) + body


def _number(data: bytes, at: int) -> int:
    found: int = struct.unpack_from(">I", data, at)[0]
    return found
