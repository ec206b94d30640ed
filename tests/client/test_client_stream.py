"""Live changes: parsed as they come, taken up again where they stopped, and read from cells."""

from __future__ import annotations

import itertools

import pytest
from served_workspaces import Served, event, workspace

from jupyter_workspaces.client import AsyncClient, WorkspaceError, portal
from jupyter_workspaces.client.asynchronous import ServerEvent


def take(count: int, events: object) -> list[ServerEvent]:
    return list(itertools.islice(portal.iterate(events), count))  # type: ignore[arg-type]


def snapshot(*names: str) -> dict:
    return {"workspaces": [workspace(name) for name in names], "workspaceKinds": []}


def test_a_snapshot_then_changes(asynchronous: AsyncClient, server: Served) -> None:
    change = {"type": "MODIFIED", "object": workspace("dora", "Paused")}
    server.events = [
        ": still here\n\n" + event("snapshot", snapshot("dora"), "a-1"),
        event("workspace", change, "a-2"),
    ]
    first, second = take(2, asynchronous.stream("default"))
    assert (first.event, first.id, [item["name"] for item in first.data["workspaces"]]) == (
        "snapshot",
        "a-1",
        ["dora"],
    )
    assert (second.event, second.id, second.data["type"]) == ("workspace", "a-2", "MODIFIED")


def test_pieces_that_arrive_in_any_cut_are_one_event(
    asynchronous: AsyncClient, server: Served
) -> None:
    text = event("workspace", {"type": "ADDED", "object": {"name": "grüße"}}, "a-1").replace(
        "\n", "\r\n"
    )
    server.events = [text[:9], text[9:40], text[40:]]
    assert take(1, asynchronous.stream())[0].data["object"]["name"] == "grüße"


def test_a_lost_stream_goes_on_where_it_stopped(asynchronous: AsyncClient, server: Served) -> None:
    change = {"type": "ADDED", "object": workspace("eve")}
    server.events = [event("snapshot", snapshot(), "a-1"), None, event("workspace", change, "a-2")]
    assert [one.id for one in take(2, asynchronous.stream())] == ["a-1", "a-2"]
    assert [asked[1] for asked in server.asked if asked[0] == "STREAM"] == ["", "a-1"]


def test_one_that_was_too_slow_starts_afresh(asynchronous: AsyncClient, server: Served) -> None:
    server.events = [
        event("snapshot", snapshot(), "a-1"),
        event("resync", {}),
        None,
        event("snapshot", snapshot("eve"), "a-9"),
    ]
    assert [one.id for one in take(2, asynchronous.stream())] == ["a-1", "a-9"]
    assert [asked[1] for asked in server.asked if asked[0] == "STREAM"] == ["", ""]


def test_what_will_not_heal_ends_it(asynchronous: AsyncClient, server: Served) -> None:
    server.refuse["GET events"] = (403, {"message": "Not for you."})
    with pytest.raises(WorkspaceError, match="Not for you"):
        take(1, asynchronous.stream())


def test_one_connection_tells_its_end(asynchronous: AsyncClient, server: Served) -> None:
    server.events = [event("snapshot", snapshot(), "a-1"), None]
    assert [one.event for one in portal.iterate(asynchronous.changes("default"))] == ["snapshot"]


def test_leaving_the_loop_closes_the_stream(asynchronous: AsyncClient, server: Served) -> None:
    server.events = [event("snapshot", snapshot(), "a-1")]
    stream = asynchronous.stream()
    for _ in portal.iterate(stream):
        break
    with pytest.raises(StopAsyncIteration):
        portal.run(stream.__anext__(), 5)  # type: ignore[arg-type]
