"""Checks the number of values and the depth of a JSON text (RFC 8259) before it is decoded.

msgspec and json have no such limits.
"""

from __future__ import annotations

import re

from .bounds import Bounds, TooDeep, TooLarge

_BRACKETS = re.compile(rb"[\[{]+|[\]}]+")


def check(text: bytes, bounds: Bounds) -> None:
    """Check a JSON text. Raises `TooLarge`, `TooDeep` if it exceeds the limits."""
    if len(text) > bounds.size:
        raise TooLarge(f"The JSON is larger than {bounds.size} bytes.")
    if _structure(text) <= bounds.values and _opened(text) <= bounds.depth:
        return
    # Brackets and commas in strings do not count. Methods of bytes read the text several times,
    # which is still faster than one regular expression.
    unescaped = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    if unescaped.count(b'"') > 2 * bounds.values:
        raise _too_many(bounds)
    bare = b"".join(unescaped.split(b'"')[::2])
    if _opened(bare) - bare.count(b"]") - bare.count(b"}") > bounds.depth:
        raise _too_deep(bounds)
    if _structure(bare) > bounds.values:
        raise _too_many(bounds)
    depth = 0
    for run in _BRACKETS.finditer(bare):
        letters = run[0]
        depth += len(letters) if letters[0] in b"[{" else -len(letters)
        if depth > bounds.depth:
            raise _too_deep(bounds)


def _structure(text: bytes) -> int:
    """Return an upper bound of the number of values and keys: any two have a separator between."""
    return text.count(b",") + text.count(b":") + _opened(text)


def _opened(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")


def _too_deep(bounds: Bounds) -> TooDeep:
    return TooDeep(f"The JSON is nested deeper than {bounds.depth} levels.")


def _too_many(bounds: Bounds) -> TooLarge:
    return TooLarge(f"The JSON has more than {bounds.values} values. Send fewer of them.")
