"""Fixtures for all folders: a Jupyter server in the test process, and real clusters."""

import sys

# `jsonschema` imports this package for the format "iri" if it is installed. It compiles 38
# grammars:
# 2 s of CPU time in each process. No schema of Jupyter's uses that format.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

pytest_plugins = ("pytest_jupyter.jupyter_server", "real_cluster")

# Sessions of their own (tests/run.py): Playwright and pytest-jupyter cannot share an event loop.
collect_ignore_glob = ["browser*"]
