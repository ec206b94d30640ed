"""What a kernel pays for `import jupyter_workspaces`, and for the client."""

from __future__ import annotations

import subprocess
import sys


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_importing_the_package_loads_nothing_else() -> None:
    loaded = run(
        "import sys; before = set(sys.modules); import jupyter_workspaces; "
        "print(*sorted(set(sys.modules) - before))"
    ).split()
    assert {name for name in loaded if name.startswith("jupyter_workspaces")} <= {
        "jupyter_workspaces",
        "jupyter_workspaces._version",
    }
    assert not {"aiohttp", "asyncio", "ipywidgets", "yaml", "click"} & set(loaded)


def test_the_client_brings_aiohttp_only_when_it_asks() -> None:
    loaded = run(
        "import sys, jupyter_workspaces as jw; jw.Client, jw.spawn, jw.WorkspaceError; "
        "print(*sys.modules)"
    ).split()
    assert "jupyter_workspaces.client" in loaded
    assert not {"aiohttp", "ipywidgets", "IPython", "kubernetes", "tornado"} & set(loaded)


def test_every_public_name_is_there() -> None:
    assert (
        run(
            "import jupyter_workspaces as jw; [getattr(jw, name) for name in jw.__all__]; "
            "print('all')"
        ).strip()
        == "all"
    )


def test_python_ends_without_a_word_while_connections_are_open() -> None:
    code = (
        "import warnings; warnings.simplefilter('error'); import jupyter_workspaces as jw\n"
        "from jupyter_workspaces.client import portal\n"
        "import asyncio; portal.submit(asyncio.sleep(100)); print('ended')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr, done.returncode) == ("ended", "", 0)
