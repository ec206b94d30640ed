r"""Rewrites a workspace's addresses in any text: attributes, scripts, style sheets. Pure.

A workspace's path is long and unique, so its address is recognized wherever a URL can begin. Its
special characters may be escaped as in HTML (`&#x2F;`), JavaScript or JSON (`\/`, `\u002f`). The
text around an address is not parsed, so it may be cut anywhere, and time is linear in its length.

Text that browsers do not use as a URL stays: text of which an address is only a part, and
parameters of a query (`login?next=/workspace/…`), which the program reads again.
"""

from __future__ import annotations

import re
from functools import lru_cache

from .public_path import PublicPath
from .url_attributes import PATH_MARK

LONGEST_BEGINNING = 80
"""Number of bytes in front of a URL in which `_BEGINNING` is searched."""

_ESCAPED = {
    b"/": rb"(?:\\{0,7}/|\\{1,7}u002[fF]|\\{1,7}x2[fF]|&#(?:[xX]0{0,4}2[fF]|0{0,4}47);|&sol;)",
    b":": rb"(?::|\\{1,7}u003[aA]|\\{1,7}x3[aA]|&#(?:[xX]0{0,4}3[aA]|0{0,4}58);|&colon;)",
    b"-": rb"(?:-|\\{1,7}u002[dD]|\\{1,7}x2[dD]|&#(?:[xX]0{0,4}2[dD]|0{0,4}45);)",
    b".": rb"(?:\.|\\{1,7}u002[eE]|\\{1,7}x2[eE]|&#(?:[xX]0{0,4}2[eE]|0{0,4}46);|&period;)",
}
_LONGEST_ESCAPED = 12
_SLASH = _ESCAPED[b"/"]

# Text in front of a URL: a quote, `url(`, `src=`. But not `?next=`, a parameter of a query.
_BEGINNING = (
    rb"[\"'`]|\([\t\n\f\r ]{0,8}|\\u002[27]|\\x2[27]|&(?:quot|apos|#0{0,4}3[49]|#[xX]0{0,4}2[27]);"
    rb"|(?<![?&\\\w.-])(?<!&amp;)(?<!&#38;)[\w.-]{1,64}="
)
_IN_SCRIPT = re.compile(rb"(?:%s)\Z" % _BEGINNING)
_IN_VALUE = re.compile(rb"(?:\A|[\s,]|%s)\Z" % _BEGINNING)  # `srcset`, `ping` and others are lists
_HOST = re.compile(r"[A-Za-z0-9.:_\[\]-]{1,255}")


class _Patterns:
    """The patterns of one public path."""

    def __init__(self, path: PublicPath) -> None:
        # Without the port's id, because a program may know the workspace's other ports.
        own = path.inner[len(path.inner_base) :].rpartition("/")[0].rpartition("/")[0] + "/"
        self.own = re.compile(_escaped(own))
        self.longest = _longest(own)
        self.longest_front = _longest(
            "https://"
            + max(path.upstream, path.public, key=len)
            + max(path.base, path.inner_base, key=len)
        )
        upstream, public = (
            _escaped(host) if _HOST.fullmatch(host) else rb"(?!)"
            for host in (path.upstream, path.public)
        )
        self.front = re.compile(
            rb"(?:(?:(?P<scheme>(?i:http|ws)[sS]?)(?P<colon>%s))?"
            rb"(?P<slashes>%s{2})(?i:(?P<upstream>%s)|(?P<public>%s)))?"
            rb"(?:(?P<outer>%s)|(?P<inner>%s))(?P<slash>%s)\Z"
            % (
                _ESCAPED[b":"],
                _SLASH,
                upstream,
                public,
                _escaped(path.base[:-1]),
                _escaped(path.inner_base[:-1]),
                _SLASH,
            )
        )


def _escaped(text: str) -> bytes:
    """Return a pattern for the text with any escapes of its special characters."""
    letters = (bytes((letter,)) for letter in text.encode())
    return b"".join(_ESCAPED.get(letter) or re.escape(letter) for letter in letters)


def _longest(text: str) -> int:
    """Return the number of bytes of the text with all special characters escaped."""
    return len(text) + _LONGEST_ESCAPED * sum(text.count(letter.decode()) for letter in _ESCAPED)


@lru_cache(256)
def _patterns(path: PublicPath) -> _Patterns:
    return _Patterns(path)


class AddressRewriter:
    """Rewrites the addresses in text that is complete."""

    def __init__(self, path: PublicPath) -> None:
        """Prepare the patterns for a public path."""
        self._path = path
        self._patterns = _patterns(path)

    def in_value(self, text: bytes) -> bytes:
        """Return an attribute's value with its addresses rewritten."""
        if PATH_MARK not in text:
            return text
        changed, rest = self._changed(text, len(text), _IN_VALUE, 0)
        return changed + text[rest:]

    def _changed(
        self, text: bytes, end: int, boundary: re.Pattern[bytes], first: int
    ) -> tuple[bytes, int]:
        """Rewrite the addresses whose `workspace` begins in `text[first:end]`.

        Returns the text up to the last rewritten address, and the index in `text` after it.
        """
        parts: list[bytes] = []
        written = 0
        for found in self._patterns.own.finditer(text, first):
            at = found.start()
            if at >= end:
                break
            begin = max(written, at - self._patterns.longest_front)
            front = self._patterns.front.search(text, begin, at)
            replacement = front and self._replacement(
                front,
                boundary.search(text, max(0, front.start() - LONGEST_BEGINNING), front.start())
                is not None,
            )
            if front and replacement is not None:
                parts += (text[written : front.start()], replacement)
                written = at
        return b"".join(parts), written

    def _replacement(self, front: re.Match[bytes], begins: bool) -> bytes | None:
        """Return the replacement of the text in front of `workspace`, None if it stays."""
        base = self._path.base.encode().replace(b"/", front["slash"])
        if front["upstream"] is not None:
            if not _HOST.fullmatch(self._path.public):
                return None
            return b"".join(
                (self._scheme(front), front["slashes"], self._path.public.encode(), base)
            )
        if front["inner"] is None:
            return None
        if front["public"] is not None:
            return front[0][: front.start("inner") - front.start()] + base
        return base if begins else None

    def _scheme(self, front: re.Match[bytes]) -> bytes:
        """Return the scheme that browsers use, if the address has a scheme."""
        if front["scheme"] is None:
            return b""
        name = b"ws" if front["scheme"].lower().startswith(b"ws") else b"http"
        return name + (b"s" if self._path.scheme == "https" else b"") + front["colon"]


class ScriptRewriter(AddressRewriter):
    """Rewrites the addresses in scripts, style sheets and XML incrementally."""

    def __init__(self, path: PublicPath) -> None:
        """Prepare the patterns for a public path."""
        super().__init__(path)
        self._held = b""  # the end of the input, in which an address may begin
        self._seen = 0  # number of bytes of it that have been searched

    def feed(self, data: bytes) -> bytes:
        """Return the output that is complete after `data`."""
        return self._take(self._held + data, self._patterns.longest)

    def finish(self) -> bytes:
        """Return the rest of the output, and reset."""
        if not self._held:
            return b""
        rest = self._take(self._held, 0)
        rest, self._held, self._seen = rest + self._held, b"", 0
        return rest

    def _take(self, text: bytes, longest: int) -> bytes:
        end = max(self._seen, len(text) - longest)
        changed, written = self._changed(text, end, _IN_SCRIPT, self._seen)
        kept = max(written, end - self._patterns.longest_front - LONGEST_BEGINNING, 0)
        self._held, self._seen = text[kept:], end - kept
        return changed + text[written:kept]
