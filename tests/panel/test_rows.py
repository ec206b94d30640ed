"""What a row says and offers in each state, and which changes are worth telling."""

from __future__ import annotations

import pytest
from recorded import workspace

from jupyter_workspaces.panel.model import CONFIRM_LIMIT, Model
from jupyter_workspaces.panel.rows import row


def drawn(item, **other):
    return row(item, {"jupyterlab": "JupyterLab"}, **other)


def offered(item):
    one = drawn(item)
    primary, secondary = one["primary"], one["secondary"]
    return (
        primary and primary["label"],
        secondary and secondary["label"],
        [entry["label"] for entry in one["menu"]],
    )


@pytest.mark.parametrize(
    ("state", "word", "primary", "secondary", "menu"),
    [
        ("Running", "Running", "Open", "Pause", ["Restart", "Details", "Delete…"]),
        ("Pending", "Starting", "Why?", None, ["Details", "Cancel the start", "Delete…"]),
        ("Paused", "Paused", "Resume", None, ["Details", "Delete…"]),
        ("Error", "Needs attention", "Why?", None, ["Restart", "Details", "Pause", "Delete…"]),
        ("Terminating", "Restarting", None, "Stop now", ["Details", "Delete…"]),
        ("", "Starting", "Why?", None, ["Details", "Cancel the start", "Delete…"]),
        ("Strange", "Unknown", "Details", None, ["Restart", "Delete…"]),
    ],
)
def test_each_state_has_its_word_and_its_one_thing(state, word, primary, secondary, menu):
    item = workspace("dora", state)

    assert drawn(item)["word"] == word
    assert offered(item) == (primary, secondary, menu)


def test_sizes_and_images_are_said_in_peoples_units():
    one = drawn(workspace("dora"))

    assert (one["kind"], one["image"], one["size"]) == ("JupyterLab", "SciPy 1.9", "2 CPU · 4 GiB")


def test_what_the_kind_no_longer_knows_is_named_by_its_id():
    gone = {
        "id": "old",
        "displayName": "__UNKNOWN_IMAGE_CONFIG__",
        "description": "__UNKNOWN_IMAGE_CONFIG__",
        "labels": None,
    }
    options = {"imageConfig": {"current": gone}, "podConfig": {"current": {**gone, "id": "huge"}}}
    kind = {"name": "gone", "missing": True, "icon": {"url": ""}, "logo": {"url": ""}}

    one = drawn(
        workspace(
            "orphan", "Error", podTemplate={"options": options}, services=None, workspaceKind=kind
        )
    )

    assert (one["kind"], one["image"], one["size"], one["links"]) == ("gone", "old", "huge", [])
    assert one["message"].startswith("Workspace kind “gone” no longer exists")


def test_a_running_one_that_was_told_to_pause_says_so():
    assert drawn(workspace("dora", "Running", paused=True))["word"] == "Pausing"
    assert drawn(workspace("dora", "Terminating", paused=True))["word"] == "Pausing"
    assert drawn(workspace("dora", "Paused", paused=False))["word"] == "Starting"
    assert (
        drawn(workspace("dora", audit={"createdAt": None, "deletedAt": "2026-09-21T14:00:00Z"}))[
            "word"
        ]
        == "Being deleted"
    )


def test_only_the_proxys_own_paths_become_links():
    services = [
        {"httpService": {"displayName": "x", "httpPath": path}}
        for path in ("https://evil.example/", "//evil.example", "/workspace/connect/a/b/c/")
    ]

    assert [link["path"] for link in drawn(workspace("dora", services=services))["links"]] == [
        "/workspace/connect/a/b/c/"
    ]


def test_a_newer_image_is_mentioned():
    current = {"id": "a", "displayName": "Old", "description": "", "labels": []}
    target = {"id": "b", "displayName": "New", "description": "", "labels": []}
    chain = [
        {
            "source": current,
            "target": target,
            "message": {"text": "Old goes in May", "level": "Warning"},
        }
    ]
    options = {
        "imageConfig": {"current": current, "redirectChain": chain},
        "podConfig": {"current": current},
    }

    assert (
        drawn(workspace("dora", podTemplate={"options": options}))["moved"]
        == "A newer image is available: New (Old goes in May)"
    )


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def known(*items, clock=None):
    model = Model(clock or Clock())
    model.snapshot(items, [])
    model.take()
    return model


def test_activity_alone_is_told_in_steps():
    model = known(workspace("dora"))

    model.workspace(
        "MODIFIED", workspace("dora", activity={"lastActivity": 1000, "lastUpdate": 2000})
    )
    assert not model.take()
    model.workspace(
        "MODIFIED", workspace("dora", activity={"lastActivity": 400_000, "lastUpdate": 500_000})
    )
    assert list(model.take().upsert) == ["default/dora"]


def test_a_late_event_does_not_undo_what_was_just_asked():
    model = known(workspace("dora"))
    model.expect("default/dora", "pause")

    model.workspace("MODIFIED", workspace("dora", stateMessage="told before the request arrived"))
    assert model.rows()[0]["word"] == "Pausing"
    model.workspace("MODIFIED", workspace("dora", "Paused"))
    assert model.rows()[0]["word"] == "Paused"


def test_what_never_happens_is_given_up():
    clock = Clock()
    model = known(workspace("dora"), clock=clock)
    model.expect("default/dora", "restart")
    model.accepted("default/dora")
    assert model.rows()[0]["word"] == "Restarting"

    clock.now = CONFIRM_LIMIT + 1
    model.expire()

    assert model.rows()[0]["word"] == "Running"


def test_a_snapshot_takes_away_what_is_gone():
    model = known(workspace("a"), workspace("b"))

    model.snapshot([workspace("b")], None)

    assert [row["name"] for row in model.rows()] == ["b"]
    assert model.take().remove == ["default/a"]


def test_the_newest_stands_first_below_what_needs_attention():
    def made(name, day, state="Running"):
        return workspace(name, state, audit={"createdAt": f"2026-09-{day:02}T00:00:00Z"})

    model = known(made("old", 1), made("new", 20), made("middle", 10))
    model.workspace("MODIFIED", made("middle", 10, "Paused"))
    assert [row["name"] for row in model.rows()] == ["new", "middle", "old"]

    model.workspace("MODIFIED", made("old", 1, "Error"))
    assert [row["name"] for row in model.rows()] == ["old", "new", "middle"]


def test_a_kinds_new_title_reaches_its_rows():
    model = known(workspace("dora"))

    model.kind("MODIFIED", {"name": "jupyterlab", "displayName": "Lab"})

    assert model.take().upsert["default/dora"]["kind"] == "Lab"
