"""A lock file is held by one process, and free again once that process has ended."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from jupyter_workspaces.common.lock import AlreadyLocked, locked

HOLDER = """
import sys, pathlib
from jupyter_workspaces.common.lock import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_is_free_once_its_holder_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(AlreadyLocked), locked(path):
            pass
        holder.kill()
        holder.wait()

        with locked(path):
            assert path.stat().st_mode & 0o077 == 0


def test_a_file_system_without_locks_gets_a_marker_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(lock: filelock.FileLock) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(filelock.FileLock, "_acquire", refused)
    path = tmp_path / "lock"

    with locked(path), pytest.raises(AlreadyLocked), locked(path):
        pass
    with locked(path):
        pass


def test_an_error_of_the_file_system_is_passed_on(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(OSError, match="file"), locked(tmp_path / "file" / "lock"):
        pass
