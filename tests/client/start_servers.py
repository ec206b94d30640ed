"""Real Jupyter servers with the extension, and a kernel of each that runs code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from waiting import until_started

HERE = Path(__file__).parent
SECONDS = 240


@dataclass
class JupyterServer:
    """One server; `ask` has its kernel run code, once, after which the server ends."""

    folder: Path
    process: subprocess.Popen[bytes]
    log: Path
    told: dict[str, str] = field(default_factory=dict)

    def ask(self, code: str) -> dict[str, str]:
        """`out` and `error` of the code."""
        (self.folder / "code.py").write_text(code)
        (self.folder / "go").touch()
        self.wait_for(self.folder / "result.json")
        told: dict[str, str] = json.loads((self.folder / "result.json").read_text())
        return told

    def wait_for(self, path: Path) -> None:
        until_started(path.exists, self.process, self.log, SECONDS)

    @property
    def file(self) -> Path:
        """What lets its kernels in."""
        return next(iter(self.folder.glob(f"**/jupyter-workspaces-server-{self.process.pid}.json")))


@contextmanager
def jupyter_server(
    folder: Path,
    options: Sequence[str],
    environment: Mapping[str, str],
    *,
    command: Sequence[str] = ("-m", "jupyter_server"),
    extension: bool = True,
) -> Iterator[JupyterServer]:
    """Started when its extensions run, on a free port of this machine."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "server.log"
    paths = {
        "ASK_GO": folder / "go",
        "ASK_CODE": folder / "code.py",
        "ASK_RESULT": folder / "result.json",
    }
    dirs = {
        name: folder / name.lower()
        for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")
    }
    taken = ("JUPYTER", "JPY_", "KUBECONFIG", "JUPYTERHUB")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(taken)}
    python_path = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH", "")]))
    settings = {name: str(value) for name, value in (paths | dirs).items()} | {
        "PYTHONPATH": python_path,
        **environment,
    }
    extensions = {
        "kernel_asker": True,
        "jupyter_workspaces": extension,
        "jupyterlab": False,
        "jupyter_lsp": False,
        "notebook": False,
    }
    arguments = [
        f"--ServerApp.jpserver_extensions={extensions}",
        *(
            []
            if any(
                name in option
                for option in options
                for name in ("ServerApp.sock", "ServerApp.port")
            )
            else ["--ServerApp.port=0"]
        ),
        "--ServerApp.open_browser=False",
        "--ServerApp.allow_root=True",
        f"--ServerApp.root_dir={folder}",
        *options,
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command, *arguments],
            env=inherited | settings,
            stdout=output,
            stderr=output,
        )
    server = JupyterServer(folder, process, log)
    try:
        server.wait_for(folder / "result.ready")
        yield server
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
