"""Fixtures for all folders: a Jupyter server in the test process, and real clusters."""

import sys

import pytest

# `jsonschema` imports this package for the format "iri" if it is installed. It compiles 38
# grammars, which takes 2 s of CPU time in each process. No schema of Jupyter's uses that format.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

pytest_plugins = ("pytest_jupyter.jupyter_server", "real_cluster")

# Sessions of their own (tests/run.py): Playwright and pytest-jupyter cannot share an event loop.
collect_ignore_glob = ["browser*"]


@pytest.fixture
def jp_nbconvert_templates() -> None:
    """Replace the fixture that copies nbconvert's templates for each test: none uses them."""
