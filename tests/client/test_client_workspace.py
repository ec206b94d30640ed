"""A workspace in hand: waiting, acting, asking inside, and how it looks."""

from __future__ import annotations

import threading

import pytest
from served_workspaces import Served, workspace

from jupyter_workspaces.client import Client, TimedOut, WorkspaceError
from jupyter_workspaces.client.waiting import SETTLE_SECONDS


def steps(state: str, current: str = "", message: str = "") -> dict:
    return {
        "state": state,
        "stateMessage": message,
        "steps": [
            {
                "id": "accepted",
                "name": "Accepted",
                "state": "done",
                "startedAt": 1,
                "seconds": 0.1,
                "message": "",
            },
            {
                "id": "image",
                "name": "Image",
                "state": current or "done",
                "startedAt": 2,
                "seconds": None,
                "message": message,
            },
        ],
    }


def test_what_it_says_of_itself(client: Client, server: Served) -> None:
    server.add(workspace("dora", activity={"lastActivity": 5, "lastUpdate": 6}))
    ws = client.get("dora")
    assert (ws.name, ws.namespace, ws.state, ws.kind, ws.image, ws.size) == (
        "dora",
        "default",
        "Running",
        "jupyterlab",
        "scipy_190",
        "tiny_cpu",
    )
    assert ws.url == f"{server.url}workspace/connect/default/dora/jupyterlab/"
    assert (ws.size_words, ws.image_name, ws.last_activity) == (
        "0.1 CPU · 512 MiB",
        "SciPy 1.9",
        5.0,
    )
    assert ws.created == 1_789_999_200_000
    assert repr(ws) == "● Running  dora  jupyterlab · SciPy 1.9 · 0.1 CPU · 512 MiB"


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"state": ""}, "Pending"),  # nobody has looked at it yet
        ({"state": "Paused", "paused": False}, "Pending"),  # told to start
        (
            {"state": "Running", "audit": {"createdAt": None, "deletedAt": "2026-09-21T15:00:00Z"}},
            "Terminating",
        ),
        ({"services": None}, "Running"),
    ],
)
def test_states_are_told_as_people_see_them(
    client: Client, server: Served, fields: dict, shown: str
) -> None:
    server.add(workspace("dora", **fields))
    ws = client.get("dora")
    assert ws.state == shown
    assert ws._repr_html_()
    assert repr(ws)


def test_nothing_from_the_cluster_becomes_html(client: Client, server: Served) -> None:
    server.add(workspace("dora", "Error", stateMessage="<script>alert(1)</script>"))
    for html in (
        client.get("dora")._repr_html_(),
        client.list()._repr_html_(),
        client.kinds()._repr_html_(),
        client.kinds()[0]._repr_html_(),
    ):
        assert "<script>alert" not in html
        assert "<b>and</b>" not in html


def test_a_card_shows_how_it_is_now(client: Client, server: Served) -> None:
    server.add(workspace("dora", "Pending"))
    ws = client.get("dora")
    server.change("dora", state="Running")
    assert "Running" in ws._repr_html_()
    del server.items[("default", "dora")]
    assert "dora" in ws._repr_html_()  # it was; a card is no place for a traceback


def test_wait_shows_each_step_once_and_its_reason(
    client: Client, server: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    server.add(workspace("dora", "Pending"))
    looks = []

    def progress(namespace: str, name: str) -> dict:
        looks.append(name)
        if len(looks) == 3:
            server.change("dora", state="Running")
        return (
            steps("Running")
            if len(looks) >= 3
            else steps("Pending", "current", "Pulling it: 3 of 9 layers.")
        )

    server.progress = progress
    ws = client.get("dora").wait()
    told = capsys.readouterr()
    assert ws.state == "Running"
    assert told.out == ""
    assert told.err.count("✓ Accepted 0.1 s") == 1
    assert told.err.count("◐ Image: Pulling it: 3 of 9 layers.") == 1
    assert "● Running  dora  after" in told.err


def test_wait_ends_with_the_reason_when_it_cannot_start(client: Client, server: Served) -> None:
    server.add(workspace("dora", "Error", stateMessage="No node has a free GPU."))
    with pytest.raises(
        WorkspaceError, match=r"dora did not start: No node has a free GPU\."
    ) as raised:
        client.get("dora").wait(quiet=True)
    assert "ws.restart()" in raised.value.hint


def test_an_old_error_right_after_an_action_is_not_taken_for_the_answer(
    client: Client, server: Served
) -> None:
    server.add(workspace("dora", "Error", stateMessage="old"))
    healing = threading.Timer(
        SETTLE_SECONDS / 2, server.change, ("dora",), {"state": "Running", "stateMessage": ""}
    )
    healing.start()
    assert client.get("dora").wait(quiet=True, timeout=10).state == "Running"


def test_wait_has_a_limit_and_says_what_it_waited_for(client: Client, server: Served) -> None:
    server.add(workspace("dora", "Pending", stateMessage="Waiting for a GPU."))
    with pytest.raises(TimedOut, match=r"dora is not running after 0\.3 s: Waiting for a GPU\."):
        client.get("dora").wait(timeout=0.3, quiet=True)


def test_waiting_for_one_that_is_deleted_ends(client: Client, server: Served) -> None:
    server.add(workspace("dora", "Pending"))
    ws = client.get("dora")
    del server.items[("default", "dora")]
    with pytest.raises(WorkspaceError, match="was deleted"):
        ws.wait(quiet=True)


def test_waiting_does_not_ask_for_everybody_each_time(client: Client, server: Served) -> None:
    server.add(workspace("dora", "Pending"))
    server.progress = lambda namespace, name: steps("Pending", "current", "slow")
    ws = client.get("dora")
    lists = server.count("GET", "workspaces/default")
    with pytest.raises(TimedOut):
        ws.wait(timeout=1, quiet=True)
    assert server.count("GET", "workspaces/default") == lists


def test_pause_and_resume(client: Client, server: Served) -> None:
    server.add(workspace("dora"))
    ws = client.get("dora")
    assert ws.pause().state == "Paused"
    assert ws.paused
    assert ws.resume().state == "Running"
    assert not ws.paused


def test_delete_waits_until_it_is_gone(client: Client, server: Served) -> None:
    server.add(workspace("dora"))
    client.get("dora").delete()
    assert len(client.list()) == 0


def test_requests_go_inside(client: Client, server: Served) -> None:
    server.add(workspace("dora"))
    answer = client.get("dora").request("PUT", "api/contents/a b.txt", {"type": "file"})
    assert answer == {
        "method": "PUT",
        "path": "/workspace/connect/default/dora/jupyterlab/api/contents/a b.txt",
        "body": {"type": "file"},
    }
    with pytest.raises(
        WorkspaceError, match="dora returned status 404 for GET missing: No such file"
    ) as raised:
        client.get("dora").request("GET", "missing")
    assert raised.value.status == 404


def test_logs_come_as_text(
    client: Client, server: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    server.add(workspace("dora"))
    assert client.get("dora").logs(tail=2).splitlines() == [
        "2026-09-21T14:00:00Z line 0",
        "2026-09-21T14:00:00Z line 1",
    ]
    assert client.get("dora").logs(tail=2, follow=True) == ""
    assert capsys.readouterr().out.count("line") == 2


def test_lists_become_data_frames(client: Client, server: Served) -> None:
    pandas = pytest.importorskip("pandas")
    server.add(
        workspace("dora", activity={"lastActivity": 1_789_999_300_000}), workspace("eve", "Paused")
    )
    frame = client.list().to_dataframe()
    assert list(frame["name"]) == ["dora", "eve"]
    assert list(frame["state"]) == ["Running", "Paused"]
    assert frame["created"][0] == pandas.Timestamp("2026-09-21T14:00:00Z")
    assert len(client.list("team").to_dataframe()) == 0
    assert list(client.kinds().to_dataframe()["name"]) == ["jupyterlab", "rstudio"]


def test_without_pandas_it_says_what_to_install(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(WorkspaceError, match="pandas is not installed") as raised:
        client.list().to_dataframe()
    assert "%pip install pandas" in raised.value.hint


def test_all_namespaces_or_one(client: Client, server: Served) -> None:
    server.add(workspace("dora"), workspace("eve", namespace="team"))
    assert [one.name for one in client.list("*")] == ["dora", "eve"]
    assert [one.name for one in client.list("team")] == ["eve"]
    assert client.get("eve", "team").name == "eve"


def test_the_usual_namespace_is_the_servers(
    client: Client, server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.namespace = "team"
    server.add(workspace("eve", namespace="team"))
    assert [one.name for one in client.list()] == ["eve"]
    assert client.namespace == "team"


@pytest.mark.parametrize("action", ["wait", "resume", "restart", "pause", "delete", "refresh"])
def test_no_action_on_one_workspace_downloads_the_others(
    client: Client, server: Served, action: str
) -> None:
    server.add(
        *(workspace(f"other-{number}") for number in range(20)), workspace("dora", "Running")
    )
    ws = client.get("dora")
    if action == "resume":
        ws.pause()

    getattr(ws, action)()

    assert server.listed
    assert max(server.listed) == 1
