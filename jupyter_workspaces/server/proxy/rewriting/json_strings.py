"""Incremental rewriting of the strings in a JSON document; everything else passes byte by byte as it was."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

LONGEST_STRING = 64 * 2**10
"""Bytes. A longer string passes unchanged."""

DEEPEST = 100
"""Levels of nesting. What is nested deeper passes unchanged, and all that follows it."""

_IN_OBJECT = re.compile(rb'["{}\[\],:]')
_IN_ARRAY = re.compile(rb'["{}\[\]]')
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_REST_OF_STRING = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)


class JsonRewriter:
    """Calls `change` for each string value below an object, with the keys that lead there and the string.

    Arrays add no key. Feed it UTF-8 as it comes, then `finish`. What is not a JSON object passes unchanged.
    """

    def __init__(self, change: Callable[[Sequence[str], str], str]) -> None:
        self._change = change
        self._open = bytearray()  # the brackets that are open
        self._keys: list[str] = []  # the current key of each object that is open
        self._key_next = False
        self._passing = False
        self._string: bytearray | None = (
            None  # the string that is being read, held back because it may be changed
        )
        self._too_long = False
        self._escaping = False

    def feed(self, data: bytes) -> bytes:
        """Return what can be passed on."""
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
        """Return what was held back when the document ended."""
        held, self._string = bytes(self._string or b""), None
        return held

    def _between(self, data: bytes, position: int, out: list[bytes]) -> int:
        """Structure, and the strings in it that are complete in `data`."""
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
        """Follow which objects and arrays are open. What does not fit is not JSON: all that follows passes."""
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
        assert self._string is not None
        begin = position
        if self._escaping:
            self._escaping = False
            position += 1
        found = _REST_OF_STRING.match(data, position)
        position = found.end() if found is not None else position
        ended = False
        if position < len(data):  # a quote, or a backslash whose escaped byte has not come yet
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
        """The string itself, or what replaces it."""
        try:
            value = json.loads(token.decode()) if b"\\" in token else token[1:-1].decode()
        except ValueError:
            return token
        if self._key_next:
            self._keys[-1] = value
            return token
        changed = self._change(self._keys, value)
        return token if changed == value else json.dumps(changed).replace("<", "\\u003c").encode()
