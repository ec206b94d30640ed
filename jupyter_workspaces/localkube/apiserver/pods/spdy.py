"""SPDY/3.1 as far as a server of streams needs it: frames and their compressed headers (draft-mbelshe-httpbis-spdy-00, section 2.6)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY = 1, 2, 3, 4, 6, 7
FIN = 0x01
PROTOCOL_ERROR, REFUSED_STREAM = 1, 3
LONGEST_CONTROL = 64 * 1024
LONGEST_DATA = 2**20
HEADER_BYTES = 256 * 1024
_HEAD = 8
_VERSION = 3
_STREAM = 2**31 - 1
_CONTROL = 0x80

_NAMES = """options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow authorization
cache-control connection content-base content-encoding content-language content-length content-location content-md5 content-range
content-type date etag expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified location
max-forwards pragma proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade user-agent
vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie keep-alive origin"""
_TEXT = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found"
    "500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 "
    "Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,"
    "text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)


def _sized(text: str) -> bytes:
    return struct.pack(">I", len(text.encode())) + text.encode()


DICTIONARY = b"".join(_sized(name.replace("_", " ")) for name in _NAMES.split()) + _TEXT.encode()
"""What both sides know of headers before the first one (section 2.6.10.1)."""


class Broken(Exception):
    """What came is not SPDY/3.1, or larger than anybody needs."""


@dataclass(frozen=True)
class Frame:
    """`kind` is None for data. `value` is what PING, RST_STREAM and GOAWAY carry."""

    kind: int | None
    stream: int = 0
    flags: int = 0
    data: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    value: int = 0

    @property
    def ends(self) -> bool:
        return bool(self.flags & FIN)


class Decoder:
    """Frames out of bytes as they come."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._headers = zlib.decompressobj(zdict=DICTIONARY)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Raises `Broken`."""
        self._rest += data
        while len(self._rest) >= _HEAD:
            control = bool(self._rest[0] & _CONTROL)
            length = int.from_bytes(self._rest[5:8], "big")
            if length > (LONGEST_CONTROL if control else LONGEST_DATA):
                raise Broken(f"a frame of {length} bytes")
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
            raise Broken(f"version {version & 0x7FFF} of SPDY")
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
            raise Broken(f"a frame of kind {kind} that cannot be read: {error}") from error
        return Frame(kind)

    def _block(self, data: bytes) -> dict[str, str]:
        """Names in lower case and their values. All blocks of a connection are one compressed stream."""
        plain = self._headers.decompress(data, HEADER_BYTES)
        if self._headers.unconsumed_tail:
            raise Broken(f"headers of more than {HEADER_BYTES} bytes")
        texts, at = [], 4
        for _ in range(2 * _number(plain, 0)):
            size = _number(plain, at)
            if at + 4 + size > len(plain):
                raise Broken("a header longer than its frame")
            texts.append(plain[at + 4 : at + 4 + size].decode())
            at += 4 + size
        return {name.lower(): value for name, value in zip(texts[::2], texts[1::2], strict=True)}


class Encoder:
    """Bytes out of frames, in the order in which they are sent."""

    def __init__(self) -> None:
        self._headers = zlib.compressobj(zdict=DICTIONARY)

    def reply(self, stream: int) -> bytes:
        """Takes a stream that the other side opened; it has no headers of ours."""
        block = self._headers.compress(struct.pack(">I", 0)) + self._headers.flush(
            zlib.Z_SYNC_FLUSH
        )
        return _frame(SYN_REPLY, struct.pack(">I", stream) + block)

    def open(self, stream: int, headers: Mapping[str, str]) -> bytes:
        """What a client sends first."""
        pairs = b"".join(_sized(name) + _sized(value) for name, value in headers.items())
        block = self._headers.compress(
            struct.pack(">I", len(headers)) + pairs
        ) + self._headers.flush(zlib.Z_SYNC_FLUSH)
        return _frame(SYN_STREAM, struct.pack(">IIH", stream, 0, 0) + block)


def data_frame(stream: int, data: bytes, *, ends: bool = False) -> bytes:
    return (
        struct.pack(">I", stream)
        + bytes((FIN if ends else 0,))
        + len(data).to_bytes(3, "big")
        + data
    )


def reset_frame(stream: int, why: int) -> bytes:
    return _frame(RST_STREAM, struct.pack(">II", stream, why))


def ping_frame(number: int) -> bytes:
    return _frame(PING, struct.pack(">I", number))


def _frame(kind: int, body: bytes) -> bytes:
    return struct.pack(">HHI", _CONTROL << 8 | _VERSION, kind, len(body)) + body


def _number(data: bytes, at: int) -> int:
    found: int = struct.unpack_from(">I", data, at)[0]
    return found
