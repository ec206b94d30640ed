"""Shared by all rooms: a Jupyter server in the test process (pytest-jupyter), and a real cluster where a session asks for one."""

pytest_plugins = ("pytest_jupyter.jupyter_server", "real_cluster")

# Sessions of their own (tests/run.py): Playwright and pytest-jupyter cannot share an event loop.
collect_ignore_glob = ["browser*"]
