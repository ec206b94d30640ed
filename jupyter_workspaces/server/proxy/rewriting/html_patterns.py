"""Patterns of HTML's syntax for the tokenizer, on bytes of any encoding that contains ASCII. Pure.

They follow the states of https://html.spec.whatwg.org/multipage/parsing.html#tokenization. Each has
only one way to match, so a failed match does not backtrack and time is linear in the input.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

from .url_attributes import BEGINS_URL

_S = rb"\t\n\f\r "
LONGEST_MARK = len(b"</textarea>")

NAME_BYTES = rb"[a-zA-Z][^%s/>]*" % _S
# One attribute, and a byte after it.
_ATTRIBUTE = (
    rb"([^%(s)s/>][^%(s)s/>=]*)"
    rb"(?:[%(s)s]*=[%(s)s]*"
    rb"(?:\"([^\"]*)\"|'([^']*)'|([^%(s)s\"'>][^%(s)s>]*)(?=[%(s)s>])|(?=>))"
    rb"|(?=[%(s)s/>])(?=[%(s)s]*[^%(s)s=]))"
) % {b"s": _S}
_ATTRIBUTES = re.compile(_ATTRIBUTE)
REST_OF_TAG = rb"[%(s)s/]*(?:%(attribute)s[%(s)s/]*)*" % {b"s": _S, b"attribute": _ATTRIBUTE}
START_TAG = re.compile(rb"<(%s)(?=[%s/>])%s>" % (NAME_BYTES, _S, REST_OF_TAG))
TAG_NAME = re.compile(rb"<(%s)" % NAME_BYTES)
MARKUP_OPENINGS = frozenset((b"</", b"<!", b"<!-", b"<!--", b"<!---"))

_RAW_TEXT = (b"style", b"textarea", b"title", b"xmp", b"iframe", b"noembed", b"noframes")
# Complete text that no rewriter changes: text, comments, end tags, tags without attributes' values.
_NOT_CHANGED = (
    rb"[^<]+|<(?=[^a-zA-Z/!?])|</%(name)s(?:[%(s)s/][^>=]*)?>|</(?![a-zA-Z])[^>]*>"
    rb"|<(?!(?i:script|%(raw)s)[%(s)s/>])%(name)s(?:[%(s)s/][^>=]*)?>"
    rb"|<!--(?:-?>|(?s:.)*?--!?>)|<(?!!--)[!?][^>]*>"
    % {b"name": NAME_BYTES, b"raw": b"|".join(_RAW_TEXT), b"s": _S}
)
UNCHANGED = re.compile(rb"(?:%s)*" % _NOT_CHANGED)
# Also tags whose attributes contain no URL, for data without a workspace's path.
UNCHANGED_WITHOUT_PATH = re.compile(
    rb"(?:%s|<(?!(?i:script|%s)[%s/>])%s(?=[%s/])[%s/]*(?:(?!%s)%s[%s/]*)*>)*"
    % (_NOT_CHANGED, b"|".join(_RAW_TEXT), _S, NAME_BYTES, _S, _S, BEGINS_URL, _ATTRIBUTE, _S)
)

COMMENT_END = re.compile(rb"--!?>")
BOGUS_COMMENT_END = re.compile(rb">")
RAW_TEXT_ENDS = {name: re.compile(rb"</(?i:%s)[%s/>]" % (name, _S)) for name in _RAW_TEXT}
# For the states script data, script data escaped and script data double escaped.
SCRIPT_MARKS = (
    re.compile(rb"<(?:!--|/(?i:script)[%s/>])" % _S),
    re.compile(rb"-->|</?(?i:script)[%s/>]" % _S),
    re.compile(rb"-->|</(?i:script)[%s/>]" % _S),
)


class Attribute(NamedTuple):
    """One attribute of a start tag.

    `name` is in lower case. `value` is `tag[start:end]`, without quotes and not decoded.
    """

    name: bytes
    value: bytes
    start: int
    end: int


def attributes(tag: bytes) -> Iterator[Attribute]:
    """Yield the attributes with a value of a complete start tag, in order."""
    named = TAG_NAME.match(tag)
    for found in _ATTRIBUTES.finditer(tag, named.end() if named is not None else 0):
        if (group := found.lastindex) is not None and group > 1:
            yield Attribute(found[1].lower(), found[group], *found.span(group))


class TagPart(Enum):
    """Position of the tokenizer within a tag."""

    NAME = auto()
    BETWEEN = auto()
    ATTRIBUTE = auto()
    AFTER_ATTRIBUTE = auto()
    BEFORE_VALUE = auto()
    DOUBLE_QUOTED = auto()
    SINGLE_QUOTED = auto()
    UNQUOTED = auto()


class TagRule(NamedTuple):
    """Transition from one part of a tag to the next.

    `run` matches the bytes of the part, `after` is the part that follows, and `consumed` the number
    of bytes after the run that belong to the step.
    """

    run: re.Pattern[bytes]
    after: TagPart
    consumed: int
    at: dict[bytes, TagPart]
    """Parts that follow a particular byte."""


TAG_RULES = {
    TagPart.NAME: TagRule(re.compile(rb"[^%s/>]*" % _S), TagPart.BETWEEN, 0, {}),
    TagPart.BETWEEN: TagRule(re.compile(REST_OF_TAG), TagPart.ATTRIBUTE, 1, {}),
    TagPart.ATTRIBUTE: TagRule(
        re.compile(rb"[^%s/>=]*" % _S), TagPart.AFTER_ATTRIBUTE, 0, {b"=": TagPart.BEFORE_VALUE}
    ),
    TagPart.AFTER_ATTRIBUTE: TagRule(
        re.compile(rb"[%s]*" % _S), TagPart.BETWEEN, 0, {b"=": TagPart.BEFORE_VALUE}
    ),
    TagPart.BEFORE_VALUE: TagRule(
        re.compile(rb"[%s]*" % _S),
        TagPart.UNQUOTED,
        0,
        {b'"': TagPart.DOUBLE_QUOTED, b"'": TagPart.SINGLE_QUOTED},
    ),
    TagPart.DOUBLE_QUOTED: TagRule(re.compile(rb'[^"]*'), TagPart.BETWEEN, 1, {}),
    TagPart.SINGLE_QUOTED: TagRule(re.compile(rb"[^']*"), TagPart.BETWEEN, 1, {}),
    TagPart.UNQUOTED: TagRule(re.compile(rb"[^%s>]*" % _S), TagPart.BETWEEN, 0, {}),
}
