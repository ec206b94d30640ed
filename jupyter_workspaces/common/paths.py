"""Paths of the user's own files: the local cluster, and the server that clients share."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """Return `$JUPYTER_WORKSPACES_HOME`, or else `workspaces` in Jupyter's data directory."""
    if named := os.environ.get("JUPYTER_WORKSPACES_HOME"):
        return Path(named).expanduser().absolute()
    from jupyter_core.paths import jupyter_data_dir

    return Path(jupyter_data_dir()) / "workspaces"


def serve_file() -> Path:
    """Return the file that the shared `serve` writes: its URL, token and process id, mode 0600."""
    return home() / "serve.json"
