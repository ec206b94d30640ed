"""Cookies as browsers read them. Pure.

Sources: RFC 6265 §5.2, and RFC 6265bis where browsers already follow it.

Headers are bytes as Latin-1 text: a character is a byte.

Whatever is not understood here is dropped. A cookie that a browser would read in another way than
this module does must not reach it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

COOKIE_BYTES = 4096
"""Name and value together (RFC 6265bis §5.6)."""

ATTRIBUTE_BYTES = 1024

_SPACE = " \t"
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# Wider than a token (PHP names cookies `a[b]`), without what some server takes
# for the end of a name.
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z()/:<>?@\[\]{}]+")
_MAX_AGE = re.compile(r"-?[0-9]+")
_SAME_SITE = {"strict": "Strict", "lax": "Lax", "none": "None"}


@dataclass(frozen=True)
class SetCookie:
    """One `Set-Cookie` header.

    `path` is None where the browser would use the directory of the requested page.
    """

    name: str
    value: str
    path: str | None = None
    expires: str | None = None
    max_age: str | None = None
    same_site: str | None = None
    secure: bool = False
    http_only: bool = False
    partitioned: bool = False

    def header(self, name: str, path: str) -> str:
        """Return the header's value for a cookie of this name at this path, without a domain."""
        parts = [f"{name}={self.value}", f"Path={path}"]
        parts += [
            f"{key}={value}"
            for key, value in (("Expires", self.expires), ("Max-Age", self.max_age))
            if value is not None
        ]
        flags = (
            ("Secure", self.secure),
            ("HttpOnly", self.http_only),
            (f"SameSite={self.same_site}", self.same_site is not None),
        )
        parts += [flag for flag, is_set in (*flags, ("Partitioned", self.partitioned)) if is_set]
        return "; ".join(parts)


def parse(header: str) -> SetCookie | None:
    """Parse a `Set-Cookie` header; None for a cookie that is refused.

    Refused are control characters, more than `COOKIE_BYTES`, an empty name (a browser sends such a
    cookie as its bare value, and `=_xsrf=1` would reach a server as `_xsrf=1`), a name that servers
    read in different ways, and `__Secure-` without `Secure`.
    """
    if _CONTROL.search(header):
        return None
    pair, *attributes = header.split(";")
    name, mark, value = pair.partition("=")
    name, value = name.strip(_SPACE), value.strip(_SPACE)
    if not mark or not _NAME.fullmatch(name) or _size(name) + _size(value) > COOKIE_BYTES:
        return None
    found: dict[str, str] = {}
    for attribute in attributes:
        key, _, said = attribute.partition("=")
        key, said = key.strip(_SPACE).lower(), said.strip(_SPACE)
        if _size(said) <= ATTRIBUTE_BYTES and not (
            key == "max-age" and not _MAX_AGE.fullmatch(said)
        ):
            found[key] = said  # of several with one name the last counts
    path = found.get("path", "")
    if name.lower().startswith("__secure-") and "secure" not in found:
        return None
    return SetCookie(
        name,
        value,
        path if path.startswith("/") else None,
        found.get("expires"),
        found.get("max-age"),
        _SAME_SITE.get(found.get("samesite", "").lower()),
        "secure" in found,
        "httponly" in found,
        "partitioned" in found,
    )


def pairs(headers: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Parse `Cookie` headers into names and values.

    Cookies without a name are left out, as `parse` never let one in.
    """
    for header in headers:
        for pair in header.split(";"):
            name, mark, value = pair.partition("=")
            name, value = name.strip(_SPACE), value.strip(_SPACE)
            if mark and name and not _CONTROL.search(pair):
                yield name, value


def default_path(page: str) -> str:
    """Return the path of a cookie that names none, by the page's path (RFC 6265 §5.1.4)."""
    return page[: page.rfind("/")] if page.count("/") > 1 else "/"


def _size(text: str) -> int:
    return len(text)
