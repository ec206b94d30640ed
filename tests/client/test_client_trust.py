"""Security notice for workspaces without their own origin: once per process, or per user."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from served_workspaces import TOKEN, Served, workspace

from jupyter_workspaces.cli.main import cli
from jupyter_workspaces.client import Client, browser, trust_notice

NOTE = "can act as you on this server"


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """URLs that the browser was started with; the notice was not shown yet."""
    found: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: found.append(url) or True)
    monkeypatch.setattr(trust_notice, "_shown", False)
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    return found


def separate(server: Served) -> None:
    server.cluster["workspacesUrl"] = "https://*.ws.example"


def run(server: Served, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    monkeypatch.setattr(trust_notice, "_shown", False)  # each command is a process of its own
    monkeypatch.setenv("JUPYTER_WORKSPACES_URL", server.url)
    monkeypatch.setenv("JUPYTER_WORKSPACES_TOKEN", TOKEN)
    return CliRunner().invoke(cli, list(arguments), prog_name="jupyter workspaces")


def test_python_says_it_once(
    server: Served, client: Client, opened: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    server.add(workspace("dora"))
    client.get("dora").open()
    assert f"the programs in dora {NOTE}" in capsys.readouterr().err
    client.get("dora").open()
    assert capsys.readouterr().err == ""
    assert len(opened) == 2


def test_a_notebook_shows_it_in_the_output(
    server: Served, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[dict[str, str]] = []
    monkeypatch.setattr(browser, "in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))
    server.add(workspace("dora"))
    client.get("dora").open()
    client.get("dora").open()
    assert [NOTE in bundle["text/html"] for bundle in shown] == [True, False]
    assert [NOTE in bundle["text/plain"] for bundle in shown] == [True, False]


def test_nothing_is_said_where_workspaces_are_apart(
    server: Served,
    client: Client,
    opened: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    separate(server)
    server.add(workspace("dora"))
    assert client.get("dora").open() == f"{server.url}workspace/connect/default/dora/jupyterlab/"
    assert capsys.readouterr().err == ""
    assert NOTE not in run(server, monkeypatch, "open", "dora").stderr
    assert len(opened) == 2


def test_the_command_line_says_it_once_for_each_user(
    server: Served,
    opened: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    server.add(workspace("dora"))
    assert NOTE not in run(server, monkeypatch, "open", "dora", "--print").output
    first, second = (
        run(server, monkeypatch, "open", "dora"),
        run(server, monkeypatch, "open", "dora"),
    )
    assert (first.stderr.count(NOTE), second.stderr.count(NOTE)) == (1, 0)
    assert (
        first.stdout == second.stdout == f"{server.url}workspace/connect/default/dora/jupyterlab/\n"
    )
    assert len(opened) == 2


def test_it_opens_where_the_mark_cannot_be_written(
    server: Served, opened: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "data").write_text("a file where the directory would be")
    server.add(workspace("dora"))
    done = run(server, monkeypatch, "open", "dora")
    assert (done.exit_code, len(opened)) == (0, 1)
    assert NOTE in done.stderr


def test_who_may_not_look_at_the_cluster_opens_all_the_same(
    server: Served, opened: list[str]
) -> None:
    server.add(workspace("dora"))
    server.refuse["GET cluster"] = (403, {"code": "403", "message": "no"})
    with Client(server.url, TOKEN, namespace="default") as client:
        client.get("dora").open()
    assert len(opened) == 1
