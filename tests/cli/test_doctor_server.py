"""What `doctor` says of a server that runs."""

from __future__ import annotations

import asyncio

import pytest
from served_workspaces import TOKEN, Served

from jupyter_workspaces.cli.installation import server_line
from jupyter_workspaces.client import AsyncClient


def test_a_server_that_hears_from_its_cluster_is_good(server: Served) -> None:
    line = asyncio.run(server_line(AsyncClient(server.url, TOKEN)))
    assert line is not None
    assert (line.state, line.about, line.found) == (
        "good",
        "server",
        f"{server.url} is connected to local cluster",
    )


def test_a_stale_server_says_since_when(server: Served) -> None:
    server.stale_since = "2026-11-30T01:02:03Z"
    line = asyncio.run(server_line(AsyncClient(server.url, TOKEN)))
    assert line is not None
    assert (line.state, "since 2026-11-30T01:02:03Z" in line.found) == ("bad", True)


def test_a_server_whose_cluster_is_away_says_why(server: Served) -> None:
    server.refuse["GET cluster"] = (503, {"message": "The local cluster was stopped."})
    line = asyncio.run(server_line(AsyncClient(server.url, TOKEN, namespace="default")))
    assert line is not None
    assert (line.state, "The local cluster was stopped." in line.found) == ("bad", True)


def test_no_server_is_no_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("JUPYTER_WORKSPACES_HOME", str(tmp_path))
    for name in ("JPY_PARENT_PID", "JUPYTER_WORKSPACES_URL", "JUPYTERHUB_SERVICE_URL"):
        monkeypatch.delenv(name, raising=False)
    assert asyncio.run(server_line(AsyncClient(start=False))) is None
