"""Shared by all rooms: a Jupyter server in the test process (pytest-jupyter)."""

pytest_plugins = ("pytest_jupyter.jupyter_server",)

# Sessions of their own (tests/run.py): Playwright and pytest-jupyter cannot share an event loop.
collect_ignore_glob = ["browser*"]
