"""Matches regular expressions of users and CRDs in linear time and bounded memory.

Kubernetes takes a schema's `pattern` as a Go regular expression, whose syntax is that of RE2
(https://github.com/google/re2/wiki/Syntax). Python's `re` has another syntax and backtracks:
`^(a+)+$` takes exponential time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import re2

MEMORY = 2 * 2**20
"""Largest size of a compiled expression in bytes.

`^.{0,1000}$` takes 0.2 MB, `^\\pL{1,63}$` 1.2 MB.
"""

WORK = 2 * 10**7
"""Limit of instructions × bytes for one object.

The worst case takes half a second (18 ns each), the common one milliseconds.
"""

COMPILING = 400_000
"""Limit of instructions in all expressions of one CRD; compiling them takes about 0.25 s."""

COMPILING_ONE = 100_000
"""Instructions counted for a refused expression, and left for one that is not compiled yet.

No expression within `MEMORY` has so many.
"""

WILDCARD_LENGTH = 256
SINGLE_WILDCARDS = 8
"""Limit of `?` in a wildcard pattern. Each may double the states of the automaton."""

_COMPILED = 64
_OPTIONS = re2.Options()
_OPTIONS.max_mem = MEMORY
_OPTIONS.log_errors = False
_OPTIONS.never_capture = True  # finding the positions of groups takes time
_WILDCARD = re.compile(r"[*?]")


class PatternError(ValueError):
    """A regular expression or wildcard pattern is invalid; the message says why."""


class TooMuchWork(ValueError):
    """Matching would take longer than the limit for one object."""


@dataclass
class Budget:
    """Remaining work, in any unit."""

    left: int = WORK

    def spend(self, work: int) -> None:
        """Subtract work. Raises `TooMuchWork` if less is left."""
        if work > self.left:
            raise TooMuchWork
        self.left -= work


def size(pattern: str) -> int:
    """Return the number of instructions of a compiled expression.

    Raises:
        PatternError: it is not valid RE2 syntax or needs more than `MEMORY`.
    """
    return int(_regexp(pattern).programsize)


def matches(pattern: str, text: str, budget: Budget) -> bool:
    """Return whether an expression matches anywhere in a text, as in Kubernetes.

    Raises:
        PatternError: the expression is invalid.
        TooMuchWork: the budget does not suffice.
    """
    found, data = _regexp(pattern), _utf8(text)
    budget.spend(int(found.programsize) * (len(data) + 1))
    return found.search(data) is not None


@lru_cache(maxsize=256)
def wildcards(pattern: str) -> Callable[[str], bool]:
    """Return a function that matches whole texts with a wildcard pattern.

    `*` matches any text and `?` one character. `fnmatch` uses Python's `re`.

    Raises:
        PatternError: the pattern is too long or has too many question marks.
    """
    if len(pattern) > WILDCARD_LENGTH:
        raise PatternError(f"must not be longer than {WILDCARD_LENGTH} letters")
    if pattern.count("?") > SINGLE_WILDCARDS:
        raise PatternError(f"must not have more than {SINGLE_WILDCARDS} question marks")
    if not _WILDCARD.search(pattern):
        return pattern.__eq__
    parts = {"*": ".*", "?": "."}
    compiled = _regexp(
        "(?s)^(?:"
        + "".join(parts.get(one) or re2.escape(one) for one in re.sub(r"\*+", "*", pattern))
        + ")$"
    )
    return lambda text: compiled.search(_utf8(text)) is not None


def _regexp(pattern: str) -> re2._Regexp:
    found = _compiled(pattern)
    if isinstance(found, str):
        raise PatternError(found)
    return found


@lru_cache(maxsize=_COMPILED)
def _compiled(pattern: str) -> re2._Regexp | str:
    """Return the compiled expression, or what is wrong with it.

    Errors are cached, too, because they cost as much to find.
    """
    try:
        return re2.compile(_utf8(pattern).decode(), _OPTIONS)
    except re2.error as error:
        why = error.args[0] if error.args else ""
        return why.decode(errors="replace") if isinstance(why, bytes) else str(why)


def _utf8(text: str) -> bytes:
    """Encode a text; half of a surrogate pair becomes U+FFFD, as in Go."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return "".join(
            "\ufffd" if "\ud800" <= letter <= "\udfff" else letter for letter in text
        ).encode()
