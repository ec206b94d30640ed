"""`jupyter workspaces demo`: the tour, in JupyterLab or to its end without a screen, on a cluster of this machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .client.errors import WorkspaceError

NOTEBOOK = "quickstart.ipynb"
STOP_SECONDS = 15.0
CELL_SECONDS = 300


def notebook() -> Path:
    """The tour: in the installed package, else beside it in a checkout. Raises `WorkspaceError`."""
    here = Path(__file__).resolve().parent
    for folder in (here / "notebooks", here.parent / "notebooks"):
        if (folder / NOTEBOOK).exists():
            return folder / NOTEBOOK
    raise WorkspaceError(f"{NOTEBOOK} did not come with this installation.", "Install jupyter-workspaces again.")


def run(directory: Path) -> int:
    """Open JupyterLab on a copy of the tour in `directory`, with the user's own local cluster. The exit status of JupyterLab."""
    _needs("jupyterlab", "JupyterLab")
    from .local import launch

    print("Starting the local cluster …", flush=True)
    began = time.monotonic()
    launch.start()
    print(f"  it runs after {time.monotonic() - began:.1f} s; its data is in {launch.home()}")
    directory.mkdir(parents=True, exist_ok=True)
    copy = directory / NOTEBOOK
    if not copy.exists():
        shutil.copyfile(notebook(), copy)
    print(f"  the tour is {copy.resolve()}\nOpening JupyterLab; Ctrl-C ends it.", flush=True)
    command = [sys.executable, "-m", "jupyterlab", NOTEBOOK, "--JupyterWorkspaces.embedded=True"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    lab = subprocess.Popen(command, cwd=directory)
    # Ctrl-C reaches JupyterLab by itself, which asks; we wait for what it decides.
    held = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        status = lab.wait()
    finally:
        signal.signal(signal.SIGINT, held)
    print("The local cluster and its workspaces go on. `jupyter workspaces local stop --pods` stops them, `… local reset` deletes them.")
    return status


def run_headless() -> int:
    """Run the tour to its end on a throw-away cluster, print each step with its time, stop what was started. 0, or 1 when a step failed."""
    _needs("nbclient", "nbclient")
    scratch = Path(tempfile.mkdtemp(prefix="jupyter-workspaces-demo-"))
    home = scratch / "cluster"
    began = time.monotonic()
    print(f"The tour runs on a throw-away cluster in {scratch}", flush=True)
    held = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with _environment(JUPYTER_WORKSPACES_HOME=str(home)):
            failed = _execute(scratch)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        failed = True
    finally:
        signal.signal(signal.SIGTERM, held)
        _stop(home)
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"{'FAILED' if failed else 'Done'} after {time.monotonic() - began:.1f} s; what was started is stopped and deleted.", flush=True)
    return 1 if failed else 0


def _execute(scratch: Path) -> bool:
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    from .local import launch

    _step("the local cluster starts", lambda: launch.start())
    document = nbformat.read(notebook(), as_version=4)
    started: dict[int, float] = {}

    def begins(cell: Any, cell_index: int, **_: Any) -> None:
        started[cell_index] = time.monotonic()

    def ended(cell: Any, cell_index: int, **_: Any) -> None:
        if cell.cell_type == "code":
            print(f"  {time.monotonic() - started.get(cell_index, time.monotonic()):6.1f} s  {_title(cell)}", flush=True)

    tour = NotebookClient(
        document,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(scratch)}},
        on_cell_start=begins,
        on_cell_executed=ended,
        extra_arguments=["--log-level=ERROR"],
    )
    try:
        tour.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError, RuntimeError) as error:  # RuntimeError: no kernel answered
        print(f"\nA step of the tour failed:\n{error}", file=sys.stderr)
        return True
    return False


def _title(cell: Any) -> str:
    """What a cell is about: its first line of code, without what only sets it up."""
    lines = [line.strip() for line in cell.source.splitlines() if line.strip() and not line.strip().startswith("#")]
    text = lines[-1] if lines and lines[0].startswith("import ") else (lines[0] if lines else "")
    return text if len(text) <= 90 else text[:89] + "…"


def _step(name: str, action: Any) -> None:
    began = time.monotonic()
    action()
    print(f"  {time.monotonic() - began:6.1f} s  {name}", flush=True)


def _stop(home: Path) -> None:
    """End the `serve` and the cluster of this directory, and nothing else."""
    import psutil

    from .local import launch

    try:
        server = psutil.Process(json.loads((home / "serve.json").read_text(encoding="utf-8"))["pid"])
        if str(home) in " ".join(server.cmdline()):
            server.terminate()
            server.wait(STOP_SECONDS)
    except (OSError, ValueError, KeyError, psutil.Error):
        pass  # none was started, or it has ended
    if home.exists():
        launch.reset(home)


class _environment:
    """The variables that decide which cluster is used, for the time of the tour: ours, and no one else's."""

    def __init__(self, **variables: str) -> None:
        self._variables = variables
        self._held: dict[str, str] = {}

    def __enter__(self) -> None:
        self._held = dict(os.environ)
        for name in list(os.environ):
            if name.startswith(("JUPYTER_WORKSPACES_", "JUPYTERHUB_")) or name in ("KUBECONFIG", "JUPYTER_WORKSPACE"):
                del os.environ[name]
        os.environ.update(self._variables)

    def __exit__(self, *_: object) -> None:
        os.environ.clear()
        os.environ.update(self._held)


def _needs(module: str, title: str) -> None:
    import importlib.util

    if importlib.util.find_spec(module) is None:
        raise WorkspaceError(f"The demo needs {title}, which is not installed.", "Install the extra: pip install 'jupyter-workspaces[lab]'")


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt
