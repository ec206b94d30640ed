"""`jupyter workspaces demo`: the quickstart notebook on a local cluster.

It opens in JupyterLab, or runs to its end without a browser (`--headless`).
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .client.errors import WorkspaceError

NOTEBOOK = "quickstart.ipynb"
STOP_SECONDS = 10.0
CELL_SECONDS = 300
TITLE_CHARACTERS = 90

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_SETUP_LINE = re.compile(
    r"(import|from|for|if|with|try|except|else|finally|assert|#|%load_ext)\b|\s|\w+$|$"
)


def notebook() -> Path:
    """Return the path of the quickstart notebook. Raises `WorkspaceError` if it is missing."""
    here = Path(__file__).resolve().parent
    for folder in (here / "notebooks", here.parent / "notebooks"):
        if (folder / NOTEBOOK).exists():
            return folder / NOTEBOOK
    raise WorkspaceError(
        f"{NOTEBOOK} is missing from this installation.", "Install jupyter-workspaces again."
    )


def run(directory: Path) -> int:
    """Open JupyterLab on a copy of the notebook in `directory`, with the user's local cluster.

    Returns the exit status of JupyterLab.
    """
    _needs("jupyterlab", "JupyterLab")
    from .local import launch

    print("Starting the local cluster …", flush=True)
    began = time.monotonic()
    launch.start()
    print(f"  running after {time.monotonic() - began:.1f} s; its data is in {launch.home()}")
    directory.mkdir(parents=True, exist_ok=True)
    copy = directory / NOTEBOOK
    if not copy.exists():  # keep the user's changes
        shutil.copyfile(notebook(), copy)
    print(f"  notebook: {copy.resolve()}\nOpening JupyterLab; Ctrl-C stops it.", flush=True)
    command = [
        *(sys.executable, "-m", "jupyterlab"),
        f"--LabApp.default_url=/lab/tree/{NOTEBOOK}",  # for the printed URL too
        "--ServerApp.jpserver_extensions=jupyter_workspaces=True",
        "--JupyterWorkspaces.embedded=True",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    with _environment():
        lab = subprocess.Popen(command, cwd=directory)
    # JupyterLab receives Ctrl-C too and asks for confirmation; wait until it exits.
    held = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        status = lab.wait()
    finally:
        signal.signal(signal.SIGINT, held)
    print(
        "The local cluster and its workspaces keep running. "
        "`jupyter workspaces local stop --pods` stops them, "
        "`jupyter workspaces local reset` deletes them."
    )
    return status


def run_headless(tour: Path | None = None) -> int:
    """Run the notebook to its end on a temporary cluster, and print each step with its duration.

    Stops and deletes everything that it started. Returns 0, or 1 if a step failed.
    """
    _needs("nbclient", "nbclient")
    path = tour or notebook()
    scratch = Path(tempfile.mkdtemp(prefix="jupyter-workspaces-demo-"))
    home = scratch / "cluster"
    began = time.monotonic()
    print(f"Running the notebook on a temporary cluster in {scratch}", flush=True)
    held = signal.signal(signal.SIGTERM, _interrupt)
    succeeded = False
    try:
        with _environment(JUPYTER_WORKSPACES_HOME=str(home)):
            _start_cluster()
            succeeded = play(path, scratch)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
    finally:
        # A second Ctrl-C must not leave processes behind.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        stop(home)
        shutil.rmtree(scratch, ignore_errors=True)
        signal.signal(signal.SIGTERM, held)
        signal.signal(signal.SIGINT, signal.default_int_handler)
    word = "Done" if succeeded else "FAILED"
    print(
        f"{word} after {time.monotonic() - began:.1f} s; the temporary cluster is deleted.",
        flush=True,
    )
    return 0 if succeeded else 1


def play(path: Path, directory: Path) -> bool:
    """Run a notebook in `directory`, and print each cell with its duration, or its error.

    Returns whether all cells succeeded.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    started: dict[int, float] = {}

    def begins(cell: Any, cell_index: int, **_: Any) -> None:
        started[cell_index] = time.monotonic()

    def ended(cell: Any, cell_index: int, **_: Any) -> None:
        if cell.cell_type == "code":
            seconds = time.monotonic() - started.get(cell_index, time.monotonic())
            print(f"  {seconds:6.1f} s  {_title(cell.source)}", flush=True)

    tour = NotebookClient(
        nbformat.read(path, as_version=4),
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(directory)}},
        on_cell_start=begins,
        on_cell_executed=ended,
        extra_arguments=["--log-level=ERROR"],
    )
    try:
        tour.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError, RuntimeError) as error:
        # nbclient raises RuntimeError if the kernel does not start.
        said = str(error) if sys.stderr.isatty() else _ANSI.sub("", str(error))
        print(f"\nA step failed:\n{said}", file=sys.stderr)
        return False
    except AssertionError as error:  # nbclient's own, if interrupted: it may stop its kernel twice
        raise KeyboardInterrupt from error
    return True


def stop(home: Path) -> None:
    """Stop server, cluster and workspaces of the data directory `home`, and delete it."""
    import psutil

    from .local import launch

    servers = [process for process in psutil.process_iter() if _serves(process, home)]
    for process in servers:
        process.terminate()
    for process in psutil.wait_procs(servers, STOP_SECONDS)[1]:
        process.kill()
    if home.exists():
        launch.reset(home)


def _serves(process: Any, home: Path) -> bool:
    """Return whether the process is a server for `home`.

    By its command line, because a server that just started has not written its runtime file yet.
    """
    import psutil

    try:
        command: list[str] = process.cmdline()
    except psutil.Error:
        return False
    return "jupyter_workspaces.server.serve" in command and str(home / "serve.json") in command


def _start_cluster() -> None:
    from .local import launch

    began = time.monotonic()
    launch.start()
    print(f"  {time.monotonic() - began:6.1f} s  start the local cluster", flush=True)


def _title(source: str) -> str:
    """Return the first line of a cell that is not set-up, as its title."""
    lines = source.splitlines()
    text = next((line for line in lines if not _SETUP_LINE.match(line)), lines[0] if lines else "")
    return text if len(text) <= TITLE_CHARACTERS else text[: TITLE_CHARACTERS - 1] + "…"


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Set `variables`, and unset all others that select a cluster or server."""
    held = dict(os.environ)
    for name in held:
        ours = name.startswith("JUPYTER_WORKSPACES_") and name != "JUPYTER_WORKSPACES_HOME"
        if ours or name.startswith("JUPYTERHUB_") or name in ("KUBECONFIG", "JUPYTER_WORKSPACE"):
            del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(held)


def _needs(module: str, title: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise WorkspaceError(
            f"The demo needs {title}, which is not installed.",
            "Install the extra: pip install 'jupyter-workspaces[lab]'",
        )


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt
