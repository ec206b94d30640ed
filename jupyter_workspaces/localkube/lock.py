"""The lock of a local cluster's directory, which at most one process holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from jupyter_workspaces.common.lock import AlreadyLocked, locked

from .directory import Directory, LocalClusterError


class DirectoryInUse(LocalClusterError):
    """Another process uses the directory."""


@contextmanager
def exclusive(directory: Directory) -> Iterator[None]:
    """Hold the lock of a directory.

    Raises:
        DirectoryInUse: Another process holds it.
        LocalClusterError: The lock file cannot be written.
    """
    with ExitStack() as held:
        try:
            held.enter_context(locked(directory.lock))
        except AlreadyLocked as error:
            raise DirectoryInUse(
                f"Another process uses the local cluster in {directory.path}: it holds the file "
                f"'{directory.lock.name}'."
            ) from error
        except OSError as error:
            raise directory.refused(directory.lock, error) from error
        yield
