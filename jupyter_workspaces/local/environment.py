"""Environment and command line of the local cluster's process.

It gets what it needs to run the same Python, and nothing else from the process that starts it:
secrets in the environment of a notebook server are none of its business.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

_NAMES = {
    *(
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "TEMP",
        "TMP",
        "VIRTUAL_ENV",
        "LD_LIBRARY_PATH",
    ),
    *(
        "CONDA_PREFIX",
        "CONDA_DEFAULT_ENV",
        "MAMBA_ROOT_PREFIX",
        "DYLD_LIBRARY_PATH",
        "DYLD_FALLBACK_LIBRARY_PATH",
    ),
    *(
        "SYSTEMROOT",
        "SYSTEMDRIVE",
        "WINDIR",
        "COMSPEC",
        "PATHEXT",
        "USERPROFILE",
        "APPDATA",
        "LOCALAPPDATA",
        "PROGRAMDATA",
    ),
    *(
        "PYTHONPATH",
        "PYTHONHOME",
        "PYTHONUSERBASE",
        "PYTHONNOUSERSITE",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONPYCACHEPREFIX",
        "PYTHONUTF8",
    ),
    *(
        "JUPYTER_CONFIG_DIR",
        "JUPYTER_DATA_DIR",
        "JUPYTER_RUNTIME_DIR",
        "JUPYTER_PATH",
        "JUPYTER_CONFIG_PATH",
    ),
    *(
        "JUPYTER_PLATFORM_DIRS",
        "JUPYTER_PREFER_ENV_PATH",
        "JUPYTERLAB_DIR",
        "JUPYTERLAB_SETTINGS_DIR",
    ),
}
_PREFIXES = ("LC_", "XDG_", "JUPYTER_WORKSPACES_")
_SECRET = ("TOKEN", "PASSWORD", "SECRET", "KEY")


def build(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for `python -m jupyter_workspaces.local` from that of its starter."""
    built = {
        name: value
        for name, value in environ.items()
        if name.upper() in _NAMES
        or (name.startswith(_PREFIXES) and not any(word in name for word in _SECRET))
    }
    root = Path(__file__).resolve().parent.parent.parent
    if not any(part in ("site-packages", "dist-packages") for part in root.parts):
        # A source tree that was found by the working directory or `sys.path`: the new process has
        # neither.
        built["PYTHONPATH"] = os.pathsep.join([str(root), *filter(None, [built.get("PYTHONPATH")])])
    # `-m` would put the working directory, which holds the cluster's data, before every package
    # (Python 3.11 and later).
    return built | {"PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}


def command(directory: Path, *arguments: str) -> list[str]:
    """Return the command line that runs the local cluster of a directory with this Python."""
    return [
        sys.executable,
        "-m",
        "jupyter_workspaces.local",
        "--directory",
        str(directory),
        *arguments,
    ]
