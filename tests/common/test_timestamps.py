"""Times of Kubernetes objects as numbers."""

from __future__ import annotations

import pytest

from jupyter_workspaces.common.timestamps import milliseconds


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        ("1970-01-01T00:00:01Z", 1000),
        ("1970-01-01T01:00:00+01:00", 0),
        ("2026-01-02T03:04:05.123456Z", 1767323045123),
        ("", 0),
        (None, 0),
        ("yesterday", 0),
    ],
)
def test_a_time_that_is_missing_or_invalid_is_0(timestamp: str | None, expected: int) -> None:
    assert milliseconds(timestamp) == expected
