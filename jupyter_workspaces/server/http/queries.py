"""Parses query strings like Go's `net/url`, on which clients of the original server rely."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")


def parse(query: str) -> dict[str, list[str]]:
    """Return the values of a query string by name, in order.

    Invalid pairs (a broken escape in the name or value, a semicolon) are ignored, as in Go's
    `URL.Query`. Bytes that are not UTF-8 become replacement characters.
    """
    found: dict[str, list[str]] = {}
    for pair in query.split("&"):
        if not pair or ";" in pair or _BAD_ESCAPE.search(pair):
            continue
        name, _, value = pair.partition("=")
        found.setdefault(unquote_plus(name), []).append(unquote_plus(value))
    return found
