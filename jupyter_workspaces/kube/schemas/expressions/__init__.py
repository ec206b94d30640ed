"""Validation rules of CRDs in CEL, evaluated by a library that is an optional dependency.

Importing this package does not import the library; only the evaluation of a rule does.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec

EXTRA = "jupyter-workspaces[cel]"
"""The optional dependency that installs the library."""


@lru_cache(maxsize=1)
def is_installed() -> bool:
    """Return whether the library is installed. Does not import it."""
    return (
        find_spec("cel_expr_python") is not None
        and find_spec("google") is not None
        and find_spec("google.protobuf") is not None
    )
