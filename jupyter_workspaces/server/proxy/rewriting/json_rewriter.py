"""Rewrites the strings in a JSON document incrementally, and keeps all other bytes.

No library is used: incremental parsers (`ijson`) return events without the bytes of the document,
and what is not valid JSON must pass unchanged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

LONGEST_STRING = 64 * 2**10
"""Bytes of a string. A longer one stays unchanged."""

DEEPEST = 100
"""Levels of nesting. Deeper values stay unchanged, and everything after them."""

_IN_OBJECT = re.compile(rb'["{}\[\],:]')
_IN_ARRAY = re.compile(rb'["{}\[\]]')
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_REST_OF_STRING = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)


class JsonRewriter:
    """Replaces the string values of a JSON object in UTF-8.

    Feed it the bytes as they arrive, then call `finish`. What is not a JSON object stays unchanged.
    """

    def __init__(self, change: Callable[[Sequence[str], str], str]) -> None:
        """Start before the first byte.

        Args:
            change: Returns the replacement of a string value, given the keys that lead to it and
                the value. Arrays add no key.
        """
        self._change = change
        self._open = bytearray()  # the open brackets
        self._keys: list[str] = []  # the current key of each open object
        self._key_next = False
        self._passing = False
        self._string: bytearray | None = None  # the incomplete string, which may be changed
        self._too_long = False
        self._escaping = False

    def feed(self, data: bytes) -> bytes:
        """Return the output that is complete after `data`."""
        out: list[bytes] = []
        position = 0
        while position < len(data):
            if self._passing:
                out.append(data[position:])
                break
            position = (
                self._between(data, position, out)
                if self._string is None
                else self._in_string(data, position, out)
            )
        return b"".join(out)

    def finish(self) -> bytes:
        """Return the rest of the output."""
        held, self._string = bytes(self._string or b""), None
        return held

    def _between(self, data: bytes, position: int, out: list[bytes]) -> int:
        """Process structure, and strings that are complete in `data`. Returns the new position."""
        begin = position
        while not self._passing:
            found = (_IN_ARRAY if self._open.endswith(b"[") else _IN_OBJECT).search(data, position)
            if found is None:
                position = len(data)
                break
            position = found.end()
            if found[0] != b'"':
                self._structure(found[0])
            elif not self._open:
                self._passing = True
            elif (
                string := _STRING.match(data, position - 1, position + LONGEST_STRING - 1)
            ) is not None:
                token = string[0]
                if (changed := self._changed(token)) is not token:
                    out += (data[begin : position - 1], changed)
                    begin = string.end()
                position = string.end()
            else:
                out.append(data[begin : position - 1])
                self._string, self._too_long, self._escaping = bytearray(b'"'), False, False
                return position
        out.append(data[begin:position])
        return position

    def _structure(self, byte: bytes) -> None:
        """Follow the open objects and arrays. After invalid JSON, everything stays unchanged."""
        if byte == b"{":
            self._open += byte
            self._keys.append("")
            self._key_next = True
        elif byte == b"[":
            self._open += byte
            self._key_next = False
        elif byte == b":":
            self._key_next = False
        elif byte == b",":
            self._key_next = self._open[-1:] == b"{"
        elif self._open.endswith(b"{" if byte == b"}" else b"["):
            del self._open[-1]
            self._key_next = False
            if byte == b"}":
                self._keys.pop()
        else:
            self._passing = True
        self._passing = self._passing or len(self._open) > DEEPEST or self._open[:1] != b"{"

    def _in_string(self, data: bytes, position: int, out: list[bytes]) -> int:
        """Process a string that was not complete where it began. Returns the new position."""
        assert self._string is not None
        begin = position
        if self._escaping:
            self._escaping = False
            position += 1
        found = _REST_OF_STRING.match(data, position)
        position = found.end() if found is not None else position
        ended = False
        if position < len(data):  # a quote, or a backslash at the end of the data
            ended = data[position : position + 1] == b'"'
            self._escaping = not ended
            position += 1
        self._string += data[begin:position]
        if self._too_long or len(self._string) > LONGEST_STRING:
            self._too_long = True
            out.append(bytes(self._string))
            self._string.clear()
        elif ended:
            out.append(self._changed(bytes(self._string)))
        if ended:
            self._string = None
        return position

    def _changed(self, token: bytes) -> bytes:
        """Return the replacement of a string, or the same object."""
        try:
            value = json.loads(token.decode()) if b"\\" in token else token[1:-1].decode()
        except ValueError:
            return token
        if self._key_next:
            self._keys[-1] = value
            return token
        changed = self._change(self._keys, value)
        return token if changed == value else json.dumps(changed).replace("<", "\\u003c").encode()
