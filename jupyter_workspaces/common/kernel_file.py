"""The file by which a Jupyter server lets in the kernels that it starts: where it listens, and a token for its workspaces.

It lies in Jupyter's runtime directory and is readable by its owner alone. Kernels learn its path by an
environment variable, never its content: the environment of a process is easier to see than a file
(`ps e`, crash reports, `%env`). The token opens the API of workspaces and the workspaces themselves,
nothing else of the server, and ends with it.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

VARIABLE = "JUPYTER_WORKSPACES_SERVER_FILE"


@dataclass(frozen=True)
class KernelFile:
    """What a kernel needs to reach its server.

    `url` is the server's root and ends in a slash; with `socket` it is only a name. `certificate` is
    the server's own, in PEM: a kernel accepts it and no other. `client_certificate` and `client_key`
    are files, for servers that want a client certificate (`client_ca`).
    """

    url: str
    token: str = field(repr=False)
    certificate: str = field(default="", repr=False)
    client_certificate: str = ""
    client_key: str = ""
    socket: str = ""

    def write(self, path: Path) -> None:
        """Raises `OSError`."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.unlink(
            missing_ok=True
        )  # one that a dead server of the same pid left, whoever may read it
        with open(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
        ) as file:
            json.dump(asdict(self), file)


def name(pid: int | str) -> str:
    """Return the file's name for the server with this process id."""
    return f"jupyter-workspaces-server-{pid}.json"


def path_for_kernel(parent: str) -> Path | None:
    """Return the file of the server whose process id is `parent`, None if there is none.

    The variable may have been inherited from another server, in whose terminal this one was started.
    """
    from jupyter_core.paths import jupyter_runtime_dir

    told = os.environ.get(VARIABLE, "")
    places = [Path(told)] if told and Path(told).name == name(parent) else []
    return next(
        (path for path in [*places, Path(jupyter_runtime_dir()) / name(parent)] if path.exists()),
        None,
    )


def read(path: Path) -> KernelFile:
    """Raises `OSError`, and `ValueError` for a file that is not one of these."""
    try:
        return KernelFile(
            **{
                key: str(value)
                for key, value in json.loads(path.read_text(encoding="utf-8")).items()
            }
        )
    except (TypeError, AttributeError, ValueError):
        raise ValueError(f"{path} cannot be understood") from None
