"""Regular expressions and wildcards that users and cluster objects bring, matched in linear time and bounded memory.

Kubernetes takes a schema's `pattern` as a Go regular expression, whose syntax is RE2's (https://github.com/google/re2/wiki/Syntax).
Python's `re` knows other syntax and backtracks: `^(a+)+$` never ends for thirty letters.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import re2

MEMORY = 2 * 2**20
"""Bytes that one compiled expression may take; a larger one is refused. `^.{0,1000}$` takes 0.2 MB, `^\\pL{1,63}$` 1.2 MB."""

WORK = 2 * 10**7
"""Instructions × bytes that matching one object may take: under half a second at worst (18 ns each), milliseconds as a rule."""

COMPILING = 400_000
"""Instructions that all expressions of one definition may have together: compiling them takes about a quarter of a second."""

COMPILING_ONE = 100_000
"""What is reckoned for one that is refused, and must be left for one that is not looked at yet: more than fits into `MEMORY`."""

WILDCARD_LENGTH = 256
SINGLE_WILDCARDS = 8
"""`?` in one text with wildcards. Each doubles the states of the automaton that looks for what stands around it."""

_COMPILED = 64
_OPTIONS = re2.Options()
_OPTIONS.max_mem = MEMORY
_OPTIONS.log_errors = False
_OPTIONS.never_capture = True  # positions of groups would cost time for each group
_WILDCARD = re.compile(r"[*?]")


class PatternError(ValueError):
    """A regular expression or a text with wildcards that cannot be used; the message says why."""


class TooMuchWork(ValueError):
    """Matching would take longer than is allowed for one object."""


@dataclass
class Budget:
    """Work that is left, in units of whoever spends it."""

    left: int = WORK

    def spend(self, work: int) -> None:
        """Raises `TooMuchWork` when less is left."""
        if work > self.left:
            raise TooMuchWork
        self.left -= work


def size(pattern: str) -> int:
    """Instructions of the compiled expression. Raises `PatternError` if it is not valid RE2 syntax or needs more than `MEMORY`."""
    return int(_regexp(pattern).programsize)


def matches(pattern: str, text: str, budget: Budget) -> bool:
    """Whether the expression is found anywhere in the text, as Kubernetes does. Raises `PatternError`, `TooMuchWork`."""
    found, data = _regexp(pattern), _utf8(text)
    budget.spend(int(found.programsize) * (len(data) + 1))
    return found.search(data) is not None


@lru_cache(maxsize=256)
def wildcards(pattern: str) -> Callable[[str], bool]:
    """A function that compares whole texts with one in which `*` stands for any letters and `?` for one. Raises `PatternError`."""
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
    """Compiled, else what is wrong with it: that is kept, too, because it costs as much to find out."""
    try:
        return re2.compile(_utf8(pattern).decode(), _OPTIONS)
    except re2.error as error:
        why = error.args[0] if error.args else ""
        return why.decode(errors="replace") if isinstance(why, bytes) else str(why)


def _utf8(text: str) -> bytes:
    """In UTF-8; half of a surrogate pair becomes U+FFFD, as Go decodes it."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return "".join(
            "\ufffd" if "\ud800" <= letter <= "\udfff" else letter for letter in text
        ).encode()
