"""The directory of a local cluster: the names of its files, and how they are written.

The directory is closed to other users. Files are replaced atomically.
"""

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

PRIVATE = 0o600


class LocalClusterError(PlainError):
    """The local cluster cannot do what was requested.

    The message is for users: it says what happened and what to do.
    """


@dataclass(frozen=True)
class Directory:
    """The files of one local cluster, by name.

    Attributes:
        path: Absolute path of the directory.
        name: Name of the cluster in its kubeconfig and its certificates.
        move_hint: How to use another directory, in the imperative. Ends messages about this one.
    """

    path: Path
    name: str = "localkube"
    move_hint: str = "use another directory"

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of the cluster's administrator."""
        return self.path / "kubeconfig"

    @property
    def database(self) -> Path:
        """The SQLite database with all objects."""
        return self.path / "cluster.db"

    @property
    def authority(self) -> Path:
        """Certificate of the cluster's authority (PEM)."""
        return self.path / "ca.crt"

    @property
    def authority_key(self) -> Path:
        """Private key of the authority (PEM)."""
        return self.path / "ca.key"

    @property
    def certificate(self) -> Path:
        """Certificate of the API server (PEM)."""
        return self.path / "server.crt"

    @property
    def key(self) -> Path:
        """Private key of the API server (PEM)."""
        return self.path / "server.key"

    @property
    def token(self) -> Path:
        """Bearer token of the administrator."""
        return self.path / "token"

    @property
    def account_key(self) -> Path:
        """Private key that signs service account tokens (PEM)."""
        return self.path / "sa.key"

    @property
    def port(self) -> Path:
        """Port of the API server, used again at the next start."""
        return self.path / "port"

    @property
    def lock(self) -> Path:
        """Lock file of the process that uses the directory."""
        return self.path / "lock"

    @property
    def process(self) -> Path:
        """Record of the running process (JSON): `pid`, `createTime`, `url`, `version`, `parts`.

        A clean stop removes it; a record without its process means that the process crashed.
        """
        return self.path / "process.json"

    @property
    def log(self) -> Path:
        """Log of the cluster's process."""
        return self.path / "log"

    @property
    def pods(self) -> Path:
        """Directory with a folder for each pod."""
        return self.path / "pods"

    @property
    def volumes(self) -> Path:
        """Directory with a folder for each volume."""
        return self.path / "volumes"

    def prepare(self) -> None:
        """Create the directory and close it to other users.

        Raises:
            LocalClusterError: It cannot be created, written or closed.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.name == "posix":
                found = self.path.stat()
                if found.st_uid != os.geteuid():
                    raise LocalClusterError(
                        f"The local cluster's directory {self.path} belongs to another user. "
                        f"Change its owner, or {self.move_hint}."
                    )
                if stat.S_IMODE(found.st_mode) != 0o700:
                    self.path.chmod(0o700)
        except OSError as error:
            raise self.refused(self.path, error) from error

    def record(self) -> dict[str, Any] | None:
        """Return the record in `process`; None if there is none that can be read."""
        try:
            found = json.loads(self.process.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and isinstance(found.get("pid"), int) else None

    def write(self, path: Path, data: bytes, mode: int = PRIVATE) -> None:
        """Replace a file of the directory atomically, or leave the old one.

        Raises:
            LocalClusterError: The disk is full, or the directory cannot be written.
        """
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
            raise self.refused(path, error) from error

    def refused(self, path: Path, error: OSError) -> LocalClusterError:
        """Return the error to report when the system does not let the cluster write `path`."""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return LocalClusterError(
                f"The disk that holds {path} is full, so the local cluster cannot write there. "
                "No data was lost. Free some space, then try again."
            )
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            return LocalClusterError(
                f"The local cluster cannot write {path}: {error.strerror}. "
                f"Make it writable, or {self.move_hint}."
            )
        return LocalClusterError(
            f"The local cluster cannot use {path}: {error.strerror or error}. "
            f"Check the disk, or {self.move_hint}."
        )
