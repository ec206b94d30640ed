"""Shared by all rooms: a Jupyter server in the test process (pytest-jupyter)."""

pytest_plugins = ("pytest_jupyter.jupyter_server",)
