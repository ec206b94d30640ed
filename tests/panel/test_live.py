"""Live panel: rows follow the cluster; actions show at once and are reverted on errors."""

from __future__ import annotations

import time

import pytest
from recorded import workspace
from waiting import until_sync

from jupyter_workspaces.client.errors import WorkspaceError


def test_comes_with_its_rows(server, open_panel):
    server.add(workspace("dora"), workspace("notes", "Paused"))

    page = open_panel()

    first = page.panel.table.get_state()["first"]
    assert [row["name"] for row in first["rows"]] == ["dora", "notes"]
    assert (first["cluster"], first["namespace"], first["live"]["state"]) == (
        "local cluster",
        "default",
        "live",
    )
    assert first["rows"][0]["kind"] == "JupyterLab"


def test_a_change_reaches_the_rows_in_time(server, open_panel):
    server.add(workspace("dora"))
    page = open_panel()
    took = []

    for number in range(50):
        began = time.perf_counter()
        page.on_thread(server.push, workspace("dora", "Pending", stateMessage=f"Step {number}"))
        until_sync(lambda said=f"Step {number}": page.row("default/dora")["message"] == said)
        took.append(time.perf_counter() - began)

    assert sorted(took)[-1] < 0.15


def test_many_changes_travel_together(server, open_panel):
    server.add(*(workspace(f"w{number}") for number in range(200)))
    page = open_panel()
    before = len(page.told("delta"))

    page.on_thread(
        lambda: [
            server.push(workspace(f"w{number}", "Error", stateMessage="Out of memory"))
            for number in range(200)
        ]
    )
    until_sync(lambda: sum(len(delta["upsert"]) for delta in page.told("delta")) >= 200)

    assert len(page.told("delta")) - before <= 4


def test_pause_shows_at_once_and_is_asked_once(server, open_panel):
    server.add(workspace("dora"))
    page = open_panel()

    page.say(type="action", key="default/dora", id="pause")
    page.say(type="action", key="default/dora", id="pause")

    until_sync(lambda: page.row("default/dora")["word"] == "Pausing")
    page.say(type="mount", view="v")
    until_sync(lambda: page.told("snapshot"))  # by then all that was said before is dealt with
    assert [asked for asked in server.asked if asked[0] == "pause"] == [
        ("pause", "default", "dora", True)
    ]


def test_stop_now_is_asked_of_the_server_and_a_refusal_is_told(server, open_panel):
    server.add(workspace("dora", "Terminating", paused=True))
    page = open_panel()

    page.say(type="action", key="default/dora", id="stop")
    until_sync(lambda: ("stop_now", "default", "dora") in server.asked)
    assert page.row("default/dora")["word"] == "Pausing"

    server.refuse["stop_now"] = WorkspaceError("dora is not stopping.", "Pause it first.")
    page.say(type="action", key="default/dora", id="stop")
    assert (
        until_sync(lambda: page.row("default/dora")["note"])
        == "Not done: dora is not stopping. Pause it first."
    )


def test_a_refused_action_is_taken_back_with_the_reason(server, open_panel):
    server.add(workspace("dora"))
    server.refuse["pause"] = WorkspaceError("dora is being deleted.", "Wait until it is gone.")
    page = open_panel()

    page.say(type="action", key="default/dora", id="pause")

    row = until_sync(lambda: page.row("default/dora")["note"] and page.row("default/dora"))
    assert row["word"] == "Running"
    assert row["note"] == "Not done: dora is being deleted. Wait until it is gone."


def test_a_deleted_workspace_goes(server, open_panel):
    server.add(workspace("dora"))
    page = open_panel()

    page.say(type="action", key="default/dora", id="delete")

    until_sync(lambda: page.panel.rows == [])
    until_sync(lambda: any("default/dora" in delta["remove"] for delta in page.told("delta")))


def test_an_unknown_row_or_action_does_nothing(server, open_panel):
    server.add(workspace("dora"))
    page = open_panel()

    page.say(type="action", key="default/nobody", id="pause")
    page.say(type="action", key="default/dora", id="format")
    page.say(type="of another version")
    page.say(type="mount", view="v")

    until_sync(lambda: page.told("snapshot"))
    assert not {"pause", "format"} & {asked[0] for asked in server.asked}


def test_a_lost_connection_is_said_and_mended(server, open_panel):
    server.add(workspace("dora"))
    page = open_panel()

    page.on_thread(server.lose)
    lost = until_sync(lambda: [live for live in page.told("live") if live["state"] == "lost"])[0]
    page.on_thread(server.push, workspace("dora", "Error"))
    page.say(type="retry")

    assert lost["message"] == "The server ended the connection."
    until_sync(lambda: page.panel.table.get_state()["first"]["live"]["state"] == "live")
    until_sync(lambda: page.row("default/dora")["state"] == "Error")


def test_a_server_that_finds_us_slow_is_asked_again_without_alarm(server, open_panel):
    server.add(workspace("dora"))
    page = open_panel()
    server.add(workspace("missed"))

    page.on_thread(server.resync)

    until_sync(lambda: page.row("default/missed"))
    assert not page.told("live")


def test_without_a_server_it_says_what_to_do(server, open_panel):
    server.refuse["connect"] = WorkspaceError(
        "No server of workspaces answers.", "Start one with: jupyter workspaces serve"
    )

    page = open_panel()
    live = page.panel.table.get_state()["first"]["live"]
    server.refuse.clear()
    server.add(workspace("dora"))
    page.say(type="retry")

    assert (live["state"], live["message"]) == ("failed", "No server of workspaces answers.")
    assert "jupyter workspaces serve" in repr(page.panel) or page.panel.rows
    until_sync(lambda: page.row("default/dora"))


def test_another_namespace_shows_other_rows(server, open_panel):
    server.add(workspace("dora"), workspace("ana", namespace="team-risk"))
    page = open_panel()

    page.say(type="namespace", name="team-risk")
    until_sync(lambda: [row["name"] for row in page.panel.rows] == ["ana"])
    page.say(type="namespace", name="*")
    until_sync(lambda: len(page.panel.rows) == 2)

    page.say(type="namespace", name="not-there")
    page.say(type="mount", view="v")
    until_sync(lambda: page.told("snapshot")[-1]["namespace"] == "*")


def test_a_starting_workspace_tells_its_step(server, open_panel):
    server.steps = [
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
            "state": "current",
            "startedAt": 1,
            "seconds": None,
            "message": "Pulling",
        },
    ]
    server.add(workspace("dora", "Pending"))

    page = open_panel()

    until_sync(lambda: page.row("default/dora")["step"] == "image")


def test_details_unfold_with_steps_events_facts_and_log(server, open_panel):
    server.add(workspace("dora"))
    page = open_panel()

    page.say(type="details", key="default/dora", open=True)

    until_sync(
        lambda: (
            {part for message in page.told("details") for part in message}
            >= {"steps", "events", "facts", "commands", "raw"}
        )
    )
    log = until_sync(lambda: [message for message in page.told("log") if message["ended"]])
    lines = [line for message in page.told("log") for line in message["lines"]]
    assert lines == ["one", "two"]
    assert log[0]["ended"] == "End of the log."


def test_delete_says_what_stays(server, open_panel):
    server.add(workspace("dora"))
    page = open_panel()

    page.say(type="ask", key="default/dora")

    asked = until_sync(lambda: page.told("ask"))[0]
    assert asked["text"].endswith("The volume home-bella stays.")


def test_a_closed_panel_hears_nothing_more(server, open_panel):
    server.add(workspace("dora"))
    page = open_panel()
    until_sync(lambda: server.listeners)

    page.panel.close()

    until_sync(lambda: not server.listeners)


@pytest.mark.parametrize("limit", ["UNSEEN_LIMIT", "CLOSED_LIMIT"])
def test_a_panel_that_nobody_sees_stops_its_stream_and_goes_on_when_seen(
    server, open_panel, monkeypatch, limit
):
    monkeypatch.setattr(f"jupyter_workspaces.panel.session.{limit}", 0.05)
    server.add(workspace("dora"))
    page = open_panel()
    if limit == "CLOSED_LIMIT":
        page.say(type="mount", view="v")
        page.say(type="unmount", view="v")

    until_sync(lambda: not server.listeners)
    page.say(type="mount", view="w")

    until_sync(lambda: server.listeners)
