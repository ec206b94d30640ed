"""Directories with paths that are short enough for Unix sockets (unix(7)).

They are used where the path of the cluster's directory is too long.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path

PATH_BYTES = 107 if sys.platform.startswith("linux") else 103
NAME_BYTES = 24
"""Length reserved for names of sockets, such as `tmux-1000/default`."""


def fits(directory: Path) -> bool:
    """Return whether a socket with a usual name can be created in `directory`."""
    return len(os.fsencode(directory)) + 1 + NAME_BYTES <= PATH_BYTES


def ensure(link: Path) -> Path:
    """Return a private directory with a short path, to which `link` points from now on.

    It has a random name, because other users can write to its parent directory.

    Raises:
        OSError: The directory or the link cannot be created.
    """
    if (held := _held(link)) is not None:
        return held
    made = tempfile.mkdtemp(prefix="jw-", dir=_parent())
    with contextlib.suppress(FileNotFoundError):
        link.unlink()
    link.symlink_to(made, target_is_directory=True)
    return Path(made)


def remove(link: Path) -> None:
    """Remove the directory to which `link` points, and the link."""
    if (held := _held(link)) is not None:
        shutil.rmtree(held, ignore_errors=True)
    with contextlib.suppress(OSError):
        link.unlink()


def _held(link: Path) -> Path | None:
    """Return the directory to which a link points if it is ours and has the mode 0700."""
    try:
        found = Path(os.readlink(link))
        state = os.lstat(found)
    except OSError:
        return None
    ours = (
        stat.S_ISDIR(state.st_mode) and state.st_uid == os.geteuid() and not state.st_mode & 0o077
    )
    return found if ours and found.name.startswith("jw-") else None


def _parent() -> str:
    candidates = (tempfile.gettempdir(), os.environ.get("XDG_RUNTIME_DIR", ""), "/tmp")
    usable = (
        path
        for path in candidates
        if path and os.access(path, os.W_OK | os.X_OK) and fits(Path(path) / "jw-12345678")
    )
    return next(usable, candidates[0])
