"""Liveness of a panel: since when it is stale, and which of its tasks fail."""

from __future__ import annotations

import pytest
from recorded import workspace
from waiting import until_sync

from jupyter_workspaces.client.errors import WorkspaceError
from jupyter_workspaces.panel import liveness

SINCE = "2026-09-21T14:00:00Z"


def live(page):
    return page.panel.table.get_state()["first"]["live"]


def in_state(page, state):
    return until_sync(lambda: live(page)["state"] == state and live(page), state)


def test_a_stale_cluster_is_said_with_its_time_and_reason(server, open_panel):
    server.add(workspace("dora"))
    page = open_panel()
    assert live(page)["state"] == "live"

    page.on_thread(server.stale, SINCE, "The cluster refuses connections.")

    told = in_state(page, "stale")
    assert (told["since"], told["message"]) == (
        1_789_999_200_000,
        "The cluster refuses connections.",
    )
    assert page.told("live")[-1] == told
    page.on_thread(server.stale, None)
    in_state(page, "live")


def test_a_change_of_a_workspace_does_not_make_a_stale_cluster_live(server, open_panel):
    server.add(workspace("dora"))
    page = open_panel()
    page.on_thread(server.stale, SINCE)
    in_state(page, "stale")

    page.on_thread(server.push, workspace("dora", "Error"))

    until_sync(lambda: page.row("default/dora")["state"] == "Error")
    assert live(page)["state"] == "stale"


def test_a_server_that_is_stale_from_the_beginning_is_never_called_live(server, open_panel):
    server.add(workspace("dora"))
    server.stale_first = {"since": SINCE, "reason": ""}

    page = open_panel()

    in_state(page, "stale")
    assert [message["state"] for message in page.told("live") if message["state"] == "live"] == []


def test_a_silent_stream_is_not_live_since_it_was_heard(server, open_panel, monkeypatch):
    monkeypatch.setattr(liveness, "SILENCE_LIMIT", 0.2)
    server.add(workspace("dora"))

    page = open_panel()

    told = in_state(page, "stale")
    assert told["message"] == "The server does not respond."
    assert told["since"] > 0
    page.on_thread(
        server.say, "alive", None
    )  # the server's comment: nothing has changed, but it is heard
    in_state(page, "live")


def test_a_lost_connection_is_not_live_since_it_was_heard_last(server, open_panel):
    server.add(workspace("dora"))
    page = open_panel()
    before = int(page.panel._session.liveness._received_at)

    page.on_thread(server.lose)

    assert in_state(page, "lost")["since"] == before


def test_after_a_new_connection_an_old_report_does_not_count(server, open_panel):
    server.add(workspace("dora"))
    page = open_panel()
    page.on_thread(server.stale, SINCE)
    in_state(page, "stale")

    page.say(type="retry")

    in_state(page, "live")


def test_an_event_that_breaks_the_stream_is_said_and_the_stream_goes_on(server, open_panel, caplog):
    server.add(workspace("dora"))
    page = open_panel()

    page.on_thread(
        server.say,
        "workspace",
        {
            "type": "MODIFIED",
            "object": {"name": "odd", "namespace": "default", "password": "s3cret"},
        },
    )

    told = in_state(page, "lost")
    assert told["message"].startswith("The panel cannot read the server's events (")
    assert any(not health.healthy for health in page.panel._session.health)
    in_state(page, "live")  # connected again by itself
    page.on_thread(server.push, workspace("dora", "Error"))
    until_sync(lambda: page.row("default/dora")["state"] == "Error")
    assert all(health.healthy for health in page.panel._session.health)
    assert "s3cret" not in caplog.text


def test_a_task_for_details_that_fails_is_said_and_tried_again(server, open_panel):
    server.add(workspace("dora"))
    answer, server.details = server.details, None  # a fault of ours, not a refusal
    page = open_panel()

    page.say(type="details", key="default/dora", open=True)

    told = until_sync(lambda: live(page)["problem"])
    assert "Updating the details of default/dora failed (TypeError)" in told
    assert live(page)["state"] == "live"
    server.details = answer
    until_sync(lambda: any("facts" in message for message in page.told("details")))
    until_sync(lambda: live(page)["problem"] == "")


def test_work_that_fails_once_is_said(server, open_panel):
    server.add(workspace("dora"))
    page = open_panel()
    server.pause = None

    page.say(type="action", key="default/dora", id="pause")

    assert "An action of the panel failed (TypeError)" in until_sync(lambda: live(page)["problem"])


@pytest.mark.parametrize("action", ["pause", "restart"])
def test_what_would_be_lost_is_asked_before(server, open_panel, action):
    server.add(workspace("dora"))
    server.kernels = [{"id": "1", "execution_state": "idle"}]
    page = open_panel()

    page.say(type="action", key="default/dora", id=action)

    asked = until_sync(lambda: page.told("ask"))[0]
    assert asked == {
        "type": "ask",
        "key": "default/dora",
        "action": action,
        "text": "1 kernel is running; its variables are lost.",
    }
    until_sync(lambda: page.row("default/dora")["word"] == "Running")
    assert action not in [asked[0] for asked in server.asked]
    page.say(type="action", key="default/dora", id=action, sure=True)
    until_sync(lambda: action in [asked[0] for asked in server.asked])


@pytest.mark.parametrize("kernels", [[], None])
def test_nothing_is_asked_when_nothing_is_lost(server, open_panel, kernels):
    server.add(workspace("dora"))
    server.kernels = kernels
    page = open_panel()

    page.say(type="action", key="default/dora", id="pause")

    until_sync(lambda: "pause" in [asked[0] for asked in server.asked])
    assert page.told("ask") == []


def test_a_program_that_does_not_answer_may_hold_something(server, open_panel):
    server.add(workspace("dora"))
    server.refuse["connect_request"] = WorkspaceError("No answer.", status=504)
    page = open_panel()

    page.say(type="action", key="default/dora", id="restart")

    assert until_sync(lambda: page.told("ask"))[0]["text"].startswith("It does not respond")


def test_a_paused_one_is_resumed_without_a_question(server, open_panel):
    server.add(workspace("dora", "Paused"))
    server.kernels = [{"id": "1", "execution_state": "idle"}]
    page = open_panel()

    page.say(type="action", key="default/dora", id="resume")

    until_sync(lambda: "pause" in [asked[0] for asked in server.asked])
    assert page.told("ask") == []


def test_delete_names_kernels_and_volumes(server, open_panel):
    server.add(workspace("dora"))
    server.kernels = [
        {"id": "1", "execution_state": "idle"},
        {"id": "2", "execution_state": "busy"},
    ]
    page = open_panel()

    page.say(type="ask", key="default/dora")

    text = until_sync(lambda: page.told("ask"))[0]["text"]
    assert text.startswith("2 kernels are running; their variables are lost.")
    assert text.endswith("The volume home-bella stays.")
