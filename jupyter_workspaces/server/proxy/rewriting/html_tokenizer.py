"""Incremental HTML tokenizer that finds start tags, raw text and comments in a stream of bytes.

Every byte is scanned once, wherever the stream is cut, so time is linear in the input. Only an
incomplete start tag is held back, up to `LONGEST_TAG`.

No library is used: `html.parser`, html5lib and lxml return decoded tokens or trees, from which the
bytes of the page cannot be restored.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

from .html_patterns import (
    BOGUS_COMMENT_END,
    COMMENT_END,
    LONGEST_MARK,
    MARKUP_OPENINGS,
    RAW_TEXT_ENDS,
    SCRIPT_MARKS,
    START_TAG,
    TAG_NAME,
    TAG_RULES,
    UNCHANGED,
    UNCHANGED_WITHOUT_PATH,
    TagPart,
)
from .url_attributes import PATH_MARK

LONGEST_TAG = 64 * 2**10
"""Bytes. A longer start tag stays unchanged."""

State = Callable[[bytes, int, "list[bytes]"], int]
"""Processes data from a position, and appends output. Returns the next state's position."""


class HtmlTokenizer:
    """Returns HTML unchanged, byte for byte. Subclasses change start tags and raw text.

    Works on any encoding that contains ASCII (UTF-8, Latin-1, Shift JIS and others). Feed it the
    bytes as they arrive, then call `finish`.
    """

    def __init__(self) -> None:
        """Start before the first byte."""
        self._state: State = self._text
        self._unchanged = UNCHANGED
        self._held = bytearray()  # bytes since `<` that may be changed
        self._holding = False
        self._part = TagPart.NAME
        self._name = b""  # name of the current start tag, once it is too long to be held
        self._mark = BOGUS_COMMENT_END  # end of the current comment or raw text
        self._tail = b""  # output that may be the beginning of a mark
        self._element = b""  # name of the current raw text element
        self._escaped = 0

    def start_tag(self, name: bytes, tag: bytes) -> bytes:
        """Return the replacement of a start tag of at most `LONGEST_TAG` bytes.

        `name` is in lower case.
        """
        return tag

    def raw_text(self, data: bytes) -> bytes:
        """Return the replacement of a piece of raw text (script, style and others).

        The last piece contains the beginning of the end tag.
        """
        return data

    def raw_text_end(self) -> bytes:
        """Return what `raw_text` holds back at the end of an element."""
        return b""

    def feed(self, data: bytes) -> bytes:
        """Return the output that is complete after `data`."""
        out: list[bytes] = []
        position = 0
        self._unchanged = UNCHANGED if PATH_MARK in data else UNCHANGED_WITHOUT_PATH
        while position < len(data):
            position = self._state(data, position, out)
        return b"".join(out)

    def finish(self) -> bytes:
        """Return the rest of the output."""
        held, self._held = bytes(self._held), bytearray()
        return held + self.raw_text_end()

    def _text(self, data: bytes, position: int, out: list[bytes]) -> int:
        """Process text, and tags and comments that are complete in `data`."""
        begin = position
        while position < len(data):
            start = _end(self._unchanged, data, position, position + LONGEST_TAG)
            tag = START_TAG.match(data, start, start + LONGEST_TAG)
            if tag is not None:
                name = tag[1].lower()
                out += (data[begin:start], self.start_tag(name, tag[0]))
                begin = position = tag.end()
                if self._enter(name):
                    return position
            elif start > position:
                position = start
            else:
                out.append(data[begin:start])
                self._held += b"<"
                self._state = self._opening
                return start + 1
        out.append(data[begin:])
        return len(data)

    def _opening(self, data: bytes, position: int, out: list[bytes]) -> int:
        """Process one byte after `<`, `</` or `<!`, which decides what begins there."""
        opening, byte = bytes(self._held), data[position : position + 1]
        if opening + byte in MARKUP_OPENINGS:
            self._held += byte
            return position + 1
        if opening == b"<" and byte.isalpha():
            self._begin_tag(holding=True)
            return position
        out.append(opening)
        self._held.clear()
        if opening == b"</" and byte.isalpha():
            self._begin_tag(holding=False)
        elif opening in (b"<!--", b"<!---") and byte != b">":
            self._search(COMMENT_END, opening[4:])
        elif opening in (b"<!", b"<!-") or (opening == b"</" and byte != b">") or byte == b"?":
            self._search(BOGUS_COMMENT_END)
        else:
            self._state = self._text
        return position

    def _begin_tag(self, *, holding: bool) -> None:
        self._state, self._part, self._holding, self._name = self._tag, TagPart.NAME, holding, b""

    def _tag(self, data: bytes, position: int, out: list[bytes]) -> int:
        """Process a tag that was not complete where it began."""
        begin, ended = position, False
        while not ended and position < len(data):
            rule = TAG_RULES[self._part]
            position = _end(rule.run, data, position)
            if position == len(data):
                break
            byte = data[position : position + 1]
            ended = byte == b">" and self._part in (TagPart.BETWEEN, TagPart.BEFORE_VALUE)
            consumed = 1 if ended or byte in rule.at else rule.consumed
            self._part = rule.at.get(byte, rule.after)
            position += consumed
        if not self._holding:
            out.append(data[begin:position])
        else:
            self._held += data[begin:position]
            if ended or len(self._held) > LONGEST_TAG:
                self._release_tag(out)
        if ended:
            name, self._name = self._name, b""
            self._state = self._text
            self._enter(name)
        return position

    def _release_tag(self, out: list[bytes]) -> None:
        """Write the held start tag, changed if it is complete."""
        tag = bytes(self._held)
        self._held.clear()
        self._holding = False
        named = TAG_NAME.match(tag)
        self._name = named[1].lower() if named is not None else b""
        out.append(tag if len(tag) > LONGEST_TAG else self.start_tag(self._name, tag))

    def _enter(self, name: bytes) -> bool:
        """Enter raw text if a start tag's element contains it. Returns whether it does."""
        if name == b"script":
            self._escaped = 0
            self._search(SCRIPT_MARKS[0])
        elif name in RAW_TEXT_ENDS:
            self._search(RAW_TEXT_ENDS[name])
        else:
            return False
        self._element = name
        return True

    def _search(self, mark: re.Pattern[bytes], tail: bytes = b"") -> None:
        """Enter the state that ends at `mark`, of which `tail` may have been written already."""
        self._state, self._mark, self._tail, self._element = self._inside, mark, tail, b""

    def _inside(self, data: bytes, position: int, out: list[bytes]) -> int:
        """Process a comment or raw text."""
        end, mark = self._find_mark(data, position)
        piece = data[position:end]
        if mark is None:
            self._tail = (self._tail + piece[-LONGEST_MARK:])[-LONGEST_MARK:]
            out.append(self.raw_text(piece) if self._element else piece)
            return end
        if not self._element:
            out.append(piece)
            self._state = self._text
            return end
        if mark in (b"<!--", b"-->") or mark[1:2] != b"/" or self._escaped == 2:
            self._escape(mark)
            out.append(self.raw_text(piece))
            return end
        out += (self.raw_text(piece[:-1]), self.raw_text_end())
        if mark.endswith(b">"):
            out.append(b">")
            self._state, self._element = self._text, b""
            return end
        self._begin_tag(holding=False)
        self._part, self._element = TagPart.BETWEEN, b""
        return end - 1

    def _find_mark(self, data: bytes, position: int) -> tuple[int, bytes | None]:
        """Return the end of the next mark in `data`, which may begin in the tail, and the mark."""
        tail = self._tail
        if tail:
            near = self._mark.search(tail + data[position : position + LONGEST_MARK])
            if near is not None and near.start() < len(tail):
                return position + near.end() - len(tail), near[0]
        far = self._mark.search(data, position)
        return (len(data), None) if far is None else (far.end(), far[0])

    def _escape(self, mark: bytes) -> None:
        """Follow `<!-- <script> </script> -->` in a script, which does not end the element."""
        if mark == b"-->":
            self._escaped = 0
        elif mark == b"<!--" or self._escaped == 2:
            self._escaped = 1
        else:
            self._escaped = 2
        self._mark = SCRIPT_MARKS[self._escaped]
        self._tail = mark[2:] if mark == b"<!--" else b""  # `<!-->` is both marks


def _end(run: re.Pattern[bytes], data: bytes, position: int, limit: int = sys.maxsize) -> int:
    """Return the end of a run, which may be empty."""
    found = run.match(data, position, limit)
    return position if found is None else found.end()
