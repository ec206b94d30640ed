"""The file by which kernels find and authenticate to the Jupyter server that started them.

It holds the server's URL and a token, lies in Jupyter's runtime directory, and only its owner can
read it. Kernels get its path in an environment variable, never its content: the environment of a
process is easier to see than a file (`ps e`, crash reports, `%env`). The token gives access to the
API of workspaces and to the workspaces, not to the rest of the server, and ends with the server.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

VARIABLE = "JUPYTER_WORKSPACES_SERVER_FILE"


@dataclass(frozen=True)
class KernelFile:
    """Address and credentials of a server for its kernels.

    `url` is the server's root and ends in a slash; with `socket` it is only a name. `certificate`
    is the server's own, in PEM: a kernel accepts only this one. `client_certificate` and
    `client_key` are files, for servers that require a client certificate (`client_ca`).
    """

    url: str
    token: str = field(repr=False)
    certificate: str = field(default="", repr=False)
    client_certificate: str = ""
    client_key: str = ""
    socket: str = ""

    def write(self, path: Path) -> None:
        """Write the file, readable by its owner only. Raises `OSError`."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # A dead server with the same process id may have left a file with other permissions.
        path.unlink(missing_ok=True)
        with open(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
        ) as file:
            json.dump(asdict(self), file)


def name(pid: int | str) -> str:
    """Return the file's name for the server with this process id."""
    return f"jupyter-workspaces-server-{pid}.json"


def path_for_kernel(parent: str) -> Path | None:
    """Return the file of the server whose process id is `parent`, None if there is none.

    A server that was started in the terminal of another server inherits its environment variable.
    """
    from jupyter_core.paths import jupyter_runtime_dir

    told = os.environ.get(VARIABLE, "")
    places = [Path(told)] if told and Path(told).name == name(parent) else []
    return next(
        (path for path in [*places, Path(jupyter_runtime_dir()) / name(parent)] if path.exists()),
        None,
    )


def read(path: Path) -> KernelFile:
    """Read a file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not such a file.
    """
    try:
        return KernelFile(
            **{
                key: str(value)
                for key, value in json.loads(path.read_text(encoding="utf-8")).items()
            }
        )
    except (TypeError, AttributeError, ValueError):
        raise ValueError(f"{path} cannot be understood") from None
