"""Cookies, parsed as browsers parse them. Pure.

Sources: RFC 6265 §5.2, and RFC 6265bis where browsers already follow it. Headers are bytes as
Latin-1 text: a character is a byte.

A cookie that a browser would parse differently must not reach it, so everything that this module
does not understand is dropped. That is why no library is used: `http.cookies` rejects names that
browsers accept (`a[b]`), drops all cookies after an error and quotes values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

COOKIE_BYTES = 4096
"""Size limit of name and value together (RFC 6265bis §5.6)."""

ATTRIBUTE_BYTES = 1024
"""Size limit of an attribute's value (RFC 6265bis §5.6). Longer ones are ignored."""

_SPACE = " \t"
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# Wider than a token (PHP names cookies `a[b]`), without characters that end a name for some
# servers.
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z()/:<>?@\[\]{}]+")
_MAX_AGE = re.compile(r"-?[0-9]+")
_SAME_SITE = {"strict": "Strict", "lax": "Lax", "none": "None"}


@dataclass(frozen=True)
class SetCookie:
    """One `Set-Cookie` header.

    `path` is None if the browser uses the directory of the requested page.
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
    """Parse a `Set-Cookie` header. Returns None for a cookie that must not be forwarded.

    These are cookies with control characters, with more than `COOKIE_BYTES`, with an empty name (a
    browser sends only the value of such a cookie, so `=_xsrf=1` reaches a server as `_xsrf=1`),
    with a name that servers parse differently, and with a name `__Secure-…` but without `Secure`.
    """
    if _CONTROL.search(header):
        return None
    pair, *attributes = header.split(";")
    name, mark, value = pair.partition("=")
    name, value = name.strip(_SPACE), value.strip(_SPACE)
    if not mark or not _NAME.fullmatch(name) or len(name) + len(value) > COOKIE_BYTES:
        return None
    found: dict[str, str] = {}
    for attribute in attributes:
        key, _, text = attribute.partition("=")
        key, text = key.strip(_SPACE).lower(), text.strip(_SPACE)
        if len(text) <= ATTRIBUTE_BYTES and not (key == "max-age" and not _MAX_AGE.fullmatch(text)):
            found[key] = text  # the last of several with one name counts
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
    """Yield the names and values of `Cookie` headers, without cookies that have no name."""
    for header in headers:
        for pair in header.split(";"):
            name, mark, value = pair.partition("=")
            name, value = name.strip(_SPACE), value.strip(_SPACE)
            if mark and name and not _CONTROL.search(pair):
                yield name, value


def default_path(page: str) -> str:
    """Return the path of a cookie without a `Path`, for the path of its page (RFC 6265 §5.1.4)."""
    return page[: page.rfind("/")] if page.count("/") > 1 else "/"
