"""Text from the cluster cannot steer, forge or hide anything on a terminal."""

from __future__ import annotations

import ast
import contextlib
import json
import logging
import os
import subprocess
import sys
import unicodedata
from io import StringIO
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from served_workspaces import CREATED, TOKEN, Served, claim, event, kind, workspace

import jupyter_workspaces.cli
from jupyter_workspaces.cli.installation import print_line, show_plan
from jupyter_workspaces.cli.main import cli
from jupyter_workspaces.cli.state import CommandState
from jupyter_workspaces.client import Client, WorkspaceError
from jupyter_workspaces.common.terminal import (
    SafeRecords,
    log_line,
    output,
    printable,
)
from jupyter_workspaces.controller.json_logs import JsonFormatter
from jupyter_workspaces.install.doctor import Line
from jupyter_workspaces.install.plan import Plan, Step
from jupyter_workspaces.kube.endpoint import Endpoint

EVIL = "a\x1b]0;title\x07b\x1b[8mc\x9b2Jd\u202ee\u2066f\r\nError: forged\x7f\u200bg"
SHOWN = r"a\x1b]0;title\x07b\x1b[8mc\x9b2Jd\u202ee\u2066f\r\nError: forged\x7f\u200bg"
VISIBLE_FORMAT = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u0890\u0891\u08e2\U000110bd\U000110cd"
)
"""Signs of category Cf that have a shape."""


@pytest.fixture(autouse=True)
def named(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_WORKSPACES_URL", server.url)
    monkeypatch.setenv("JUPYTER_WORKSPACES_TOKEN", TOKEN)


def safe(text: str) -> str:
    """Return the text after checking that all its characters are printable."""
    assert "\nError: forged" not in text
    found = {
        letter
        for letter in text
        if unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp") and letter != "\n"
    }
    assert not found
    return text


def run(*arguments: str) -> tuple[str, str]:
    done = CliRunner().invoke(cli, list(arguments), prog_name="jupyter workspaces")
    return safe(done.stdout), safe(done.stderr)


def on_terminal(*arguments: str) -> str:
    """What a command writes to a terminal."""
    pty = pytest.importorskip("pty")
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "jupyter_workspaces.cli", *arguments],
        stdin=follower,
        stdout=follower,
        stderr=follower,
    ):
        os.close(follower)
        written = b""
        with contextlib.suppress(OSError):  # the end of a terminal is an error on Linux
            while piece := os.read(leader, 2**16):
                written += piece
    os.close(leader)
    return written.decode().replace("\r\n", "\n")


def test_every_control_and_format_character_is_escaped() -> None:
    for number in range(sys.maxunicode + 1):
        letter = chr(number)
        escaped = (
            unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp")
            and letter not in VISIBLE_FORMAT
        )
        if escaped:
            assert printable(letter).isascii(), hex(number)
            assert len(printable(letter)) > 1, hex(number)
    ordinary = "Grüße 工作區 שלום مرحبا 👩 – ✓ ◐"
    assert printable(ordinary) == ordinary
    assert printable(EVIL) == SHOWN


def test_output_keeps_lines_tabs_and_colours_only() -> None:
    assert output("a\n\tb\x1b[31mc\x1b[0m") == "a\n\tb\x1b[31mc\x1b[0m"
    assert output("\x1b[2J\x1b[1;1H\x1b]8;;x\x07\r") == r"\x1b[2J\x1b[1;1H\x1b]8;;x\x07\r"
    assert log_line("\x1b[8mhidden\r\n") == "\x1b[8mhidden\x1b[0m"


def test_lists(server: Served) -> None:
    server.add(workspace("dora", "Error", stateMessage=EVIL))
    server.claims["sales"] = {**claim("sales"), "workspaces": [{"name": EVIL}]}
    server.kinds.append(kind("evil", EVIL))
    assert SHOWN in run("list")[0]
    assert SHOWN in run("list", "-A")[0]
    assert SHOWN in run("claims")[0]
    assert SHOWN in run("kinds")[0]
    for command in ("list", "claims", "kinds"):
        assert json.loads(run(command, "-o", "json")[0]) == yaml.safe_load(
            run(command, "-o", "yaml")[0]
        )
    assert json.loads(run("list", "-o", "json")[0])[0]["message"] == EVIL


def test_names(server: Served) -> None:
    server.add(workspace(EVIL))
    server.claims[EVIL] = claim(EVIL)
    server.kinds.append(kind(EVIL))
    assert run("list", "-o", "name")[0] == SHOWN + "\n"
    assert SHOWN in run("claims", "-o", "name")[0]
    assert SHOWN in run("kinds", "-o", "name")[0]


@pytest.mark.parametrize("form", ["table", "json", "name"])
def test_changes(server: Served, form: str) -> None:
    evil = workspace(EVIL if form == "name" else "dora", "Error", stateMessage=EVIL)
    server.events = [event("snapshot", {"workspaces": [evil], "workspaceKinds": []})]
    process = subprocess.Popen(
        [sys.executable, "-m", "jupyter_workspaces.cli", "list", "--watch", "-o", form],
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(2 if form == "table" else 1)]
    process.terminate()
    process.communicate(timeout=10)
    assert safe(lines[-1])
    assert (
        (json.loads(lines[-1])["object"]["message"] == EVIL)
        if form == "json"
        else SHOWN in lines[-1]
    )


def test_errors(server: Served) -> None:
    server.add(workspace("dora"))
    cause = {"field": EVIL, "message": "wrong: " + EVIL}
    server.refuse["POST workspaces/default/dora/actions/pause"] = (
        422,
        {"message": EVIL, "cause": {"validation_errors": [cause]}},
    )
    _, err = run("pause", "dora")
    assert err.startswith("Error: ")
    assert r"\x1b]0;title\x07" in err


def test_questions(server: Served) -> None:
    server.add(workspace("dora"))
    server.models[("default", "dora")] = {
        "podTemplate": {"volumes": {"home": EVIL, "data": []}},
        "name": "dora",
        "revision": "1",
    }
    _, err = run("delete", "dora")
    assert SHOWN in err
    assert ("default", "dora") in server.items


def test_the_progress_of_a_wait(server: Served) -> None:
    step = {
        "id": "image",
        "name": "Image",
        "state": "current",
        "startedAt": 1,
        "seconds": 0.5,
        "message": EVIL,
    }
    server.add(workspace("dora", "Pending", stateMessage=EVIL))
    server.progress = lambda *_: {"steps": [step], "state": "Pending", "stateMessage": EVIL}
    _, err = run("open", "dora", "--print", "--timeout", "0.3")
    assert f"◐ Image: {SHOWN}" in err


def test_suggestions_to_the_shell(server: Served) -> None:
    server.add(workspace("dora"), workspace("do" + EVIL))
    assert CommandState(server.url).names("do") == ["dora"]
    server.kinds.append(kind("r" + EVIL))
    assert CommandState(server.url).kind_names("r") == ["rstudio"]


def test_a_log_reaches_a_pipe_as_it_was_written(server: Served) -> None:
    server.add(workspace("dora"))
    raw = "\x1b[31mred\x1b[0m\x1b[2J\x07 50 %\r100 %\x0c\x85\u2028\u202e\r\n\n last".encode()
    server.log = raw + b"\n"
    done = subprocess.run(
        [sys.executable, "-m", "jupyter_workspaces.cli", "logs", "dora"],
        capture_output=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == raw + b"\n"


@pytest.mark.parametrize("arguments", [("logs", "dora"), ("logs", "dora", "--follow")])
def test_a_log_on_a_terminal_keeps_its_colours_only(
    server: Served, arguments: tuple[str, ...]
) -> None:
    server.add(workspace("dora"))
    server.log = (
        f"{CREATED} \x1b[31mred\x1b[2J\x1b]52;c;bHM=\x07\u202e\tx\n{CREATED} next\n".encode()
    )
    assert (
        on_terminal(*arguments)
        == "\x1b[31mred\\x1b[2J\\x1b]52;c;bHM=\\x07\\u202e\tx\x1b[0m\nnext\n"
    )


def test_the_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    print_line(Line(about=EVIL, state="bad", found=EVIL, next=EVIL))
    assert r"\x1b]0;title\x07" in safe(capsys.readouterr().out)


def test_the_plan_of_an_installation(capsys: pytest.CaptureFixture[str]) -> None:
    step = Step("refuse", {"kind": "Namespace", "metadata": {"name": EVIL}}, EVIL)
    show_plan(Endpoint(name=EVIL, url="https://127.0.0.1:1"), Plan([step], installed=EVIL))
    assert safe(capsys.readouterr().out).count(r"\x1b]0;title\x07") == 4


def test_what_python_shows(server: Served, client: Client) -> None:
    server.add(workspace("dora", "Error", stateMessage=EVIL))
    found = client.get("dora")
    assert SHOWN in safe(repr(found))
    assert SHOWN in safe(repr(client.list()))
    error = WorkspaceError(EVIL, EVIL, {"a": EVIL})
    assert r"\x1b]0;title\x07" in safe(str(error))
    assert all(safe(line) for line in error._render_traceback_())


def test_a_line_of_a_servers_log_cannot_be_forged() -> None:
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    handler.addFilter(SafeRecords())
    try:
        raise ValueError(EVIL)
    except ValueError:
        handler.handle(
            logging.makeLogRecord(
                {"levelname": "INFO", "msg": "of %s", "args": (EVIL,), "exc_info": sys.exc_info()}
            )
        )
    written = safe(stream.getvalue())
    assert written.startswith("INFO of a\\x1b]0;title\\x07")
    line = JsonFormatter().format(logging.makeLogRecord({"name": "x", "msg": EVIL}))
    assert json.loads(safe(line))["msg"] == EVIL


def test_commands_write_in_one_way_only() -> None:
    """Only `output.echo`, which escapes control sequences, prints; except logs to a pipe."""
    found = []
    for path in Path(jupyter_workspaces.cli.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            written = ast.unparse(node) if isinstance(node, ast.Call) else ""
            if written.startswith(
                ("click.echo(", "click.secho(", "print(", "sys.stdout.write(", "sys.stderr.write(")
            ):
                found.append((path.name, written))
    assert sorted(found) == [
        ("output.py", "click.echo(safe_output(text), err=err)"),
        ("workspaces.py", "click.echo(line, color=True)"),
    ]
