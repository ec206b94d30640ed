"""docs/security.md names tests that exist: a promise whose test was renamed or removed is none."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)


def functions(path: Path) -> set[str]:
    found = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {
        node.name for node in found if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }


@pytest.mark.parametrize("path", sorted({path for path, _ in NAMED}))
def test_each_test_that_the_page_names_exists(path: str) -> None:
    named = {name for found, name in NAMED if found == path}
    assert named <= functions(ROOT / path)


def test_each_promise_names_a_test() -> None:
    promises = PAGE.partition("## Promises")[2].partition("## What is not promised")[0]
    rows = [
        line
        for line in promises.splitlines()
        if line.startswith("| ") and not line.startswith("| promise")
    ]
    assert len(rows) > 50
    assert [row for row in rows if not re.search(r"`tests/[\w/]+\.py::\w+`", row)] == []
