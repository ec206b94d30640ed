"""One exit code for each kind of mistake, over all commands (the table in docs/command-line.md)."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from served_workspaces import TOKEN, Served, workspace

from jupyter_workspaces.cli.main import cli

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "command-line.md"
REFUSED, WRONG_USE, NOT_FOUND, UNREACHABLE = 1, 2, 3, 4
NAMED = ("open", "pause", "resume", "restart", "logs", "delete")
ASKING = {
    **{name: (name, "dora", *(("--yes",) if name == "delete" else ())) for name in NAMED},
    "list": ("list",),
    "kinds": ("kinds",),
    "spawn": ("spawn", "jupyterlab", "dora"),
    "claims": ("claims",),
    "claims create": ("claims", "create", "sales"),
    "claims delete": ("claims", "delete", "sales", "--yes"),
}
MISSING_CLUSTER = ("doctor", "install", "upgrade", "uninstall")


@pytest.fixture(autouse=True)
def named(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_WORKSPACES_URL", server.url)
    monkeypatch.setenv("JUPYTER_WORKSPACES_TOKEN", TOKEN)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), prog_name="jupyter workspaces")


def paths(group: click.Group, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for name, command in group.commands.items():
        found.append((*before, name))
        if isinstance(command, click.Group):
            found += paths(command, (*before, name))
    return found


@pytest.mark.parametrize("command", paths(cli), ids=" ".join)
def test_an_unknown_option_is_wrong_use_in_every_command(command: tuple[str, ...]) -> None:
    assert run(*command, "--no-such-option").exit_code == WRONG_USE


@pytest.mark.parametrize("command", ASKING.values(), ids=" ".join)
def test_a_server_that_does_not_answer(command: tuple[str, ...]) -> None:
    assert run("--url", "http://127.0.0.1:9/", *command).exit_code == UNREACHABLE


@pytest.mark.parametrize("command", NAMED)
def test_a_workspace_that_does_not_exist(command: str) -> None:
    assert run(command, "nobody").exit_code == NOT_FOUND


@pytest.mark.parametrize(
    "command",
    [
        ("list", "-n", "nope"),
        ("claims", "-n", "nope"),
        ("spawn", "nope"),
        ("spawn", "jupyterlab", "x", "--image", "nope"),
        ("spawn", "jupyterlab", "x", "--size", "nope"),
        ("spawn", "jupyterlab", "x", "--home", "nope"),
        ("spawn", "jupyterlab", "x", "--data", "nope:/data"),
        ("pause", "nope/dora"),
    ],
    ids=" ".join,
)
def test_whatever_else_is_named_and_does_not_exist(command: tuple[str, ...]) -> None:
    done = run(*command)
    assert (done.exit_code, done.stdout) == (NOT_FOUND, "")
    assert done.stderr.count("nope") >= 1


@pytest.mark.parametrize(
    "command",
    [
        ("spawn", "jupyterlab", "Dora!"),
        ("spawn", "jupyterlab", "x", "--image", "PyTorch"),
        ("spawn", "jupyterlab", "x", "--data", "sales"),
        ("spawn", "jupyterlab", "x", "--label", "team"),
        ("spawn", "jupyterlab", "x", "--timeout", "soon"),
        ("logs", "dora", "--tail", "0"),
        ("list", "--output", "xml"),
        ("list", "--watch", "-o", "yaml"),
        ("local", "start", "--pod-log", "/no/such/file"),
        ("serve", "--port", "70000"),
    ],
    ids=" ".join,
)
def test_a_value_that_cannot_be(server: Served, command: tuple[str, ...]) -> None:
    server.add(workspace("dora"))
    assert run(*command).exit_code == WRONG_USE


def test_a_value_that_the_server_calls_wrong(server: Served) -> None:
    wrong = {
        "message": "The name is wrong.",
        "cause": {"validation_errors": [{"field": "name", "message": "no capital letters"}]},
    }
    server.refuse["POST persistentvolumeclaims/default"] = (422, wrong)
    done = run("claims", "create", "Sales")
    assert done.exit_code == WRONG_USE
    assert done.stderr == "Error: The name is wrong.\n  name: no capital letters\n"


@pytest.mark.parametrize("command", MISSING_CLUSTER)
@pytest.mark.parametrize("more", [(), ("--kubeconfig", "/no/such/file")])
def test_a_cluster_that_is_not_named_or_not_there(command: str, more: tuple[str, ...]) -> None:
    assert run(command, *more).exit_code == WRONG_USE


@pytest.mark.parametrize("status", [401, 403, 409])
def test_what_the_server_refuses(server: Served, status: int) -> None:
    server.add(workspace("dora"))
    for method, path, command in (
        ("POST", "workspaces/default/dora/actions/pause", ("pause", "dora")),
        ("DELETE", "workspaces/default/dora", ("delete", "dora", "-y")),
        ("POST", "workspaces/default", ("spawn", "jupyterlab", "eve")),
        ("GET", "workspaces/default", ("list",)),
        ("POST", "persistentvolumeclaims/default", ("claims", "create", "sales")),
    ):
        server.refuse = {f"{method} {path}": (status, {"message": "No."})}
        assert run(*command).exit_code == REFUSED, command


@pytest.mark.parametrize(
    "command", [("delete", "dora"), ("claims", "delete", "sales"), ("local", "reset")], ids=" ".join
)
def test_without_a_terminal_what_asks_needs_yes(server: Served, command: tuple[str, ...]) -> None:
    server.add(workspace("dora"))
    server.models[("default", "dora")] = {"podTemplate": {"volumes": {"data": []}}}
    done = run(*command)
    assert done.exit_code == WRONG_USE
    assert "add --yes to confirm" in done.stderr


def test_the_table_names_every_code() -> None:
    rows = re.findall(r"^\| (\d+) \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == ["0", "1", "2", "3", "4", "5", "130"]
