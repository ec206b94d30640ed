"""At most one process for a directory: a lock that the operating system takes back when its holder dies, however it dies."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path
from types import TracebackType

from .directory import PRIVATE, LocalClusterError, refused
from .processes import alive, identity

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


class Held(LocalClusterError):
    """Another process holds the lock."""


class Lock:
    """`with Lock(path):` holds it, or raises `Held`.

    The file names its holder too: on file systems that cannot lock (some NFS) the name counts.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def __enter__(self) -> Lock:
        """Raises `Held`, and `LocalClusterError` when the file cannot be written."""
        try:
            descriptor = os.open(
                self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), PRIVATE
            )
        except OSError as error:
            raise refused(self._path, error) from error
        try:
            try:
                _take(descriptor)
            except OSError as error:
                if error.errno not in _UNSUPPORTED:
                    raise Held(
                        f"Another process uses the local cluster in {self._path.parent} (it holds {self._path.name})."
                    ) from error
                self._refuse_if_named_alive(descriptor)
            try:
                os.ftruncate(descriptor, 0)
                os.lseek(descriptor, 0, os.SEEK_SET)
                os.write(descriptor, json.dumps(identity(os.getpid())).encode())
            except OSError as error:
                raise refused(self._path, error) from error
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # The file stays: to remove it would let two processes hold two files of one name.
        if self._descriptor is not None:
            try:
                os.ftruncate(self._descriptor, 0)
            finally:
                os.close(self._descriptor)
                self._descriptor = None

    def _refuse_if_named_alive(self, descriptor: int) -> None:
        try:
            holder = json.loads(os.read(descriptor, 4096) or b"null")
        except ValueError:
            holder = None
        if (
            isinstance(holder, dict)
            and holder.get("pid") != os.getpid()
            and alive(holder) is not None
        ):
            raise Held(f"Process {holder['pid']} uses the local cluster in {self._path.parent}.")


def _take(descriptor: int) -> None:
    """Raises `OSError` when another process has it."""
    if sys.platform == "win32":
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
