"""Queries are read as Go's `URL.Query` reads them."""

from __future__ import annotations

import pytest

from jupyter_workspaces.server.http.queries import parse


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {}),
        ("&&", {}),
        ("a", {"a": [""]}),
        ("a=1&b=2&a=3", {"a": ["1", "3"], "b": ["2"]}),
        ("a=b=c", {"a": ["b=c"]}),
        ("a=x+y%20z%2B", {"a": ["x y z+"]}),
        ("a=%zz", {}),
        ("a=1%", {}),
        ("a=%2&b=2", {"b": ["2"]}),
        ("%zz=1&b=2", {"b": ["2"]}),
        ("a=1;b=2&c=3", {"c": ["3"]}),
        ("a=1%3Bb", {"a": ["1;b"]}),
        ("=1", {"": ["1"]}),
        ("a=%FF", {"a": ["\ufffd"]}),
    ],
)
def test_pairs_that_cannot_be_read_count_as_absent(query: str, found: dict[str, list[str]]) -> None:
    assert parse(query) == found
