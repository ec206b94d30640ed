"""`jupyter workspaces …`: what is written where, and the exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from served_workspaces import TOKEN, Served, claim, event, workspace

from jupyter_workspaces.cli.main import cli


@pytest.fixture(autouse=True)
def named(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_WORKSPACES_URL", server.url)
    monkeypatch.setenv("JUPYTER_WORKSPACES_TOKEN", TOKEN)


def run(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(cli, list(arguments), input=answer, prog_name="jupyter workspaces")


def test_a_list_is_aligned_columns(server: Served) -> None:
    server.add(
        workspace("dora"),
        workspace("eve-with-a-long-name", "Error", stateMessage="No node has a free GPU."),
    )
    done = run("list")
    head, first, second = done.stdout.splitlines()
    assert done.exit_code == 0
    assert [
        line.index(word) for line, word in ((head, "NAME"), (first, "dora"), (second, "eve"))
    ] == [head.index("NAME")] * 3
    assert second.startswith("Needs attention")
    assert second.endswith("No node has a free GPU.")
    assert "\x1b" not in done.stdout  # colour only on a terminal


def test_the_same_for_scripts(server: Served) -> None:
    server.add(workspace("dora"), workspace("eve", "Paused"))
    found = json.loads(run("list", "-o", "json").stdout)
    assert found == yaml.safe_load(run("list", "-o", "yaml").stdout)
    assert [(one["name"], one["state"], one["paused"]) for one in found] == [
        ("dora", "Running", False),
        ("eve", "Paused", True),
    ]
    assert run("list", "-o", "name").stdout == "dora\neve\n"


def test_an_empty_list_leaves_standard_output_empty() -> None:
    done = run("list")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "spawn jupyterlab" in done.stderr
    assert run("list", "-o", "json").stdout == "[]\n"


def test_namespaces(server: Served) -> None:
    server.add(workspace("dora"), workspace("eve", namespace="team"))
    assert run("list", "-n", "team", "-o", "name").stdout == "eve\n"
    assert run("list", "-A", "-o", "name").stdout == "default/dora\nteam/eve\n"
    assert run("list", "--all-namespaces").stdout.splitlines()[0].startswith("NAMESPACE")
    assert run("pause", "team/eve", "-o", "name").stdout == "eve\n"
    assert server.items[("team", "eve")]["paused"]


def test_spawn_says_what_it_did_and_shows_progress_beside_it(server: Served) -> None:
    server.claims["sales"] = claim("sales")
    done = run(
        "spawn",
        "jupyterlab",
        "dora",
        "--size",
        "Tiny",
        "--data",
        "sales:/data/sales:ro",
        "--label",
        "team=risk",
    )
    assert done.exit_code == 0, done.output
    assert done.stdout == "Started dora\n"
    assert "open dora" in done.stderr
    body = next(
        body["data"]
        for method, path, body in server.asked
        if (method, path) == ("POST", "workspaces/default")
    )
    assert body["podTemplate"]["volumes"]["data"] == [
        {"pvcName": "sales", "mountPath": "/data/sales", "readOnly": True}
    ]
    assert body["podTemplate"]["podMetadata"]["labels"] == {"team": "risk"}


def test_pause_resume_restart(server: Served) -> None:
    server.add(workspace("dora"))
    assert run("pause", "dora").stdout == "Paused dora\n"
    assert json.loads(run("resume", "dora", "-o", "json").stdout)["state"] == "Running"
    assert run("restart", "dora").stdout == "Restarted dora\n"


def test_open_writes_the_address(server: Served) -> None:
    server.add(workspace("dora", "Paused"))
    done = run("open", "dora", "--print")
    assert done.stdout == f"{server.url}workspace/connect/default/dora/jupyterlab/\n"
    assert TOKEN not in done.output
    assert not server.items[("default", "dora")]["paused"]  # a paused one is resumed first


def test_logs_without_their_times(server: Served) -> None:
    server.add(workspace("dora"))
    assert run("logs", "dora", "--tail", "2").stdout == "line 0\nline 1\n"
    assert (
        run("logs", "dora", "--tail", "1", "--timestamps").stdout == "2026-09-21T14:00:00Z line 0\n"
    )
    assert run("logs", "dora", "--tail", "2", "--follow").stdout == "line 0\nline 1\n"
    assert json.loads(run("logs", "dora", "--tail", "1", "-o", "json").stdout)["lines"] == [
        "line 0"
    ]


def test_delete_asks_and_says_what_stays(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    run("spawn", "jupyterlab", "dora", "--no-wait")
    refused = run("delete", "dora", answer="")
    assert refused.exit_code == 2
    assert "--yes" in refused.stderr
    assert ("default", "dora") in server.items
    done = run("delete", "dora", "--yes", "-o", "json")
    assert json.loads(done.stdout) == {"name": "dora", "namespace": "default"}
    assert "home-dora" in server.claims
    assert server.items == {}


def test_on_a_terminal_no_is_an_answer(server: Served) -> None:
    pty = pytest.importorskip("pty")
    run("spawn", "jupyterlab", "dora", "--no-wait")
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "jupyter_workspaces.cli", "delete", "dora"],
        stdin=follower,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(leader, b"n\n")
    out, err = process.communicate(timeout=30)
    os.close(leader)
    os.close(follower)
    assert "Delete dora? Its programs stop. The volume home-dora stays." in err
    assert (out, process.returncode) == ("", 1)
    assert ("default", "dora") in server.items


def test_claims(server: Served) -> None:
    assert run("claims", "create", "sales", "--size", "10Gi").stdout == "Created sales\n"
    assert server.asked[-1][2]["data"]["requests"] == {"storage": "10Gi"}
    assert (
        server.asked[-1][2]["data"]["storageClassName"] == "standard"
    )  # the first that may be used
    assert run("claims", "-o", "name").stdout == "sales\n"
    assert run("claims").stdout.splitlines()[1].split() == ["sales", "1Gi", "-"]
    assert run("claims", "delete", "sales").exit_code == 2
    server.claims["sales"]["workspaces"] = [{"name": "dora"}]
    assert "used by dora" in run("claims", "delete", "sales", "-y").stderr
    server.claims["sales"]["workspaces"] = []
    assert run("claims", "delete", "sales", "-y").exit_code == 0
    assert server.claims == {}


def test_kinds() -> None:
    assert run("kinds", "-o", "name").stdout == "jupyterlab\nrstudio\n"
    assert json.loads(run("kinds", "-o", "json").stdout)[0]["images"] == [
        "scipy_190",
        "torch_cpu",
        "torch_gpu",
    ]


def test_watch_tells_changes_and_nothing_twice(server: Served) -> None:
    dora = workspace("dora", "Pending")
    server.events = [
        event("snapshot", {"workspaces": [dora], "workspaceKinds": []}, "a-1"),
        event("workspace", {"type": "MODIFIED", "object": dora}, "a-2"),
        event("workspace", {"type": "MODIFIED", "object": {**dora, "state": "Running"}}, "a-3"),
        event("workspace", {"type": "DELETED", "object": {**dora, "state": "Running"}}, "a-4"),
        None,
    ]
    server.refuse["GET events"] = (403, {"message": "over"})

    def once() -> None:  # the stream is answered once, then refused, which ends the command
        del server.refuse["GET events"]

    once()
    process = subprocess.Popen(
        [sys.executable, "-m", "jupyter_workspaces.cli", "list", "--watch", "-o", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    told = [json.loads(process.stdout.readline()) for _ in range(3)]
    process.terminate()
    process.communicate(timeout=10)
    assert [(one["type"], one["object"]["state"]) for one in told] == [
        ("ADDED", "Pending"),
        ("MODIFIED", "Running"),
        ("DELETED", "Running"),
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ["pause", "nobody"],
            3,
            "Error: Workspace 'nobody' not found in namespace 'default'.\n"
            "`jupyter workspaces list` shows all workspaces.\n",
        ),
        (["spawn", "jupytrlab"], 3, "`jupyter workspaces kinds` shows all."),
        (
            ["spawn", "jupyterlab", "x", "--data", "sales:/d"],
            3,
            "`jupyter workspaces claims create sales` creates it.",
        ),
        (["spawn", "jupyterlab", "x", "--size", "Big"], 1, "ask for GPU access"),
        (["spawn", "jupyterlab", "x", "--data", "sales"], 2, "Use VOLUME:PATH"),
        (["spawn", "jupyterlab", "x", "--label", "team"], 2, "use KEY=VALUE"),
        (["spawn"], 2, "Missing argument"),
        (["wait"], 2, "No such command"),
        (["--url", "http://127.0.0.1:9/", "list"], 4, "Cannot connect to the server"),
        (["logs", "dora", "--follow", "--previous"], 2, "--previous cannot be used with --follow"),
        (["list", "--watch", "-o", "yaml"], 2, "--watch supports only table, json, name."),
    ],
)
def test_what_goes_wrong_has_a_code_and_a_sentence(
    arguments: list[str], code: int, said: str
) -> None:
    done = run(*arguments)
    assert done.exit_code == code, done.output
    assert said in done.stderr
    assert done.stdout == ""


def test_too_long_has_a_code_of_its_own(server: Served) -> None:
    server.add(workspace("dora", "Pending"))
    server.refuse["POST workspaces/default/dora/actions/pause"] = (200, {})
    done = run("pause", "dora", "--timeout", "0.2")
    assert done.exit_code == 5
    assert "use --timeout to wait longer" in done.stderr


def test_the_token_is_no_option() -> None:
    done = run("--help")
    assert "--token" not in done.stdout
    assert "JUPYTER_WORKSPACES_TOKEN" in done.stdout


def test_every_command_says_what_it_does() -> None:
    for name, command in cli.commands.items():
        done = run(name, "--help")
        assert done.exit_code == 0, name
        assert command.help, name


def complete(*words: str) -> list[str]:
    environment = os.environ | {
        "_JUPYTER_WORKSPACES_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["jupyter-workspaces", *words]),
        "COMP_CWORD": str(len(words)),
    }
    done = subprocess.run(
        [sys.executable, "-m", "jupyter_workspaces.cli"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_the_shell_completes_commands_and_names(server: Served) -> None:
    server.add(workspace("dora"), workspace("dodo"), workspace("eve"))
    assert complete("pa") == ["pause"]
    assert complete("pause", "do") == ["dora", "dodo"]
    assert complete("spawn", "r") == ["rstudio"]


def test_completing_without_a_server_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_WORKSPACES_URL", "http://127.0.0.1:9/")
    assert complete("pause", "do") == []


def test_completing_starts_no_server(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUPYTER_WORKSPACES_URL")
    assert complete("pause", "do") == []
    assert not (alone / "home").exists()


def test_the_local_cluster_before_it_was_started(alone: Path) -> None:
    done = run("local", "status", "-o", "json")
    assert done.exit_code == 3
    assert json.loads(done.stdout)["running"] is False
    assert run("local", "reset").exit_code == 2
    assert run("local", "stop").exit_code == 0


def test_a_local_cluster_starts_with_the_parts_that_were_asked_for(alone: Path) -> None:
    log = alone / "pod.log"
    log.touch()
    try:
        done = run(
            "local",
            "start",
            "--controller",
            "off",
            "--node",
            "simulated",
            "--ready-after",
            "0.5",
            "--pod-log",
            str(log),
            "-o",
            "json",
        )
        assert done.exit_code == 0, done.stderr
        assert (
            json.loads(done.stdout)["parts"]
            == f"--controller off --node simulated --ready-after 0.5 --pod-log {log}"
        )
        refused = run("local", "start", "--without-controller")
        assert refused.exit_code == 1
        assert "Stop it" in refused.stderr
        assert run("local", "start").exit_code == 0
    finally:
        run("local", "stop", "--pods")


def test_parts_that_do_not_go_together_are_wrong_use(alone: Path) -> None:
    done = run("local", "start", "--node", "off", "--ready-after", "1")
    assert done.exit_code == 2
    assert "--node simulated" in done.stderr
    assert run("local", "start", "--node", "other").exit_code == 2
    assert not (alone / "home").exists()


@pytest.mark.parametrize("action", ["pause", "restart"])
def test_what_ends_kernels_needs_yes_where_nobody_can_be_asked(server: Served, action: str) -> None:
    server.add(workspace("dora"))
    server.kernels = [{"id": "1", "execution_state": "busy"}]
    done = run(action, "dora")
    assert (done.exit_code, done.stdout) == (2, "")
    assert (
        f"{action.title()} dora? 1 kernel is running; its variables are lost. "
        "Not running in a terminal: add --yes to confirm." in done.stderr
    )
    assert not server.items[("default", "dora")]["paused"]
    assert run(action, "dora", "--yes").exit_code == 0


def test_a_list_for_scripts_has_times_volumes_and_sizes(server: Served) -> None:
    server.add(workspace("dora"))
    server.claims["sales"] = claim("sales") | {"workspaces": [{"name": "dora"}]}
    found = json.loads(run("list", "-o", "json").stdout)[0]
    assert {
        name: found[name] for name in ("created", "last_used", "volumes", "cpu", "memory", "gpu")
    } == {
        "created": "2026-09-21T14:00:00Z",
        "last_used": None,
        "volumes": ["sales"],
        "cpu": 0.1,
        "memory": 536870912,
        "gpu": None,
    }
    document = (Path(__file__).resolve().parents[2] / "docs" / "command-line.md").read_text(
        encoding="utf-8"
    )
    told = document.partition("## JSON and YAML")[2].partition("\n## ")[0]
    assert all(f"`{name}`" in told for name in found)


def test_watch_says_when_it_is_not_live(server: Served) -> None:
    server.events = [
        event("snapshot", {"workspaces": [], "workspaceKinds": []}, "a-1"),
        event("stale", {"since": "2026-09-21T14:00:00Z", "reason": "connection refused"}),
        event("stale", {"since": None, "reason": ""}),
        event("workspace", {"type": "ADDED", "object": workspace("dora")}, "a-2"),
        None,
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "jupyter_workspaces.cli", "list", "--watch", "-o", "name"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "dora\n"
    process.terminate()
    err = process.communicate(timeout=10)[1]
    assert "Not live since 2026-09-21T14:00:00Z: connection refused\nLive again.\n" in err
