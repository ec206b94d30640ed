"""HTML on its way out: root-absolute addresses and the Lab's configuration get the server's base URL. Streams: holds back one tag at most."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from typing import Any, Protocol

from .rewriting import PublicPath

LONGEST_TAG = 64 * 2**10
LONGEST_CONFIG = 4 * 2**20
PIECE = 256 * 2**10

_QUOTE_OR_END = re.compile(rb"=\s*([\"'])|>")
_OPENING = re.compile(rb"<([a-zA-Z][^\s/>]*)")
_ATTRIBUTE = re.compile(rb"([^\s\"'<>/=]+)(\s*=\s*)(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'=<>`]+))")
_ADDRESSES = frozenset((b"src", b"href", b"action", b"formaction", b"poster"))
_RAW = frozenset((b"script", b"style", b"textarea", b"title"))
_CONFIG = re.compile(rb"\bid\s*=\s*[\"']?jupyter-config-data[\"'\s>]")


class Decoder(Protocol):
    def feed(self, data: bytes) -> Iterator[bytes]: ...


class Identity:
    """For bodies that are not compressed."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data


class Inflate:
    """gzip and deflate (RFC 9110 §8.4.1), in pieces of at most 256 KiB however much a chunk holds. Raises `zlib.error`."""

    def __init__(self) -> None:
        self._object = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._object.eof:  # a gzip file may have several members (RFC 1952 §2.2)
                self._object = zlib.decompressobj(zlib.MAX_WBITS | 32)
            piece = self._object.decompress(data, PIECE)
            if piece:
                yield piece
            data = self._object.unconsumed_tail or self._object.unused_data


def decoder(content_encoding: str) -> Decoder | None:
    """For a Content-Encoding, None when we cannot read it."""
    encoding = content_encoding.strip().lower()
    if encoding in ("", "identity"):
        return Identity()
    return Inflate() if encoding in ("gzip", "x-gzip", "deflate") else None


class HtmlRewriter:
    """Feed it the body's bytes as they come, then `finish`. Any encoding that has ASCII in it (UTF-8, Latin-1, …)."""

    def __init__(self, path: PublicPath) -> None:
        self._path = path
        self._rest = b""
        self._until: bytes | None = None  # inside a comment or a raw element: where it ends
        self._config: bytearray | None = None

    def feed(self, data: bytes) -> bytes:
        self._rest += data
        out = bytearray()
        while self._rest and (self._markup(out) if self._until is None else self._inside(out)):
            pass
        return bytes(out)

    def finish(self) -> bytes:
        """What was held back."""
        rest, self._rest = bytes(self._config or b"") + self._rest, b""
        self._config = None
        return rest

    def _inside(self, out: bytearray) -> bool:
        """Pass on what cannot be part of the end mark. False: wait for more."""
        assert self._until is not None
        end = self._rest.lower().find(self._until)
        length = end if end >= 0 else max(0, len(self._rest) - len(self._until) + 1)
        piece, self._rest = self._rest[:length], self._rest[length:]
        if self._config is None:
            out += piece
        else:
            self._config += piece
            if end >= 0 or len(self._config) > LONGEST_CONFIG:
                out += configured(bytes(self._config), self._path) if end >= 0 else self._config
                self._config = None
        if end >= 0:
            self._until = None
            if not self._rest.startswith(b"<"):  # a comment's end mark is no tag of its own
                out += self._rest[:3]
                self._rest = self._rest[3:]
        return end >= 0

    def _markup(self, out: bytearray) -> bool:
        """Pass on text up to a tag, or one tag. False: wait for more."""
        start = self._rest.find(b"<")
        if start != 0:
            length = start if start > 0 else len(self._rest)
            out += self._rest[:length]
            self._rest = self._rest[length:]
            return True
        if len(self._rest) < 4 and b"<!--".startswith(self._rest):
            return False
        if self._rest.startswith(b"<!--"):
            self._until = b"-->"
            out += self._rest[:4]
            self._rest = self._rest[4:]
            return True
        opening = _OPENING.match(self._rest)
        end = tag_end(self._rest) if opening is not None else 1
        if end is None and len(self._rest) <= LONGEST_TAG:
            return False
        if opening is None or end is None:
            out += b"<"
            self._rest = self._rest[1:]
            return True
        tag, self._rest = self._rest[:end], self._rest[end:]
        out += self._tag(tag)
        if (name := opening[1].lower()) in _RAW:
            self._until = b"</" + name
            if name == b"script" and _CONFIG.search(tag):
                self._config = bytearray()
        return True

    def _tag(self, tag: bytes) -> bytes:
        def replace(found: re.Match[bytes]) -> bytes:
            if found[1].lower() not in _ADDRESSES:
                return found[0]
            value = next(group for group in found.groups()[2:] if group is not None)
            outside = self._path.outward(value.decode("latin-1")).encode("latin-1")
            start = found[0].index(value, len(found[1]) + len(found[2])) if value else len(found[0])
            return found[0][:start] + outside + found[0][start + len(value) :]

        return _ATTRIBUTE.sub(replace, tag)


def tag_end(text: bytes) -> int | None:
    """Where the tag that begins `text` ends; a `>` in a quoted value does not end it. None: not in here."""
    position = 0
    while found := _QUOTE_OR_END.search(text, position):
        if found[1] is None:
            return found.end()
        closing = text.find(found[1], found.end())
        if closing < 0:
            return None
        position = closing + 1
    return None


def configured(text: bytes, path: PublicPath) -> bytes:
    """The Lab's `jupyter-config-data` with its addresses put outside. As it was if it is not JSON."""
    try:
        config = json.loads(text)
    except ValueError:
        return text
    if not isinstance(config, dict):
        return text
    return json.dumps(_outside(config, path)).replace("<", "\\u003c").encode()


def _outside(value: Any, path: PublicPath, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _outside(entry, path, name) for name, entry in value.items()}
    if isinstance(value, list):
        return [_outside(entry, path, key) for entry in value]
    if not isinstance(value, str):
        return value
    # `appUrl` and its like are relative to `baseUrl` in spite of their slash, so only what names the root is changed.
    full = key == "baseUrl" or (key.startswith("full") and key.endswith("Url"))
    own = value.startswith(path.inner) or value == path.inner[:-1]
    return path.outward(value) if own or (path.removed and full) else value
