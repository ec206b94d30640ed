"""Where this user's own things lie: the embedded cluster, and the `serve` that clients share."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """`$JUPYTER_WORKSPACES_HOME`, else `workspaces` in Jupyter's data directory."""
    if named := os.environ.get("JUPYTER_WORKSPACES_HOME"):
        return Path(named).expanduser().absolute()
    from jupyter_core.paths import jupyter_data_dir

    return Path(jupyter_data_dir()) / "workspaces"


def serve_file() -> Path:
    """What the shared `serve` writes once it listens: url, token and pid, mode 0600."""
    return home() / "serve.json"
