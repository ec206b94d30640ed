"""What the package costs a kernel that imports it and a server that loads it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile

from measure import Figure, at_most, median

REPEATS = 7


def import_milliseconds(statement: str) -> float:
    """Wall time of the statement in a new interpreter, median of several."""
    code = (
        f"import time; began = time.perf_counter(); {statement}; "
        "print(1000 * (time.perf_counter() - began))"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(REPEATS)
    ]
    return median([float(run.stdout) for run in runs])


def extension_milliseconds() -> float:
    """Measure the extension's import after jupyter_server's, and its loading; the median."""
    code = (
        "import time, jupyter_server.serverapp as s, jupyter_workspaces\n"
        "app = s.ServerApp()\n"
        "app.initialize(['--no-browser', '--allow-root', '--port=0'], find_extensions=False, "
        "new_httpserver=False)\n"
        "began = time.perf_counter()\n"
        "assert app.extension_manager.add_extension('jupyter_workspaces', enabled=True)\n"
        "app.extension_manager.link_extension('jupyter_workspaces')\n"
        "app.extension_manager.load_extension('jupyter_workspaces')\n"
        "elapsed = time.perf_counter() - began\n"
        "assert 'jupyter_workspaces' in app.web_app.settings, 'the extension did not load'\n"
        "print('TOTAL', 1000 * elapsed)\n"
    )
    values = []
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as home:
            run = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", code],
                capture_output=True,
                text=True,
                check=True,
                env={
                    **os.environ,
                    "HOME": home,
                    "JUPYTER_WORKSPACES_HOME": f"{home}/cluster",
                    "JUPYTER_RUNTIME_DIR": f"{home}/runtime",
                },
            )
        found = re.search(r"TOTAL ([\d.]+)", run.stdout)
        if found is None:
            raise RuntimeError(f"the extension did not load: {run.stderr[-2000:]}")
        values.append(float(found[1]))
    return median(values)


def measure() -> list[Figure]:
    kernel = import_milliseconds("import jupyter_workspaces")
    widgets = import_milliseconds("import ipywidgets")
    server = import_milliseconds("import jupyter_server.serverapp")
    return [
        at_most(
            "extension's share of the server's start",
            extension_milliseconds(),
            150,
            "ms",
            f"import jupyter_server.serverapp: {server:.0f} ms",
        ),
        at_most(
            "importing `jupyter_workspaces` in a kernel",
            kernel,
            20,
            "ms",
            f"import ipywidgets: {widgets:.0f} ms",
        ),
    ]
