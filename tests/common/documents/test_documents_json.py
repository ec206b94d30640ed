"""Size of JSON texts, and JSON patches within limits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jupyter_workspaces.common.documents import json_patch, json_text
from jupyter_workspaces.common.documents.bounds import (
    Bounds,
    DocumentError,
    TooDeep,
    TooLarge,
)
from jupyter_workspaces.common.documents.json_patch import DoesNotFit, NotAPatch, TooManyOperations

SMALL = Bounds(size=2000, depth=5, values=50)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"1",
        json.dumps({"a": "[" * 900 + "," * 900}).encode(),
        json.dumps({"a": '"[[[[[[\\'} | {f"k{number}": '\\",' for number in range(10)}).encode(),
        b'"unfinished [[[[[[[[',
        b'["\\\\",[[[[1]]]]]',
    ],
)
def test_what_stands_in_texts_does_not_count(text: bytes) -> None:
    json_text.check(text, SMALL)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b" " * 2001, TooLarge),
        (b"[" + b"1," * 50 + b"1]", TooLarge),
        (b"[" + b'"",' * 50 + b'""]', TooLarge),
        (b"[" * 6, TooDeep),
        (b'["\\\\",[[[[[1]]]]]]', TooDeep),
        (b"[]," * 30, TooLarge),
        (b"[" * 51, TooDeep),
    ],
)
def test_what_is_too_much(text: bytes, error: type[DocumentError]) -> None:
    with pytest.raises(error):
        json_text.check(text, SMALL)


@pytest.mark.parametrize(
    ("operations", "wanted"),
    [
        ([], {"a": [1, 2], "b": {"c": "d"}}),
        ([{"op": "copy", "from": "/b", "path": "/e"},
          {"op": "replace", "path": "/e/c", "value": 1}],
         {"a": [1, 2], "b": {"c": "d"}, "e": {"c": 1}}),
        ([{"op": "move", "from": "/a/0", "path": "/a/1"}], {"a": [2, 1], "b": {"c": "d"}}),
        ([{"op": "test", "path": "/b/c", "value": "d"}, {"op": "remove", "path": "/a"}],
         {"b": {"c": "d"}}),
        ([{"op": "copy", "from": "", "path": ""}], {"a": [1, 2], "b": {"c": "d"}}),
        ([{"op": "replace", "path": "/new", "value": 1}], {"a": [1, 2], "b": {"c": "d"}, "new": 1}),
    ],
)  # fmt: skip
def test_patches_that_are_applied(operations: Any, wanted: Any) -> None:
    assert (
        json_patch.apply({"a": [1, 2], "b": {"c": "d"}}, operations, replaces_absent=True) == wanted
    )


@pytest.mark.parametrize(
    ("operations", "error"),
    [
        ({}, NotAPatch),
        ([5], NotAPatch),
        ([{"op": "unknown", "path": "/a"}], NotAPatch),
        ([{"path": "/a"}], NotAPatch),
        ([{"op": [], "path": "/a"}], NotAPatch),
        ([{"op": "add", "path": "/a"}], NotAPatch),
        ([{"op": "copy", "path": "/a"}], NotAPatch),
        ([{"op": "copy", "from": "/none", "path": "/a"}], DoesNotFit),
        ([{"op": "remove", "path": "/a/9"}], DoesNotFit),
        ([{"op": "remove", "path": "a"}], DoesNotFit),
        ([{"op": "test", "path": "/a", "value": 1}], DoesNotFit),
        ([{"op": "replace", "path": "/new", "value": 1}], DoesNotFit),
        ([{"op": "test", "path": ""}] * 10_001, TooManyOperations),
        ([{"op": "copy", "from": "", "path": "/a"}] * 5, TooLarge),
        ([{"op": "copy", "from": "/text", "path": f"/t{number}"} for number in range(8)], TooLarge),
        ([{"op": "add", "path": "/a", "value": [[[[[[1]]]]]]}], TooDeep),
        ([{"op": "add", "path": "/a", "value": list(range(60))}], TooLarge),
    ],
)
def test_patches_that_are_refused(operations: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        json_patch.apply(
            {"a": [1, 2], "b": {"c": "d"}, "text": "x" * 300}, operations, bounds=SMALL
        )


def test_what_is_copied_is_measured_before_it_is_copied() -> None:
    """Were each copy made first, this would take 2^40 values."""
    doubling = [{"op": "copy", "from": "/a", "path": f"/a/k{number}"} for number in range(40)]
    with pytest.raises(TooLarge, match="copies"):
        json_patch.apply({"a": {"b": 1}}, doubling)


def test_long_lists_are_not_moved_too_often() -> None:
    with pytest.raises(TooLarge, match="long lists"):
        json_patch.apply(
            {"a": list(range(30_000))}, [{"op": "add", "path": "/a/0", "value": 1}] * 9000
        )


def test_what_is_said_of_a_patch_is_short() -> None:
    with pytest.raises(DoesNotFit) as refused:
        json_patch.apply({"a": "x" * 100_000}, [{"op": "test", "path": "/a", "value": "y"}])
    assert len(str(refused.value)) < 400
