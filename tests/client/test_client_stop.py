"""Pausing and deleting: messages, duration, stopping at once, and errors."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

import pytest
from click.testing import CliRunner
from served_workspaces import TOKEN, Served, workspace

from jupyter_workspaces.cli.main import cli
from jupyter_workspaces.client import Client, TimedOut, WorkspaceError
from jupyter_workspaces.client.formatting import of_item

CREATE = "workspaces/default"


@pytest.fixture
def named(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_WORKSPACES_URL", server.url)
    monkeypatch.setenv("JUPYTER_WORKSPACES_TOKEN", TOKEN)


def ending(since: float, grace: int = 30) -> Any:
    def progress(namespace: str, name: str) -> dict[str, Any]:
        stopping = {"since": int(1000 * (time.time() - since)), "graceSeconds": grace}
        return {"steps": [], "state": "Terminating", "stateMessage": "", "stopping": stopping}

    return progress


@pytest.mark.parametrize(
    ("item", "word"),
    [
        ({"state": "Terminating", "paused": True}, "Pausing"),
        ({"state": "Running", "paused": True}, "Pausing"),
        ({"state": "Pending", "paused": True}, "Pausing"),
        ({"state": "Terminating", "paused": False}, "Restarting"),
        ({"state": "", "paused": False}, "Starting"),
        ({"state": "Paused", "paused": True}, "Paused"),
        ({"state": "Paused", "paused": False}, "Starting"),
        ({"state": "Error", "paused": True}, "Needs attention"),
        (
            {
                "state": "Terminating",
                "paused": True,
                "audit": {"deletedAt": "2026-09-21T15:00:00Z"},
            },
            "Being deleted",
        ),
    ],
)
def test_a_state_is_shown_by_what_happens_to_the_workspace(
    client: Client, server: Served, item: dict[str, Any], word: str
) -> None:
    given = workspace("dora") | item
    server.add(given)
    assert of_item(given).word == word
    assert word in repr(client.list())
    assert word in client.list()._repr_html_()


def test_delete_says_so_only_when_the_programs_have_ended(client: Client, server: Served) -> None:
    server.slow_to_stop, server.progress = True, ending(0.0)
    server.add(workspace("dora"))
    gone: list[float] = []

    def end() -> None:
        gone.append(time.monotonic())
        del server.items[("default", "dora")]

    timer = threading.Timer(1.0, end)
    timer.start()
    client.get("dora").delete()
    assert gone, "it has waited"
    assert time.monotonic() >= gone[0]


def test_delete_can_have_a_limit_and_says_what_helps(client: Client, server: Served) -> None:
    server.slow_to_stop, server.progress = True, ending(0.0)
    server.add(workspace("dora"))
    with pytest.raises(TimedOut, match="still being deleted") as raised:
        client.get("dora").delete(timeout=0.3)
    assert "stop_now" in raised.value.hint


def test_deleting_ends_when_another_workspace_has_taken_the_name(
    client: Client, server: Served
) -> None:
    server.add(workspace("dora"))
    server.refuse["DELETE workspaces/default/dora"] = (202, {})
    client.get("dora").delete(timeout=10)


def test_pausing_now_stops_at_once(client: Client, server: Served) -> None:
    server.slow_to_stop = True
    server.add(workspace("dora"))
    assert client.get("dora").pause(now=True, timeout=10).state == "Paused"
    assert server.count("POST", "workspaces/default/dora/actions/stop") == 1


def test_stopping_now_ends_a_deletion(client: Client, server: Served) -> None:
    server.slow_to_stop, server.progress = True, ending(0.0)
    server.add(workspace("dora"))
    ws = client.get("dora")
    ws.delete(wait=False)
    ws.stop_now()
    assert len(client.list()) == 0


@pytest.mark.parametrize(
    ("since", "line"),
    [
        (12.0, r"Pausing: its programs have been stopping for 1[2-9] s of at most 30 s\. --now"),
        (50.0, "grace period of its programs ended 2[0-9] s ago"),
    ],
)
@pytest.mark.usefixtures("named")
def test_a_slow_stop_says_how_long_it_takes_and_what_ends_it(
    server: Served, since: float, line: str
) -> None:
    server.slow_to_stop, server.progress = True, ending(since)
    server.add(workspace("dora"))
    done = CliRunner().invoke(cli, ["pause", "dora", "--timeout", "1"])
    assert done.exit_code == 5
    assert re.search(line, done.stderr)


@pytest.mark.usefixtures("named")
def test_a_pause_that_takes_long_can_be_ended_by_a_second_command(server: Served) -> None:
    server.slow_to_stop = True
    server.add(workspace("dora"))
    assert CliRunner().invoke(cli, ["pause", "dora", "--no-wait"]).exit_code == 0
    done = CliRunner().invoke(cli, ["pause", "dora", "--now"])
    assert (done.exit_code, done.stdout) == (0, "Paused dora\n")


@pytest.mark.usefixtures("named")
def test_delete_without_waiting_does_not_say_deleted(server: Served) -> None:
    server.slow_to_stop = True
    server.add(workspace("dora"))
    server.models["default", "dora"] = {"podTemplate": {"volumes": {"data": []}}}
    assert (
        CliRunner().invoke(cli, ["delete", "dora", "-y", "--no-wait"]).stdout == "Deleting dora\n"
    )
    assert CliRunner().invoke(cli, ["delete", "dora", "-y", "--now"]).stdout == "Deleted dora\n"


# What a refused create leaves


def test_a_create_whose_answer_is_an_error_of_the_server_leaves_no_volume_unless_it_was_made(
    client: Client, server: Served
) -> None:
    server.refuse[f"POST {CREATE}"] = (503, {"message": "The cluster does not answer."})
    with pytest.raises(WorkspaceError):
        client.spawn("jupyterlab", "dora")
    assert "home-dora" not in [claim["name"] for claim in client.claims()]


def test_a_volume_that_cannot_be_removed_again_is_told_of(client: Client, server: Served) -> None:
    server.refuse[f"POST {CREATE}"] = (422, {"message": "The cluster refused it."})
    server.refuse["DELETE persistentvolumeclaims/default/home-dora"] = (500, {"message": "no"})
    with pytest.raises(WorkspaceError, match="refused it") as raised:
        client.spawn("jupyterlab", "dora")
    assert 'jw.delete_claim("home-dora")' in raised.value.hint
