"""The embedded cluster's directory: where it is, what lies in it, and how its files are written so that nobody else can read them."""

from __future__ import annotations

import errno
import json
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_workspaces.common.errors import PlainError
from jupyter_workspaces.common.paths import home

__all__ = ["Directory", "LocalClusterError", "home"]

PRIVATE = 0o600


class LocalClusterError(PlainError):
    """The local cluster cannot do what was asked. The text tells a person what happened and what to do next."""


@dataclass(frozen=True)
class Directory:
    """The files of one embedded cluster, by name."""

    path: Path

    @property
    def kubeconfig(self) -> Path:
        return self.path / "kubeconfig"

    @property
    def database(self) -> Path:
        return self.path / "cluster.db"

    @property
    def authority(self) -> Path:
        return self.path / "ca.crt"

    @property
    def authority_key(self) -> Path:
        return self.path / "ca.key"

    @property
    def certificate(self) -> Path:
        return self.path / "server.crt"

    @property
    def key(self) -> Path:
        return self.path / "server.key"

    @property
    def token(self) -> Path:
        return self.path / "token"

    @property
    def account_key(self) -> Path:
        """Signs service accounts' tokens."""
        return self.path / "sa.key"

    @property
    def port(self) -> Path:
        return self.path / "port"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def process(self) -> Path:
        """`{"pid", "createTime", "url", "version"}` while the process is ready. A clean stop removes it: left over, it tells of a crash."""
        return self.path / "process.json"

    @property
    def log(self) -> Path:
        return self.path / "log"

    @property
    def pods(self) -> Path:
        return self.path / "pods"

    @property
    def volumes(self) -> Path:
        return self.path / "volumes"

    def prepare(self) -> None:
        """Make the directory, closed to other users. Raises `LocalClusterError` when it cannot be made, written or closed."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.name == "posix":
                found = self.path.stat()
                if found.st_uid != os.geteuid():
                    raise LocalClusterError(
                        f"The local cluster's directory {self.path} belongs to another user. "
                        "Set JUPYTER_WORKSPACES_HOME to a directory of your own."
                    )
                if stat.S_IMODE(found.st_mode) != 0o700:
                    self.path.chmod(0o700)
        except OSError as error:
            raise refused(self.path, error) from error

    def record(self) -> dict[str, Any] | None:
        """What `process` says, None when there is nothing to read."""
        try:
            found = json.loads(self.process.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and isinstance(found.get("pid"), int) else None


def write(path: Path, data: bytes, mode: int = PRIVATE) -> None:
    """Put a whole new file in place of the old one, or leave the old one. Raises `LocalClusterError` (full disk, read-only directory)."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), mode
        )
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise refused(path, error) from error


def refused(path: Path, error: OSError) -> LocalClusterError:
    """What to tell a person whose directory or disk does not let us write."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return LocalClusterError(
            f"The disk that holds {path} is full: the local cluster cannot write there. Nothing was lost. Free some space, then try again."
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return LocalClusterError(
            f"The local cluster may not write {path} ({error.strerror}). Give yourself the right to write there, "
            "or set JUPYTER_WORKSPACES_HOME to another directory."
        )
    return LocalClusterError(
        f"The local cluster cannot use {path}: {error.strerror or error}. Set JUPYTER_WORKSPACES_HOME to another directory."
    )
