"""Live changes by Server-Sent Events; the steps, events and details of a workspace."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from requests_and_objects import API, Ask, set_status, workspace
from waiting import until

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.localkube.apiserver.http.server import ApiServer
from jupyter_workspaces.server.api.workspaces.pods.progress import progress


class Listener:
    """Reads one stream in the background."""

    def __init__(
        self, jp_fetch: Any, namespace: str = "", last: str = "", path: str = "events", **query: str
    ) -> None:
        self.events: list[tuple[str, str, Any]] = []
        self._new = asyncio.Event()
        self._rest = b""
        headers = {"Last-Event-ID": last} if last else {}
        params = query | ({"namespace": namespace} if namespace else {})
        request = jp_fetch(
            *API,
            *path.split("/"),
            params=params,
            headers=headers,
            streaming_callback=self._take,
            request_timeout=60,
        )
        self._task = asyncio.ensure_future(request)

    def _take(self, chunk: bytes) -> None:
        *whole, self._rest = (self._rest + chunk).split(b"\n\n")
        for text in whole:
            fields = dict(
                line.split(": ", 1)
                for line in text.decode().splitlines()
                if not line.startswith(":")
            )
            if "event" in fields:
                self.events.append(
                    (fields["event"], fields.get("id", ""), json.loads(fields["data"]))
                )
        self._new.set()

    async def until(self, count: int) -> list[tuple[str, str, Any]]:
        async def enough() -> None:
            while len(self.events) < count:
                self._new.clear()
                await self._new.wait()

        async with timeout(10):
            await enough()
        return self.events

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def test_a_stream_begins_with_a_snapshot_and_goes_on_with_changes(
    ask: Ask, jp_fetch: Any, cluster: ApiServer
) -> None:
    await ask("POST", "workspaces/default", workspace("first"))
    listener = Listener(jp_fetch)
    snapshot = (await listener.until(1))[0]
    assert snapshot[0] == "snapshot"
    assert [item["name"] for item in snapshot[2]["workspaces"]] == ["first"]
    assert [kind["name"] for kind in snapshot[2]["workspaceKinds"]] == [
        "codeserver",
        "jupyterlab",
        "rstudio",
    ]

    set_status(cluster, "first", "Running")
    event = (await listener.until(2))[1]
    assert (event[0], event[2]["type"], event[2]["object"]["state"]) == (
        "workspace",
        "MODIFIED",
        "Running",
    )
    await ask("DELETE", "workspaces/default/first")
    gone = (await listener.until(3))[2]
    if (
        gone[2]["type"] == "MODIFIED"
    ):  # first it is being deleted, where a collector takes what it owns away before
        assert gone[2]["object"]["audit"]["deletedAt"]
        gone = (await listener.until(4))[3]
    assert (gone[2]["type"], gone[2]["object"]["name"]) == ("DELETED", "first")
    await listener.stop()


async def test_a_list_can_be_watched_instead(ask: Ask, jp_fetch: Any, cluster: ApiServer) -> None:
    await ask("POST", "workspaces/default", workspace("first"))
    workspaces, kinds = (
        Listener(jp_fetch, path="workspaces/default", watch="true"),
        Listener(jp_fetch, path="workspacekinds", watch="1"),
    )
    first, second = (await workspaces.until(1))[0][2], (await kinds.until(1))[0][2]
    assert ([item["name"] for item in first["workspaces"]], first["workspaceKinds"]) == (
        ["first"],
        [],
    )
    assert (second["workspaces"], len(second["workspaceKinds"])) == ([], 3)

    await ask("DELETE", "workspaces/default/first")
    await ask("DELETE", "workspacekinds/rstudio")
    assert [event[0] for event in await workspaces.until(2)] == ["snapshot", "workspace"]
    assert [event[0] for event in await kinds.until(2)] == ["snapshot", "workspacekind"]
    assert (await ask("GET", "workspaces", params={"watch": "perhaps"}))[0] == 422
    await asyncio.gather(workspaces.stop(), kinds.stop())


async def test_a_stream_is_taken_up_where_it_was_left(
    ask: Ask, jp_fetch: Any, cluster: ApiServer
) -> None:
    await ask("POST", "workspaces/default", workspace())
    first = Listener(jp_fetch)
    last = (await first.until(1))[0][1]
    await first.stop()
    set_status(cluster, "desk", "Running")

    async def runs() -> bool:
        return bool((await ask("GET", "workspaces/default"))[1]["data"][0]["state"] == "Running")

    await until(runs, "the state Running in the cache", 5)
    again = Listener(jp_fetch, last=last)
    events = await again.until(1)

    assert (events[0][0], events[0][2]["object"]["state"]) == ("workspace", "Running")
    await again.stop()


async def test_an_unknown_id_gets_a_snapshot(jp_fetch: Any) -> None:
    listener = Listener(jp_fetch, last="other-17")

    assert (await listener.until(1))[0][0] == "snapshot"
    await listener.stop()


async def test_a_namespace_hears_only_of_itself(ask: Ask, jp_fetch: Any) -> None:
    listener = Listener(jp_fetch, namespace="team-a")
    await listener.until(1)
    await ask("POST", "workspaces/default", workspace("elsewhere"))
    body = workspace("here")
    body["data"]["podTemplate"]["volumes"] = {"data": []}
    await ask("POST", "workspaces/team-a", body)

    events = await listener.until(2)

    assert events[1][2]["object"]["name"] == "here"
    await listener.stop()


async def test_details_events_and_log_of_a_workspace_without_a_pod(ask: Ask) -> None:
    await ask("POST", "workspaces/default", workspace())

    _, details = await ask("GET", "workspaces/default/desk/podtemplate/details")
    assert details["data"]["volumes"]["home"] == {
        "pvcName": "home",
        "mountPath": "/home/jovyan",
        "readOnly": False,
    }
    assert "pod" not in details["data"]
    assert (await ask("GET", "workspaces/default/desk/events"))[1] == {"data": []}
    assert (await ask("GET", "workspaces/default/desk/podtemplate/logs/batch"))[0] == 400
    _, steps = await ask("GET", "workspaces/default/desk/progress")
    assert [step["state"] for step in steps["data"]["steps"]] == [
        "current",
        "waiting",
        "waiting",
        "waiting",
        "waiting",
        "waiting",
    ]


def pod(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "uid": "u", "creationTimestamp": "2026-01-01T00:00:01Z"},
        "spec": {"nodeName": "local"},
        "status": status,
    }


def states(found: Any) -> list[str]:
    return [step.state for step in found.steps]


HELD = {
    "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"},
    "spec": {"paused": False},
    "status": {"state": "Pending", "stateMessage": "why"},
}


def test_the_current_step_says_why() -> None:
    waiting = {"name": "main", "state": {"waiting": {"reason": "ImageNotAvailable"}}}
    scheduled = {
        "type": "PodScheduled",
        "status": "True",
        "lastTransitionTime": "2026-01-01T00:00:02Z",
    }

    found = progress(
        HELD, pod(conditions=[scheduled], containerStatuses=[waiting]), [], [], 1_800_000_000_000
    )

    assert states(found) == ["done", "done", "done", "current", "waiting", "waiting"]
    assert found.steps[3].message == "why"
    assert found.steps[1].seconds == 1.0


def test_an_unbound_claim_holds_the_volumes_step() -> None:
    scheduled = {
        "type": "PodScheduled",
        "status": "True",
        "lastTransitionTime": "2026-01-01T00:00:02Z",
    }

    found = progress(
        HELD, pod(conditions=[scheduled]), [{"status": {"phase": "Pending"}}], [], 1_800_000_000_000
    )

    assert states(found)[2] == "current"


def test_a_ready_pod_has_all_steps_done() -> None:
    running = {
        "name": "main",
        "ready": True,
        "state": {"running": {"startedAt": "2026-01-01T00:00:03Z"}},
    }
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:05Z"}

    found = progress(
        HELD, pod(conditions=[ready], containerStatuses=[running]), [], [], 1_800_000_000_000
    )

    assert states(found) == ["done"] * 6
    assert found.steps[5].seconds == 2.0


def test_what_needs_attention_has_a_failed_step() -> None:
    broken = HELD | {"status": {"state": "Error", "stateMessage": "it keeps ending"}}

    found = progress(broken, pod(), [], [], 1_800_000_000_000)

    assert "failed" in states(found)
