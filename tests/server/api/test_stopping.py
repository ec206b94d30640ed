"""Deleting and pausing until programs have ended; last messages; failed start steps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from requests_and_objects import Ask, Object, set_status, workspace
from test_logs import MAIN, running
from tornado.httpclient import HTTPResponse

from jupyter_workspaces.client import formatting
from jupyter_workspaces.localkube.apiserver.http.options import DeleteOptions
from jupyter_workspaces.localkube.apiserver.http.server import ApiServer
from jupyter_workspaces.panel import rows
from jupyter_workspaces.server.api.workspaces.pods.progress import progress

DESK = "workspaces/default/desk"
HELD: Object = {
    "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"},
    "spec": {"paused": False},
    "status": {"state": "Error"},
}


def pod_of(cluster: ApiServer) -> Object | None:
    row = cluster.engine.registry.get("", "v1", "pods")
    assert row is not None
    return next(
        (
            pod
            for stored in cluster.engine.store.list(row.name)
            if (pod := stored.decode())["metadata"]["name"] == "ws-desk-0"
        ),
        None,
    )


def end_pod(cluster: ApiServer, seconds: int | None = None) -> None:
    """Ask for its end, or with 0 let it be gone, as its node does."""
    row = cluster.engine.registry.get("", "v1", "pods")
    assert row is not None
    cluster.engine.delete(row, "default", "ws-desk-0", DeleteOptions(grace_seconds=seconds))


async def listed(ask: Ask) -> list[Object]:
    return list((await ask("GET", "workspaces/default"))[1]["data"])


async def until_gone(ask: Ask) -> None:
    for _ in range(200):
        if (await ask("GET", DESK))[0] == 404:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it is still there")


async def test_a_deleted_workspace_is_there_as_terminating_until_its_programs_have_ended(
    ask: Ask, cluster: ApiServer
) -> None:
    await running(ask, cluster)
    assert (await ask("DELETE", DESK))[0] == 204
    end_pod(cluster, 30)
    (item,) = await listed(ask)
    assert item["audit"]["deletedAt"]
    assert (await ask("GET", DESK))[0] == 200
    code, refused = await ask("POST", "workspaces/default", workspace())
    assert (code, "still being deleted" in refused["error"]["message"]) == (409, True)
    stopping = (await ask("GET", f"{DESK}/progress"))[1]["data"]["stopping"]
    assert stopping["graceSeconds"] == 30
    end_pod(cluster, 0)
    await until_gone(ask)
    assert await listed(ask) == []
    assert (await ask("DELETE", DESK))[0] == 404


async def test_stop_now_shortens_the_grace_of_what_stops_and_its_node_still_confirms(
    ask: Ask, cluster: ApiServer
) -> None:
    await running(ask, cluster)
    code, refused = await ask("POST", f"{DESK}/actions/stop", {"data": {}})
    assert (code, "not stopping" in str(refused)) == (409, True)
    assert (await ask("POST", f"{DESK}/actions/pause", {"data": {"paused": True}}))[0] == 200
    end_pod(cluster, 300)
    assert (await ask("POST", f"{DESK}/actions/stop", {"data": {}}))[0] == 202
    pod = pod_of(cluster)
    assert pod is not None
    assert pod["metadata"]["deletionGracePeriodSeconds"] == 1
    assert (await ask("POST", "workspaces/default/nobody/actions/stop", {"data": {}}))[0] == 404


async def test_a_crash_looping_container_shows_the_log_of_its_last_run(
    ask: Ask, raw: Callable[..., Awaitable[HTTPResponse]], cluster: ApiServer
) -> None:
    ended = {
        "exitCode": 3,
        "reason": "Error",
        "startedAt": "2026-01-01T00:00:00Z",
        "finishedAt": "2026-01-01T00:00:01Z",
    }
    state = MAIN | {
        "ready": False,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": ended},
    }
    await running(ask, cluster, state)
    for previous in ("false", "true"):
        answer = await raw("GET", f"{DESK}/podtemplate/logs/batch", params={"previous": previous})
        assert (answer.code, answer.body[:6]) == (200, b"first\n")


async def test_a_new_workspace_is_never_unknown(ask: Ask, cluster: ApiServer) -> None:
    await ask("POST", "workspaces/default", workspace())
    (item,) = await listed(ask)
    assert item["state"] == "", "before its first status"
    assert formatting.of_item(item).word == "Starting"
    assert rows.row(item, {})["word"] == "Starting"


async def test_a_pause_reads_pausing_and_only_a_deletion_reads_being_deleted(
    ask: Ask, cluster: ApiServer
) -> None:
    await ask("POST", "workspaces/default", workspace())
    set_status(cluster, "desk", "Terminating")
    await ask("PATCH", DESK, {"paused": True}, media="application/merge-patch+json")
    (item,) = await listed(ask)
    assert formatting.of_item(item).word == "Pausing"
    assert formatting.of_item(item | {"paused": False}).word == "Restarting"
    assert (
        formatting.of_item(item | {"audit": {"deletedAt": "2026-01-01T00:00:00Z"}}).word
        == "Being deleted"
    )


@pytest.mark.usefixtures("guarded")
async def test_mount_paths_that_clash_are_refused_at_their_field(ask: Ask) -> None:
    model = workspace()
    model["data"]["podTemplate"]["volumes"]["home"] = "home"
    model["data"]["podTemplate"]["volumes"]["data"] = [
        {"pvcName": "home", "mountPath": "/home/./jovyan"}
    ]
    code, refused = await ask("POST", "workspaces/default", model)
    assert code == 422
    (error,) = refused["error"]["cause"]["validation_errors"]
    assert error["field"] == "podTemplate.volumes.data[0].mountPath"
    assert "home volume home" in error["message"]


def pod(
    *, scheduled: tuple[str, str] = ("True", ""), waiting: str = "", last: Object | None = None
) -> Object:
    condition = {
        "type": "PodScheduled",
        "status": scheduled[0],
        "message": scheduled[1],
        "lastTransitionTime": "2026-01-01T00:00:01Z",
    }
    main = {"name": "main", "state": {"waiting": {"reason": waiting}}, "lastState": last or {}}
    metadata = {"creationTimestamp": "2026-01-01T00:00:00Z", "uid": "1"}
    return {
        "metadata": metadata,
        "spec": {},
        "status": {"conditions": [condition], "containerStatuses": [main] if waiting else []},
    }


CRASHED = {"terminated": {"exitCode": 3, "startedAt": "2026-01-01T00:00:09Z"}}
NEVER = {"terminated": {"exitCode": 128, "startedAt": "2026-01-01T00:00:09Z"}}
BOUND: Object = {"status": {"phase": "Bound"}}


@pytest.mark.parametrize(
    ("found", "claims", "told", "failing"),
    [
        (None, [], [], "accepted"),
        (
            pod(scheduled=("False", "it asks for 64 CPU, and this computer has 2 CPU")),
            [],
            [],
            "scheduled",
        ),
        (pod(scheduled=("False", 'persistentvolumeclaim "x" not found')), [{}], [], "volumes"),
        (pod(waiting="VolumeNotPossible"), [{}], [], "volumes"),
        (
            pod(waiting="VolumeNotPossible"),
            [BOUND],
            [{"reason": "Pulled", "lastTimestamp": "2026-01-01T00:00:02Z"}],
            "volumes",
        ),
        (pod(waiting="ContainerCreating"), [BOUND], [{"reason": "FailedMount"}], "volumes"),
        (pod(waiting="ImageNotAvailable"), [BOUND], [], "image"),
        (
            pod(waiting="ImagePullBackOff"),
            [BOUND],
            [{"reason": "Pulled", "lastTimestamp": "2026-01-01T00:00:02Z"}],
            "image",
        ),
        (
            pod(waiting="CrashLoopBackOff", last=CRASHED),
            [BOUND],
            [{"reason": "Pulled", "lastTimestamp": "2026-01-01T00:00:02Z"}],
            "ready",
        ),
        (
            pod(waiting="CrashLoopBackOff", last=NEVER),
            [BOUND],
            [{"reason": "Pulled", "lastTimestamp": "2026-01-01T00:00:02Z"}],
            "started",
        ),
    ],
)
def test_the_step_that_really_fails_is_marked(
    found: Any, claims: list[Object], told: list[Object], failing: str
) -> None:
    steps = progress(HELD, found, claims, told, 1_800_000_000_000).steps
    assert [step.id for step in steps if step.state == "failed"] == [failing]
    assert not [step.id for step in steps if step.state == "current"]
