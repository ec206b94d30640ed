"""Environments of the programs: installed once and kept in the user's cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def cache() -> Path:
    """Return the folder that holds one environment per program."""
    if named := os.environ.get("JUPYTER_WORKSPACES_PROGRAMS"):
        return Path(named)
    folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(folder) / "jupyter-workspaces" / "programs"


def install(name: str, requirements: Sequence[str]) -> Path:
    """Create an environment unless it is there, and return its folder of scripts.

    Raises `subprocess.CalledProcessError`.
    """
    environment = cache() / name
    done = environment / "installed"
    wanted = "\n".join(requirements)
    if not done.exists() or done.read_text() != wanted:
        shutil.rmtree(environment, ignore_errors=True)
        python = str(environment / "bin" / "python")
        if uv := shutil.which("uv"):
            subprocess.run(
                [uv, "venv", "--quiet", "--python", sys.executable, environment], check=True
            )
            command = [uv, "pip", "install", "--quiet", "--python", python]
        else:
            subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
            command = [python, "-m", "pip", "install", "--quiet"]
        subprocess.run([*command, *requirements], check=True)
        done.write_text(wanted)
    return environment / "bin"
