"""Incremental HTML tokenizer: finds start tags, raw text and comments in a stream of bytes.

Follows the states of https://html.spec.whatwg.org/multipage/parsing.html#tokenization for tags, attributes, comments, raw text
and script data. Every byte is looked at once, wherever the stream is cut, so time is linear in the input. Only an unfinished
start tag is held back, up to `LONGEST_TAG`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import NamedTuple

from .url_attributes import BEGINS_URL, PATH

LONGEST_TAG = 64 * 2**10
"""Bytes. A longer start tag passes unchanged."""

_S = rb"\t\n\f\r "
_LONGEST_MARK = len(b"</textarea>")

_NAME_BYTES = rb"[a-zA-Z][^%s/>]*" % _S
# One attribute, and a byte after it. It has one reading only, so a match that fails cannot backtrack into another one.
_ATTRIBUTE = (
    rb"([^%(s)s/>][^%(s)s/>=]*)"
    rb"(?:[%(s)s]*=[%(s)s]*(?:\"([^\"]*)\"|'([^']*)'|([^%(s)s\"'>][^%(s)s>]*)(?=[%(s)s>])|(?=>))|(?=[%(s)s/>])(?=[%(s)s]*[^%(s)s=]))"
) % {b"s": _S}
_ATTRIBUTES = re.compile(_ATTRIBUTE)
_REST_OF_TAG = rb"[%(s)s/]*(?:%(attribute)s[%(s)s/]*)*" % {b"s": _S, b"attribute": _ATTRIBUTE}
_START_TAG = re.compile(rb"<(%s)(?=[%s/>])%s>" % (_NAME_BYTES, _S, _REST_OF_TAG))
_NAME = re.compile(rb"<(%s)" % _NAME_BYTES)
_OPENINGS = frozenset((b"</", b"<!", b"<!-", b"<!--", b"<!---"))

_RAW_TEXT = (b"style", b"textarea", b"title", b"xmp", b"iframe", b"noembed", b"noframes")
# What no rewriter changes, as far as it is complete: text, comments, end tags, tags without values of attributes.
_NOT_CHANGED = (
    rb"[^<]+|<(?=[^a-zA-Z/!?])|</%(name)s(?:[%(s)s/][^>=]*)?>|</(?![a-zA-Z])[^>]*>"
    rb"|<(?!(?i:script|%(raw)s)[%(s)s/>])%(name)s(?:[%(s)s/][^>=]*)?>"
    rb"|<!--(?:-?>|(?s:.)*?--!?>)|<(?!!--)[!?][^>]*>"
    % {b"name": _NAME_BYTES, b"raw": b"|".join(_RAW_TEXT), b"s": _S}
)
_UNCHANGED = re.compile(rb"(?:%s)*" % _NOT_CHANGED)
# Where no workspace's path is in sight, tags whose attributes hold no URL as well.
_UNCHANGED_WITHOUT_PATH = re.compile(
    rb"(?:%s|<(?!(?i:script|%s)[%s/>])%s(?=[%s/])[%s/]*(?:(?!%s)%s[%s/]*)*>)*"
    % (_NOT_CHANGED, b"|".join(_RAW_TEXT), _S, _NAME_BYTES, _S, _S, BEGINS_URL, _ATTRIBUTE, _S)
)

_COMMENT_END = re.compile(rb"--!?>")
_BOGUS_COMMENT_END = re.compile(rb">")
_END_OF = {name: re.compile(rb"</(?i:%s)[%s/>]" % (name, _S)) for name in _RAW_TEXT}
# Script data, script data escaped, script data double escaped.
_SCRIPT = (
    re.compile(rb"<(?:!--|/(?i:script)[%s/>])" % _S),
    re.compile(rb"-->|</?(?i:script)[%s/>]" % _S),
    re.compile(rb"-->|</(?i:script)[%s/>]" % _S),
)


class Attribute(NamedTuple):
    """One attribute of a start tag. `value` is `tag[start:end]`, without quotes and not decoded; `name` is in lower case."""

    name: bytes
    value: bytes
    start: int
    end: int


def attributes(tag: bytes) -> Iterator[Attribute]:
    """Yield the attributes of a complete start tag, in order, those without a value left out."""
    named = _NAME.match(tag)
    for found in _ATTRIBUTES.finditer(tag, named.end() if named is not None else 0):
        if (group := found.lastindex) is not None and group > 1:
            yield Attribute(found[1].lower(), found[group], *found.span(group))


class _Part(Enum):
    """Where in a tag the tokenizer is."""

    NAME = auto()
    BETWEEN = auto()
    ATTRIBUTE = auto()
    AFTER_ATTRIBUTE = auto()
    BEFORE_VALUE = auto()
    DOUBLE_QUOTED = auto()
    SINGLE_QUOTED = auto()
    UNQUOTED = auto()


class _Rule(NamedTuple):
    """What a part runs over, and which part follows at the byte after that; `consumed` is how many bytes of it belong to the step."""

    run: re.Pattern[bytes]
    after: _Part
    consumed: int
    at: dict[bytes, _Part]
    """Parts that begin after one particular byte."""


_RULES = {
    _Part.NAME: _Rule(re.compile(rb"[^%s/>]*" % _S), _Part.BETWEEN, 0, {}),
    _Part.BETWEEN: _Rule(re.compile(_REST_OF_TAG), _Part.ATTRIBUTE, 1, {}),
    _Part.ATTRIBUTE: _Rule(
        re.compile(rb"[^%s/>=]*" % _S), _Part.AFTER_ATTRIBUTE, 0, {b"=": _Part.BEFORE_VALUE}
    ),
    _Part.AFTER_ATTRIBUTE: _Rule(
        re.compile(rb"[%s]*" % _S), _Part.BETWEEN, 0, {b"=": _Part.BEFORE_VALUE}
    ),
    _Part.BEFORE_VALUE: _Rule(
        re.compile(rb"[%s]*" % _S),
        _Part.UNQUOTED,
        0,
        {b'"': _Part.DOUBLE_QUOTED, b"'": _Part.SINGLE_QUOTED},
    ),
    _Part.DOUBLE_QUOTED: _Rule(re.compile(rb'[^"]*'), _Part.BETWEEN, 1, {}),
    _Part.SINGLE_QUOTED: _Rule(re.compile(rb"[^']*"), _Part.BETWEEN, 1, {}),
    _Part.UNQUOTED: _Rule(re.compile(rb"[^%s>]*" % _S), _Part.BETWEEN, 0, {}),
}


def _end(run: re.Pattern[bytes], data: bytes, position: int, limit: int = sys.maxsize) -> int:
    """Where a run that may be empty ends."""
    found = run.match(data, position, limit)
    return position if found is None else found.end()


State = Callable[[bytes, int, "list[bytes]"], int]
"""Takes the data, where to go on and what has been written; returns where the next state goes on."""


class Tokenizer:
    """Passes HTML on byte by byte as it was. A subclass changes start tags and raw text.

    Works on any encoding that has ASCII in it (UTF-8, Latin-1, Shift JIS and others). Feed it the bytes as they come, then `finish`.
    """

    def __init__(self) -> None:
        self._state: State = self._text
        self._unchanged = _UNCHANGED
        self._held = bytearray()  # what has been read since `<`, as long as it may be changed
        self._holding = False
        self._part = _Part.NAME
        self._name = (
            b""  # of the start tag that the tokenizer is in, once it is too long to be held
        )
        self._mark = (
            _BOGUS_COMMENT_END  # what ends the comment or raw text that the tokenizer is in
        )
        self._tail = b""  # what has been passed on and may be the beginning of a mark
        self._element = b""  # the raw text element that the tokenizer is in
        self._escaped = 0

    def start_tag(self, name: bytes, tag: bytes) -> bytes:
        """Return what replaces a start tag of at most `LONGEST_TAG` bytes. `name` is in lower case."""
        return tag

    def raw_text(self, data: bytes) -> bytes:
        """Return what replaces a piece of raw text (script, style and others); the last piece has the beginning of the end tag in it."""
        return data

    def raw_text_end(self) -> bytes:
        """Return what `raw_text` has held back."""
        return b""

    def feed(self, data: bytes) -> bytes:
        """Return what can be passed on."""
        out: list[bytes] = []
        position = 0
        self._unchanged = _UNCHANGED if PATH in data else _UNCHANGED_WITHOUT_PATH
        while position < len(data):
            position = self._state(data, position, out)
        return b"".join(out)

    def finish(self) -> bytes:
        """Return what was held back when the stream ended."""
        held, self._held = bytes(self._held), bytearray()
        return held + self.raw_text_end()

    def _text(self, data: bytes, position: int, out: list[bytes]) -> int:
        """Text, and the tags and comments in it that are complete in `data`."""
        begin = position
        while position < len(data):
            start = _end(self._unchanged, data, position, position + LONGEST_TAG)
            tag = _START_TAG.match(data, start, start + LONGEST_TAG)
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
        """Tag open, end tag open, markup declaration open and comment start states: one byte more of what is held."""
        opening, byte = bytes(self._held), data[position : position + 1]
        if opening + byte in _OPENINGS:
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
            self._search(_COMMENT_END, opening[4:])
        elif opening in (b"<!", b"<!-") or (opening == b"</" and byte != b">") or byte == b"?":
            self._search(_BOGUS_COMMENT_END)
        else:
            self._state = self._text
        return position

    def _begin_tag(self, *, holding: bool) -> None:
        self._state, self._part, self._holding, self._name = self._tag, _Part.NAME, holding, b""

    def _tag(self, data: bytes, position: int, out: list[bytes]) -> int:
        """A tag that was not complete where it began."""
        begin, ended = position, False
        while not ended and position < len(data):
            rule = _RULES[self._part]
            position = _end(rule.run, data, position)
            if position == len(data):
                break
            byte = data[position : position + 1]
            ended = byte == b">" and self._part in (_Part.BETWEEN, _Part.BEFORE_VALUE)
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
        """Write the start tag that is held: changed where it is complete, else as it was."""
        tag = bytes(self._held)
        self._held.clear()
        self._holding = False
        named = _NAME.match(tag)
        self._name = named[1].lower() if named is not None else b""
        out.append(tag if len(tag) > LONGEST_TAG else self.start_tag(self._name, tag))

    def _enter(self, name: bytes) -> bool:
        """Go on in raw text if that is what a start tag's element holds."""
        if name == b"script":
            self._escaped = 0
            self._search(_SCRIPT[0])
        elif name in _END_OF:
            self._search(_END_OF[name])
        else:
            return False
        self._element = name
        return True

    def _search(self, mark: re.Pattern[bytes], tail: bytes = b"") -> None:
        """Pass on all that comes before `mark`, of which `tail` may have been passed on already."""
        self._state, self._mark, self._tail, self._element = self._inside, mark, tail, b""

    def _inside(self, data: bytes, position: int, out: list[bytes]) -> int:
        """A comment or raw text."""
        end, mark = self._find_mark(data, position)
        piece = data[position:end]
        if mark is None:
            self._tail = (self._tail + piece[-_LONGEST_MARK:])[-_LONGEST_MARK:]
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
        self._part, self._element = _Part.BETWEEN, b""
        return end - 1

    def _find_mark(self, data: bytes, position: int) -> tuple[int, bytes | None]:
        """Where in `data` the next mark ends, and what it is; it may begin in the tail."""
        tail = self._tail
        if tail:
            near = self._mark.search(tail + data[position : position + _LONGEST_MARK])
            if near is not None and near.start() < len(tail):
                return position + near.end() - len(tail), near[0]
        far = self._mark.search(data, position)
        return (len(data), None) if far is None else (far.end(), far[0])

    def _escape(self, mark: bytes) -> None:
        """Follow `<!-- <script> </script> -->` in a script, in which `</script>` does not end the element."""
        if mark == b"-->":
            self._escaped = 0
        elif mark == b"<!--" or self._escaped == 2:
            self._escaped = 1
        else:
            self._escaped = 2
        self._mark = _SCRIPT[self._escaped]
        self._tail = mark[2:] if mark == b"<!--" else b""  # `<!-->` is both marks
