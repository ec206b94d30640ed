"""A lock file that at most one process holds, released by the system when that process ends.

Built on `filelock`. File systems without locks (NFS without a lock service) get a marker file
instead, `FILE.held`, which names its process and is ignored once that process has ended.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP}
"""Errors of file systems without locks; `filelock` handles ENOSYS itself."""


class AlreadyLocked(Exception):
    """Another process holds the lock file."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file, which stays when it is released.

    Raises:
        AlreadyLocked: Another process holds it.
        OSError: The file cannot be written.
    """
    # Imported here because the import takes longer than finding a running local cluster.
    from filelock import FileLock, SoftFileLock, Timeout

    lock: FileLock | SoftFileLock = FileLock(path, timeout=0, mode=0o600)
    try:
        try:
            lock.acquire()
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            lock = SoftFileLock(path.with_name(f"{path.name}.held"), timeout=0, mode=0o600)
            lock.acquire()
    except Timeout as error:
        raise AlreadyLocked(f"Another process holds {path}.") from error
    try:
        yield
    finally:
        lock.release()
