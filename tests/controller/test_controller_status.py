"""The status of a workspace."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from sample_objects import KIND, NOW, workspace

from jupyter_workspaces.controller.workspaces import status
from jupyter_workspaces.controller.workspaces.options import resolve
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources import bundled


def build(before: Object | None = None, state: str = "Running", **more: Any) -> Object:
    given = workspace() | ({"status": before} if before else {})
    arguments: Object = {
        "pod": None,
        "options": resolve(KIND, given),
        "pending_restart": False,
        "now": NOW,
    } | more
    return status.build(given, state, "told", **arguments)


def started(moment: int) -> Object:
    text = datetime.fromtimestamp(moment / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    statuses = [{"name": "main", "state": {"running": {"startedAt": text}}}]
    spec = {"nodeName": "local", "containers": [{"name": "main"}]}
    return {
        "metadata": {"name": "ws-dora-0"},
        "spec": spec,
        "status": {"containerStatuses": statuses},
    }


def test_the_first_status_is_complete() -> None:
    definition = next(
        found for found in bundled.crds() if found["spec"]["names"]["kind"] == "Workspace"
    )
    rules = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    found = build(state="Pending", options=None)
    assert set(rules["required"]) <= set(found)
    assert found["podTemplatePod"] == {"name": "", "nodeName": "", "serviceAccountName": "ws-dora"}
    assert found["activity"] == {"lastActivity": 0, "lastUpdate": 0}


def test_a_run_begins_with_a_new_program_not_with_readiness() -> None:
    first = build({"state": "Pending", "lastRunningTime": 0}, pod=started(NOW - 5000))
    assert first["lastRunningTime"] == NOW
    used = {
        "lastActivity": NOW,
        "lastUpdate": NOW,
        "lastProbe": {"startTime": NOW, "endTime": NOW, "result": "Success", "message": "m"},
    }
    flap = build(
        first | {"state": "Pending", "activity": used}, pod=started(NOW - 5000), now=NOW + 60_000
    )
    assert flap["lastRunningTime"] == NOW
    assert flap["activity"] == used
    again = build(
        first | {"state": "Pending", "activity": used}, pod=started(NOW + 30_000), now=NOW + 60_000
    )
    assert again["lastRunningTime"] == NOW + 60_000
    assert again["activity"] == {"lastActivity": 0, "lastUpdate": 0}


def test_the_time_of_a_pause_is_that_of_the_first_status_with_it() -> None:
    paused = workspace(paused=True)
    first = status.build(
        paused, "Terminating", "", pod=None, options=None, pending_restart=False, now=NOW
    )
    second = status.build(
        paused | {"status": first},
        "Paused",
        "",
        pod=None,
        options=None,
        pending_restart=False,
        now=NOW + 9,
    )
    assert first["pauseTime"] == second["pauseTime"] == NOW
    assert build(second)["pauseTime"] == 0


def test_unknown_fields_are_kept_from_the_present_status() -> None:
    chain = {"desired": "b", "redirectChain": [{"source": "a", "target": "b"}]}
    before = {
        "state": "Running",
        "lastRunningTime": 5,
        "podTemplateOptions": {"imageConfig": chain, "podConfig": {}},
    }
    assert build(before, "Error", options=None)["podTemplateOptions"] == {
        "imageConfig": chain,
        "podConfig": {},
    }


def test_a_pod_without_a_node_is_in_the_status() -> None:
    pod = {
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "main"}], "initContainers": [{"name": "first"}]},
    }
    found = build(pod=pod, state="Pending")["podTemplatePod"]
    assert found["nodeName"] == ""
    assert found["containers"] == [{"name": "main"}]
    assert found["initContainers"] == [{"name": "first"}]
