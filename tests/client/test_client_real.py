"""Client and command line with a real server, a local cluster and JupyterLab in a workspace."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from jupyter_workspaces.client import Client, WorkspaceError

pytestmark = pytest.mark.slow


@pytest.fixture
def real(alone: Path) -> Iterator[Client]:
    """Finds nothing, so it starts a `serve` of its own."""
    with Client() as client:
        yield client
    from jupyter_workspaces.local import launch

    home = alone / "home"
    server = psutil.Process(json.loads((home / "serve.json").read_text())["pid"])
    server.terminate()
    server.wait(15)
    launch.reset(home)


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jupyter_workspaces.cli", *words],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_life_of_a_workspace(real: Client) -> None:
    real.create_claim("sales")
    ws = real.spawn(
        "jupyterlab",
        "dora",
        size="tiny",
        data={"sales": ("sales", "ro")},
        labels={"team": "risk"},
        wait=True,
    )
    assert {one["reason"] for one in ws.events()} >= {"Scheduled", "Started"}
    assert [step["state"] for step in ws.progress()["steps"]] == ["done"] * 6
    assert ws.volumes() == ["home-dora", "sales"]

    content = {"type": "file", "format": "text", "content": "kept"}
    assert ws.request("PUT", "api/contents/notes.txt", content)["path"] == "notes.txt"
    with pytest.raises(WorkspaceError):
        ws.request("PUT", "api/contents/sales/notes.txt", content)  # it was mounted to be read

    assert len(list(itertools.islice(ws.follow(tail=3), 3))) == 3
    with pytest.raises(WorkspaceError, match="'home-dora' is used by dora"):
        real.delete_claim("home-dora")

    began = ws.last_activity
    assert ws.restart().state == "Running"
    assert ws.request("GET", "api/contents/notes.txt")["content"] == "kept"
    assert ws.last_activity >= began

    assert ws.pause().state == "Paused"
    with pytest.raises(WorkspaceError, match="paused"):
        ws.wait(quiet=True)
    listed = command("list", "-o", "json")
    assert [(one["name"], one["state"]) for one in json.loads(listed.stdout)] == [
        ("dora", "Paused")
    ]
    assert command("resume", "dora").stdout == "Resumed dora\n"
    assert command("logs", "dora", "--tail", "1").returncode == 0
    assert command("delete", "dora", "-y").stdout == "Deleted dora\n"
    assert "home-dora" in [one["name"] for one in real.claims()]


def test_a_kind_that_is_not_installed_says_what_to_do(real: Client) -> None:
    ws = real.spawn("rstudio", "stats", wait=False)
    with pytest.raises(WorkspaceError, match="RStudio") as raised:
        ws.wait(timeout=8, quiet=True)
    assert raised.value.hint
    assert ws.state == "Error"
    assert ws.state_words.word == "Needs attention"
    ws.delete()
    assert len(real.list()) == 0
