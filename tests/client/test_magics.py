"""`%workspaces` and `%workspace` in a real IPython shell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from served_workspaces import TOKEN, Served, claim, workspace

import jupyter_workspaces.client as jw
from jupyter_workspaces.client import WorkspaceError, WorkspaceList


@pytest.fixture
def shell(server: Served) -> Iterator[InteractiveShell]:
    made = InteractiveShell()
    jw.use_server(server.url, TOKEN)
    made.run_line_magic("load_ext", "jupyter_workspaces")
    yield made
    jw.default().close()


def test_the_list_is_the_default(shell: InteractiveShell, server: Served) -> None:
    server.add(workspace("dora"), workspace("eve", namespace="team"))
    assert isinstance(found := shell.run_line_magic("workspaces", ""), WorkspaceList)
    assert [one.name for one in found] == ["dora"]
    assert [one.name for one in shell.run_line_magic("workspaces", "list -n team")] == ["eve"]
    assert [kind.name for kind in shell.run_line_magic("workspaces", "kinds")] == [
        "jupyterlab",
        "rstudio",
    ]


def test_a_life_in_five_lines(
    shell: InteractiveShell, server: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    server.claims["sales"] = claim("sales")
    made = shell.run_line_magic(
        "workspace", "spawn jupyterlab dora --image 'SciPy 1.9' --data sales:/data/sales:ro"
    )
    assert (made.name, made.state) == ("dora", "Running")
    assert shell.run_line_magic("workspace", "pause dora").state == "Paused"
    assert shell.run_line_magic("workspace", "resume dora").state == "Running"
    shell.run_line_magic("workspace", "logs dora --tail 1")
    assert capsys.readouterr().out.endswith("line 0\n")
    assert shell.run_line_magic("workspace", "delete dora -y") is None
    assert server.items == {}


def test_delete_says_what_stays_before_it_does(shell: InteractiveShell, server: Served) -> None:
    shell.run_line_magic("workspace", "spawn jupyterlab dora --no-wait")
    with pytest.raises(WorkspaceError, match="The volume home-dora stays") as raised:
        shell.run_line_magic("workspace", "delete dora")
    assert raised.value.hint.endswith("%workspace delete dora -y")
    assert ("default", "dora") in server.items


@pytest.mark.parametrize(
    ("magic", "line", "said"),
    [
        ("workspaces", "everything", "invalid choice: 'everything'"),
        ("workspace", "", "needs an action"),
        ("workspace", "explode dora", "invalid choice: 'explode'"),
        ("workspace", "pause", "arguments are required: name"),
        ("workspace", "spawn 'jupyterlab", "No closing quotation"),
        ("workspace", "spawn jupyterlab x --data sales", "Invalid value 'sales' for --data"),
        ("workspace", "pause nobody", "Workspace 'nobody' not found"),
    ],
)
def test_wrong_words_are_answered_with_right_ones(
    shell: InteractiveShell, magic: str, line: str, said: str
) -> None:
    with pytest.raises(WorkspaceError) as raised:
        shell.run_line_magic(magic, line)
    assert said in raised.value.message
    assert raised.value.hint


def matches(shell: InteractiveShell, text: str) -> list[Any]:
    return [found.text for found in shell.Completer.completions(text, len(text))]


@pytest.mark.filterwarnings("ignore")  # IPython calls its own interface provisional
def test_completion(shell: InteractiveShell, server: Served) -> None:
    server.add(workspace("dora"), workspace("eve"))
    assert "pause" in matches(shell, "%workspace pa")
    assert "dora" in matches(shell, "%workspace pause do")
    assert "rstudio" in matches(shell, "%workspace spawn r")
    assert "panel" in matches(shell, "%workspaces p")


@pytest.mark.filterwarnings("ignore")
def test_completion_is_silent_when_nobody_answers(shell: InteractiveShell, server: Served) -> None:
    server.refuse["GET workspaces/default"] = (500, {"message": "broken"})
    assert "dora" not in matches(shell, "%workspace pause do")


def test_a_magic_that_ends_kernels_says_so_first(shell: InteractiveShell, server: Served) -> None:
    server.add(workspace("dora"))
    server.kernels = [{"id": "1", "execution_state": "busy"}]
    with pytest.raises(
        WorkspaceError, match="1 kernel is running; its variables are lost"
    ) as raised:
        shell.run_line_magic("workspace", "pause dora")
    assert raised.value.hint == "Add -y to confirm: %workspace pause dora -y"
    assert not server.items[("default", "dora")]["paused"]
    shell.run_line_magic("workspace", "pause dora -y")
    assert server.items[("default", "dora")]["paused"]
