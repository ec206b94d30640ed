"""Validation rules in CEL, by a library that an extra brings and that nobody imports before a rule needs it."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec

EXTRA = "jupyter-workspaces[cel]"
"""What brings the library."""


@lru_cache(maxsize=1)
def is_installed() -> bool:
    """Whether rules can be evaluated. Imports nothing."""
    return (
        find_spec("cel_expr_python") is not None
        and find_spec("google") is not None
        and find_spec("google.protobuf") is not None
    )
