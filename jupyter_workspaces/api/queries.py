"""Query strings read as Go's `net/url` does, because the original's clients and recordings rely on it."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")


def parse(query: str) -> dict[str, list[str]]:
    """Values by name, each name's in their order.

    A pair that cannot be read (a broken escape in its name or value, a semicolon) counts as absent,
    as in Go's `URL.Query`; the others stay. Bytes that are no UTF-8 become replacement characters.
    """
    found: dict[str, list[str]] = {}
    for pair in query.split("&"):
        if not pair or ";" in pair or _BAD_ESCAPE.search(pair):
            continue
        name, _, value = pair.partition("=")
        found.setdefault(unquote_plus(name), []).append(unquote_plus(value))
    return found
