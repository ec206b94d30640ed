"""The YAML reader: values as in JSON, and early refusal of what is too large."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from jupyter_workspaces.common.documents import yaml_text
from jupyter_workspaces.common.documents.bounds import (
    Bounds,
    DocumentError,
    TooDeep,
    TooLarge,
)

SMALL = Bounds(size=2000, depth=5, values=50)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# nothing", None),
        ("a: 1\nb: -2\nc: 1.5\nd: 0x10\ne: 1e3\nf: 1.0e+3",
         {"a": 1, "b": -2, "c": 1.5, "d": 16, "e": "1e3", "f": 1000.0}),
        ("[yes, no, on, 'yes', ~, null, !!str 5, !!int '5', !!float 1, ! 5]",
         [True, False, True, "yes", None, None, "5", 5, 1.0, "5"]),
        ("[2026-01-02, 2026-01-02T03:04:05Z, 12:30, 1:2:3.5]",
         ["2026-01-02", "2026-01-02T03:04:05Z", "12:30", "1:2:3.5"]),
        ("{1: a, true: b, 1.5: c, '': d}", {"1": "a", "true": "b", "1.5": "c", "": "d"}),
        ("a: &x {b: 1}\nc: *x\nd: &y text\ne: *y",
         {"a": {"b": 1}, "c": {"b": 1}, "d": "text", "e": "text"}),
        ("a: &x {b: 1, c: 2}\nd: {b: 3, <<: *x}", {"a": {"b": 1, "c": 2}, "d": {"b": 3, "c": 2}}),
        ("a: &x {b: 1}\nc: &y {b: 2, d: 3}\ne: {<<: [*x, *y]}\nf: ['<<']", {
            "a": {"b": 1}, "c": {"b": 2, "d": 3}, "e": {"b": 1, "d": 3}, "f": ["<<"],
        }),
        ("|\n a\n b\n", "a\nb\n"),
        ("\ufeffa: ü", {"a": "ü"}),
    ],
)  # fmt: skip
def test_what_is_taken(text: str, value: Any) -> None:
    assert yaml_text.load(text.encode()) == value


def test_what_an_alias_stands_for_is_a_copy() -> None:
    found = yaml_text.load("a: &x [{b: 1}]\nc: *x")
    found["a"][0]["b"] = 2
    assert found["c"] == [{"b": 1}]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"a: [", "expected"),
        (b"\xff", "not UTF-8"),
        (b"a: *x", "undefined alias 'x'"),
        (b"a: &x [*x]", "is inside the value that it refers to"),
        (b"? [a]\n: b", "a key must be a text"),
        (b"{null: a}", "a key must be a text, not null"),
        (b"a: .nan", "not a number in JSON"),
        (b"a: -.inf", "not a number in JSON"),
        (b"a: 1.0e+999", "not a number in JSON"),
        (b"a: " + b"9" * 500, "more than 400 digits"),
        (b"!!python/object/apply:os.system [true]", "is not taken"),
        (b"!!set {a}", "is not taken"),
        (b"!!binary eA==", "is not taken"),
        (b"!!int x", "is not what its tag 'int' says"),
        (b"<<: 5", "<< takes a mapping"),
        (b"--- a\n--- b", "another one"),
        (b"%TAG !a! b\n" * 20 + b"--- a", "directives"),
        ('a: "\ud800"'.encode("utf-8", "surrogatepass"), "not UTF-8"),
    ],
)
def test_what_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(DocumentError, match=why):
        yaml_text.load(text)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a" * 2001, TooLarge),
        ("[" + "1," * 60 + "1]", TooLarge),
        ("[[[[[[1]]]]]]", TooDeep),
        ("a: &x [1, 1, 1, 1, 1, 1]\nb: [" + "*x, " * 8 + "1]", TooLarge),
        ("a: &x " + "x" * 500 + "\nb: [*x, *x, *x, *x]", TooLarge),
        ("- a\n---\n" * 30, TooLarge),
    ],
)
def test_bounds(text: str, error: type[DocumentError]) -> None:
    with pytest.raises(error):
        yaml_text.load_all(text, SMALL)


def test_keys_that_stand_twice_are_told_and_those_that_override_what_is_merged_are_not() -> None:
    found = next(yaml_text.read("a: 1\nb: {c: 1, c: 2}\na: 2"))
    assert (found.value, found.repeated) == ({"a": 2, "b": {"c": 2}}, ["c", "a"])
    assert next(yaml_text.read("x: &x {a: 1}\ny: {<<: *x, a: 2}")).repeated == []


def test_without_libyaml_the_bounds_are_tighter() -> None:
    program = (
        "import sys; sys.modules['yaml._yaml'] = None\n"
        "from jupyter_workspaces.common.documents import yaml_text\n"
        "assert not yaml_text.FAST\n"
        "assert yaml_text.load('a: &x [1, 2]\\nb: {<<: {c: 1}, d: *x}') == "
        "{'a': [1, 2], 'b': {'c': 1, 'd': [1, 2]}}\n"
        "assert yaml_text.BODY.size == 32 * 1024 and yaml_text.BODY.values == 5000\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
