"""Notebooks run twice on a local cluster; the demo cleans up in all cases."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import psutil
import pytest

from jupyter_workspaces import demo
from jupyter_workspaces.client import Client

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
LIMIT = 240  # seconds


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the cluster lies that the notebooks of this module share."""
    home = tmp_path_factory.mktemp("cluster")
    with demo._environment(JUPYTER_WORKSPACES_HOME=str(home)):
        yield home
    demo.stop(home)


def processes_of(home: Path) -> list[int]:
    """Everything that runs for a cluster: its server, its serve, its workspaces."""
    found = []
    for process in psutil.process_iter():
        try:
            said = [*process.cmdline(), *process.environ().values()]
        except psutil.Error:
            continue
        if any(str(home) in text for text in said) and process.pid != os.getpid():
            found.append(process.pid)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["quickstart", "admin"])
@pytest.mark.parametrize("turn", ["first", "second"])
def test_every_cell_runs_also_the_second_time(
    cluster: Path, tmp_path: Path, name: str, turn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.play(NOTEBOOKS / f"{name}.ipynb", tmp_path), capsys.readouterr().err
    told = capsys.readouterr().out.splitlines()
    cells = [
        cell
        for cell in nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells
        if cell.cell_type == "code"
    ]
    assert len(told) == len(cells)
    assert all(re.match(r" +\d+\.\d s  \S", line) for line in told)


@pytest.mark.slow
def test_the_administrators_notebook_touches_only_what_it_made(
    cluster: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other workspaces, without the label or with another value, and volumes are not changed."""
    with Client() as client:
        others = [
            client.spawn("jupyterlab", "desk-ana", size="Tiny", wait=True),
            client.spawn(
                "jupyterlab", "desk-bo", size="Tiny", home="", labels={"made-by": "bo"}, wait=True
            ),
        ]
        since = {ws.name: ws.refresh()._item["lastRunningTime"] for ws in others}
        assert demo.play(NOTEBOOKS / "admin.ipynb", tmp_path), capsys.readouterr().err
        assert {
            ws.name: (ws.state, ws._item["lastRunningTime"])
            for ws in client.list()
            if ws.name in since
        } == {name: ("Running", time) for name, time in since.items()}
        assert "home-desk-ana" in [claim["name"] for claim in client.claims()]
        assert [
            ws.name for ws in client.list() if ws.labels.get("made-by") == "admin-notebook"
        ] == []
        for ws in others:
            ws.delete()


@pytest.mark.parametrize("name", ["quickstart", "admin"])
def test_notebooks_are_kept_without_outputs(name: str) -> None:
    for cell in nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.slow
def test_the_demo_names_the_cell_that_failed_and_leaves_nothing(tmp_path: Path) -> None:
    broken = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("import jupyter_workspaces as jw\n\njw.kinds()"),
            nbformat.v4.new_code_cell("jw.spawn('jupyterlab', 'tour', size='huge')"),
            nbformat.v4.new_code_cell("print('never')"),
        ]
    )
    nbformat.write(broken, tmp_path / "broken.ipynb")
    notebook = str(tmp_path / "broken.ipynb")
    code = (
        "import sys; from pathlib import Path; from jupyter_workspaces import demo; "
        f"sys.exit(demo.run_headless(Path({notebook!r})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT
    )
    assert done.returncode == 1
    assert "jw.kinds()" in done.stdout
    assert "never" not in done.stdout
    assert "Size 'huge' not found in workspace kind 'jupyterlab'." in done.stderr
    assert "\x1b" not in done.stderr
    scratch = Path(done.stdout.splitlines()[0].rpartition(" ")[2])
    assert not scratch.exists()
    assert processes_of(scratch) == []


@pytest.mark.slow
@pytest.mark.parametrize("after", ["start the local cluster", "ws.wait()"])
def test_an_interrupted_demo_leaves_nothing(after: str) -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "jupyter_workspaces.cli", "demo", "--headless"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    first = running.stdout.readline()
    scratch = Path(first.strip().rpartition(" ")[2])
    while after not in running.stdout.readline():
        assert running.poll() is None
    time.sleep(0.3)  # somewhere in the middle of what comes next
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 1, err
    assert "the temporary cluster is deleted" in out
    assert not scratch.exists()
    assert processes_of(scratch) == []
