"""Public Python API in a cell: names, signatures, tables, values for scripts, and errors."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from served_workspaces import TOKEN, Served, claim, workspace

import jupyter_workspaces as package
import jupyter_workspaces.client as jw
from jupyter_workspaces.client import Client, WorkspaceError, WrongArgument


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, client: Client) -> InteractiveShell:
    monkeypatch.setattr(jw, "_default", client)
    made = InteractiveShell()
    made.run_cell("import jupyter_workspaces as jw")
    return made


@pytest.mark.parametrize("jedi", [True, False])
def test_tab_offers_public_names_only(shell: InteractiveShell, jedi: bool) -> None:
    shell.Completer.use_jedi = jedi
    with provisionalcompleter():
        offered = {found.text.lstrip(".") for found in shell.Completer.completions("jw.", 3)}
    assert {"list", "spawn", "panel"} <= offered
    assert {name for name in offered if not name.startswith("_")} <= set(package.__all__)


def test_dir_is_what_is_public() -> None:
    assert set(dir(package)) == set(package.__all__)


def test_spawn_shows_its_options_and_what_they_mean() -> None:
    named = inspect.signature(package.spawn).parameters
    assert list(named) == [
        name for name in inspect.signature(Client.spawn).parameters if name != "self"
    ]
    assert not any(one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD) for one in named.values())
    for name in named:
        assert f"{name}:" in (package.spawn.__doc__ or "")


def test_the_panel_has_a_signature_also_as_a_module() -> None:
    import jupyter_workspaces.panel as module

    assert (
        list(inspect.signature(module).parameters)
        == list(inspect.signature(package.panel).parameters)
        == ["namespace", "client"]
    )


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            "jw.spawn('jupyterlab', siz='Tiny')",
            "spawn(): got an unexpected keyword argument 'siz'.",
        ),
        ("jw.spawn()", "spawn(): missing a required argument: 'kind'."),
        ("jw.spawn(3)", "spawn(): kind must be text, not int."),
        (
            "jw.spawn('jupyterlab', labels=['a'])",
            "spawn(): labels must be a mapping or None, not list.",
        ),
        (
            "jw.spawn('jupyterlab', read_only='sales')",
            "spawn(): read_only must be a collection, not str.",
        ),
        ("jw.list(3)", "list(): namespace must be text or None, not int."),
        ("jw.get(None)", "get(): name must be text, not NoneType."),
        ("jw.panel(3)", "panel(): namespace must be text or None, not int."),
        (
            "jw.get('dora').wait(timeout='soon')",
            "wait(): timeout must be a number or None, not str.",
        ),
        ("jw.get('dora').logs(tail='ten')", "logs(): tail must be a whole number, not str."),
    ],
)
def test_wrong_arguments_are_a_sentence_without_our_frames(
    server: Served,
    shell: InteractiveShell,
    capsys: pytest.CaptureFixture[str],
    call: str,
    said: str,
) -> None:
    server.add(workspace("dora"))
    asked = len(server.asked)
    done = shell.run_cell(call)
    assert isinstance(done.error_in_exec, (WrongArgument, TypeError))
    told = capsys.readouterr().out
    assert f"WrongArgument: {said}" in told
    assert "jupyter_workspaces/" not in told
    assert [method for method, *_ in server.asked[asked:] if method != "GET"] == []


@pytest.mark.parametrize(
    "call",
    [
        "jw.spawn('jupytrlab')",
        "jw.spawn('jupyterlab', 'x', size='nope')",
        "jw.spawn('jupyterlab', 'x', home='nope')",
        "jw.list('nope')",
    ],
)
def test_an_error_says_its_sentence_once(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str], call: str
) -> None:
    shell.run_cell(call)
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[0].startswith("WorkspaceError: ")
    assert sum("not found" in line for line in lines) == 1


def test_a_field_adds_what_the_sentence_does_not_say() -> None:
    error = WorkspaceError(
        "The name is wrong.", fields={"name": "no capital letters", "kind": "The name is wrong"}
    )
    assert error.details() == [("name", "no capital letters")]


def test_home_is_asked_for_once(server: Served, client: Client) -> None:
    server.add(workspace("dora"))
    server.models[("default", "dora")] = {
        "podTemplate": {"volumes": {"home": "home-dora", "data": [{"pvcName": "sales"}]}}
    }
    found = client.get("dora")
    assert (found.home, found.home, found.volumes()[1:]) == ("home-dora", "home-dora", ["sales"])
    assert "home-dora" in found._repr_html_()
    assert server.count("GET", "workspaces/default/dora") == 2  # `volumes()` asks each time


def test_one_without_a_home_has_an_empty_one(server: Served, client: Client) -> None:
    server.add(workspace("dora"))
    server.models[("default", "dora")] = {"podTemplate": {"volumes": {"data": []}}}
    assert client.get("dora").home == ""


def test_kinds_show_titles_and_each_can_be_given_to_spawn(client: Client) -> None:
    headings, rows = client.kinds().rows()
    images, sizes = (rows[0][headings.index(name)] for name in ("images", "sizes"))
    assert images == "SciPy 1.9, PyTorch (torch_cpu), PyTorch (torch_gpu)"
    assert sizes.startswith("Tiny (default)")
    for title in ("SciPy 1.9", "torch_cpu"):
        assert (
            client.spawn("jupyterlab", image=title, home="").image == "scipy_190"
        )  # the server's stand-in always says so


def test_a_workspace_as_values(server: Served, client: Client) -> None:
    server.claims["home-dora"] = claim("home-dora") | {"workspaces": [{"name": "dora"}]}
    server.add(workspace("dora", activity={"lastActivity": 1_790_000_000_000, "lastUpdate": 0}))
    found = client.list()
    assert found[0].to_dict()["volumes"] is None
    found.learn_volumes()
    told = found[0].to_dict()
    assert (told["created"], told["last_used"]) == ("2026-09-21T14:00:00Z", "2026-09-21T14:13:20Z")
    assert (told["volumes"], told["cpu"], told["memory"], told["gpu"]) == (
        ["home-dora"],
        0.1,
        512 * 2**20,
        None,
    )
    assert server.count("GET", "persistentvolumeclaims/default") == 1


def test_who_may_not_list_volumes_still_gets_the_list(server: Served, client: Client) -> None:
    server.add(workspace("dora"))
    server.refuse["GET persistentvolumeclaims/default"] = (403, {"message": "No."})
    found = client.list()
    found.learn_volumes()
    assert found[0].to_dict()["volumes"] is None


def test_a_namespace_that_is_not_there_is_said(server: Served, client: Client) -> None:
    for ask in (client.list, client.claims):
        with pytest.raises(WorkspaceError, match="Namespace 'nope' not found") as raised:
            ask("nope")
        assert raised.value.status == 404
    assert repr(client.list("team")) == "No workspaces in team."
    server.refuse["GET namespaces"] = (403, {"message": "No."})
    assert len(client.list("nope")) == 0  # who may not list namespaces gets the answer of the list


def test_scripts_see_the_sentence_too(server: Served) -> None:
    code = "import jupyter_workspaces as jw; jw.spawn('jupyterlab', siz='x')"
    environment = {"JUPYTER_WORKSPACES_URL": server.url, "JUPYTER_WORKSPACES_TOKEN": TOKEN}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.stderr.splitlines()[-1].endswith(
        "spawn(): got an unexpected keyword argument 'siz'."
    )
