"""Users' regular expressions and wildcards: Go's syntax, linear time, limited memory."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from jupyter_workspaces.common import patterns
from jupyter_workspaces.kube.schemas import formats
from jupyter_workspaces.kube.schemas.structural import validate

NEVER = 5.0
"""Seconds that a loaded machine may take for what backtracking would never finish."""


def seconds(does: Callable[[], object]) -> float:
    start = time.perf_counter()
    does()
    return time.perf_counter() - start


def matches(pattern: str, text: str) -> bool:
    return patterns.matches(pattern, text, patterns.Budget())


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        pytest.param("b", "abc", True, id="found anywhere"),
        pytest.param("^b", "abc", False, id="anchored"),
        pytest.param("^a$", "a\n", False, id="the end is the very end"),
        pytest.param("(?m)^a$", "b\na\n", True, id="lines when asked for"),
        pytest.param(r"^\pL+$", "äß", True, id="classes of Unicode"),
        pytest.param(r"^[[:alpha:]]+$", "abc", True, id="classes of POSIX"),
        pytest.param(r"^\Qa.b\E$", "a.b", True, id="quoted"),
        pytest.param(r"^a\z", "a", True, id="the end of the text"),
        pytest.param("^.$", "€", True, id="a letter of several bytes"),
        pytest.param("^.$", "\ud800", True, id="half of a surrogate pair"),
        pytest.param(r"^\d$", "٣", False, id="digits are ASCII"),
        pytest.param("a*?b", "aab", True, id="not greedy"),
    ],
)
def test_a_pattern_means_what_go_means(pattern: str, text: str, expected: bool) -> None:
    assert matches(pattern, text) is expected


@pytest.mark.parametrize(
    "pattern",
    ["(", r"(a)\1", "a(?=b)", "(?<!a)b", r"a\Z", "a{1001}", "(a{1000}){1000}", "[b-a]", "*"],
)
def test_what_go_refuses_is_refused(pattern: str) -> None:
    with pytest.raises(patterns.PatternError):
        patterns.size(pattern)


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|a)*$", "(a*)*b", "^(a?){60}a{60}$"])
def test_a_pattern_that_backtracks_takes_linear_time(pattern: str) -> None:
    assert seconds(lambda: matches(pattern, "a" * 10_000 + "!")) < NEVER


def test_a_pattern_that_is_too_large_is_refused_before_it_takes_memory() -> None:
    with pytest.raises(patterns.PatternError, match="too large"):
        patterns.size(r"^(\pL\pN){500}$")


def test_matching_is_refused_when_it_would_take_long() -> None:
    pattern, text = "[^b]*.{500}.{500}c", "a" * 100_000
    with pytest.raises(patterns.TooMuchWork):
        matches(pattern, text)


def test_an_object_has_one_budget_for_all_of_its_texts() -> None:
    schema = {"type": "array", "items": {"type": "string", "pattern": "[^b]*.{500}.{500}c|^a*$"}}
    few, many = ["a" * 100] * 10, ["a" * 100] * 1000
    assert validate(schema, few) == []
    took = seconds(lambda: validate(schema, many))
    assert "too long to be matched" in validate(schema, many)[-1].message
    assert took < NEVER


def test_a_pattern_that_is_invalid_is_said_of_the_value_and_fails_nothing_else() -> None:
    (cause,) = validate({"type": "string", "pattern": "a(?=b)"}, "ab")
    assert cause.reason == "FieldValueInvalid"
    assert "the pattern is invalid" in cause.message


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        pytest.param("a*c", "abbc", True, id="any letters"),
        pytest.param("a*c", "ac", True, id="no letters"),
        pytest.param("a*", "a\nb", True, id="lines are letters"),
        pytest.param("a?c", "abc", True, id="one letter"),
        pytest.param("a?c", "ac", False, id="one letter, not none"),
        pytest.param("?", "€", True, id="one letter of several bytes"),
        pytest.param("[a]*", "abc", False, id="brackets are letters"),
        pytest.param("[a]*", "[a]bc", True, id="brackets are found"),
        pytest.param("a.c*", "abc", False, id="a dot is a dot"),
        pytest.param("", "", True, id="nothing is nothing"),
        pytest.param("**", "abc", True, id="stars in a row"),
        pytest.param("b", "abc", False, id="the whole text"),
    ],
)
def test_wildcards(pattern: str, text: str, expected: bool) -> None:
    assert patterns.wildcards(pattern)(text) is expected


def test_wildcards_take_linear_time() -> None:
    fits = patterns.wildcards("*a" * 100 + "*b?*c????")
    assert seconds(lambda: fits("a" * 1_000_000)) < NEVER


@pytest.mark.parametrize("pattern", ["a" * 257, "?" * 9])
def test_wildcards_are_bounded(pattern: str) -> None:
    with pytest.raises(patterns.PatternError):
        patterns.wildcards(pattern)


def test_an_address_of_dots_takes_linear_time() -> None:
    assert seconds(lambda: formats.fits("email", "a@" + "." * 100_000 + " ")) < NEVER
