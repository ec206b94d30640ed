"""JupyterLab, code-server and RStudio Server of this computer as runtimes of their images."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .environment import user_name
from .runtimes import LAUNCHER, Runtime, behind_gate
from .waiting import IMAGE, ProgramMissing, Waiting

CHECK_SECONDS = 20.0
_FIND_LAB = (
    "import importlib.util as u, sys; s = u.find_spec('jupyterlab'); "
    "print(s.origin if s else ''); print(sys.prefix); print(sys.base_prefix)"
)


def jupyterlab(image: str, environment: str | None = None) -> Runtime:
    """Return JupyterLab of this Python, or of the environment at a path.

    Raises:
        ProgramMissing: JupyterLab is not installed there.
        Waiting: The environment does not exist or does not work.
    """
    if environment is None:
        python, place = sys.executable, "this Python environment"
        importlib.invalidate_caches()
        spec = importlib.util.find_spec("jupyterlab")
        origin = spec.origin if spec is not None else None
        prefixes = (sys.prefix, sys.base_prefix)
    else:
        python, place = _python(image, environment), f"the environment {environment}"
        origin, *prefixes_found = _find_lab(image, python)
        prefixes = (prefixes_found[0], prefixes_found[1])
    if not origin:
        raise Waiting(
            IMAGE,
            f"Image '{image}' needs JupyterLab, which is not installed in {place}. Install it with "
            f"`{python} -m pip install jupyterlab`; the container then starts automatically.",
            10.0,
        )
    package = Path(origin).parent
    extra: dict[str, str] = {}
    if not any(_below(package, Path(prefix)) for prefix in prefixes):
        # Installed for the user alone, below a home directory that the program does not have.
        extra["PYTHONPATH"] = str(package.parent)
    arguments = [
        "--no-browser",
        *("--ServerApp.ip={address}", "--ServerApp.port={port}", "--ServerApp.port_retries=0"),
        *(
            "--ServerApp.base_url={prefix}",
            "--ServerApp.root_dir={home}",
            "--ServerApp.allow_remote_access=True",
        ),
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--allow-root")
    return Runtime(
        f"Running JupyterLab of {place} for image '{image}'",
        (python,),
        "jupyterlab",
        tuple(arguments),
        extra,
        (str(Path(python).parent),),
        (Path(python), *(Path(prefix) for prefix in prefixes), package, LAUNCHER),
        "{prefix}api",
        # Not the home, where Python would look for modules first: a user's own `random.py` must not
        # keep the Lab from starting.
        directory="{private}",
        is_lab=True,
    )


def lab_without_token(lab: Runtime, token_hint: str) -> Runtime:
    """Return a Lab that has no token, as in Kubeflow's images, behind the gate.

    Without that, a Lab generates a token that no user knows.

    Raises:
        Waiting: Other users could reach the Lab; `token_hint` is what to do.
    """
    if not sys.platform.startswith("linux"):
        raise Waiting(
            IMAGE,
            f"{lab.description}, which has no token. Other users of this computer can only be kept "
            f"out of such a Lab on Linux. {token_hint}",
            60.0,
        )
    kept = (
        part
        for part in lab.arguments
        if not part.startswith(("--ServerApp.ip=", "--ServerApp.port"))
    )
    at_socket = (
        "--ServerApp.sock={socket}",
        "--ServerApp.sock_mode=0600",
        "--IdentityProvider.token=",
    )
    return behind_gate(replace(lab, arguments=(*kept, *at_socket)))


def code_server(image: str) -> Runtime:
    """Return code-server of this computer. Raises `ProgramMissing`."""
    program = _program(
        image, "code-server", "code-server", "https://coder.com/docs/code-server/install"
    )
    command = (
        *(program, "--auth", "none", "--socket", "{socket}", "--socket-mode", "600"),
        *("--disable-telemetry", "--disable-update-check", "{home}"),
    )
    return behind_gate(
        Runtime(
            f"Running {program} for image '{image}'",
            command,
            needs=(Path(program),),
            check="/healthz",
        )
    )


def rstudio(image: str) -> Runtime:
    """Return RStudio Server of this computer. Raises `ProgramMissing`."""
    program = _program(
        image,
        "rserver",
        "RStudio Server",
        "https://posit.co/download/rstudio-server/",
        ("/usr/lib/rstudio-server/bin",),
    )
    command = (
        *(program, "--server-daemonize=0", "--auth-none=1", "--www-socket={socket}"),
        *(
            "--www-root-path={prefix}",
            f"--server-user={user_name()}",
            "--www-frame-origin=same",
            "--www-verify-user-agent=0",
        ),
        *(
            "--server-working-dir={home}",
            "--server-data-dir={private}",
            "--database-config-file={private}/rstudio-database.conf",
        ),
        *(
            "--secure-cookie-key-file={private}/rstudio-cookie-key",
            "--server-pid-file={private}/rstudio.pid",
        ),
    )
    database = "provider=sqlite\ndirectory={private}\n"  # the default is a directory of the system
    return behind_gate(
        Runtime(
            f"Running {program} for image '{image}'",
            command,
            needs=(Path(program),),
            check="/",  # its first page or a redirect; neither starts a session
            files={"rstudio-database.conf": database},
        )
    )


def _program(image: str, name: str, title: str, where: str, beside: Sequence[str] = ()) -> str:
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(beside))
    if found is None:
        raise ProgramMissing(
            f"Image '{image}' needs {title}, which is not installed on this computer: '{name}' is "
            f"not on the PATH. Install it ({where}); the container then starts automatically."
        )
    return os.path.realpath(found)


def _python(image: str, environment: str) -> str:
    root = Path(environment).expanduser()
    for python in (root / "bin" / "python", root / "python.exe", root / "Scripts" / "python.exe"):
        if python.exists():
            return str(python)
    raise Waiting(
        IMAGE,
        f"Image '{image}' is a Python environment, but {root} does not contain one. Create it, or "
        "use another image.",
        10.0,
    )


def _find_lab(image: str, python: str) -> list[str]:
    """Return the path of JupyterLab in an environment, the environment's prefix and its base."""
    try:
        answer = subprocess.run(
            [python, "-I", "-c", _FIND_LAB],
            capture_output=True,
            text=True,
            timeout=CHECK_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Waiting(
            IMAGE, f"The Python environment of image '{image}' does not work: {error}", 30.0
        ) from error
    return answer.stdout.split("\n")[:3]


def _below(path: Path, parent: Path) -> bool:
    real, above = Path(os.path.realpath(path)), Path(os.path.realpath(parent))
    return real == above or above in real.parents
