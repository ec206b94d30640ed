"""Workspaces over HTTP: create, read, list, replace, patch, pause, restart and delete."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from requests_and_objects import Ask, set_status, workspace
from waiting import until

from jupyter_workspaces.localkube.apiserver.http.server import ApiServer


def causes(body: Any) -> list[tuple[str, str, str]]:
    return [
        (found["origin"], found["type"], found["field"])
        for found in body["error"]["cause"]["validation_errors"]
    ]


async def test_a_create_echoes_the_model_and_says_where_it_is(raw: Any) -> None:
    answer = await raw("POST", "workspaces/default", workspace(deferUpdates=False))

    assert answer.code == 201
    assert answer.headers["Location"].endswith("/workspaces/api/v1/workspaces/default/desk")
    assert json.loads(answer.body)["data"] == workspace(deferUpdates=False)["data"]


async def test_a_list_has_what_was_just_made(ask: Ask, administrator: str) -> None:
    await ask("POST", "workspaces/default", workspace())

    code, body = await ask("GET", "workspaces/default")

    assert code == 200
    item = body["data"][0]
    assert (item["name"], item["workspaceKind"]["name"], item["workspaceKind"]["missing"]) == (
        "desk",
        "jupyterlab",
        False,
    )
    assert (
        item["services"][0]["httpService"]["httpPath"]
        == "/workspace/connect/default/desk/jupyterlab/"
    )
    assert item["podTemplate"]["options"]["podConfig"]["current"]["displayName"] == "Tiny"
    assert item["audit"]["createdBy"] == administrator
    assert (await ask("GET", "workspaces"))[1] == body
    assert (await ask("GET", "workspaces/team-a"))[1] == {"data": []}


async def test_a_single_get_answers_the_update_model(ask: Ask) -> None:
    await ask("POST", "workspaces/default", workspace())

    _, body = await ask("GET", "workspaces/default/desk")

    assert set(body["data"]) == {"revision", "paused", "podTemplate"}


async def test_a_put_with_an_old_revision_is_a_conflict_and_changes_nothing(ask: Ask) -> None:
    await ask("POST", "workspaces/default", workspace())
    _, first = await ask("GET", "workspaces/default/desk")
    model = first["data"]
    model["podTemplate"]["options"]["podConfig"] = "small_cpu"
    code, second = await ask("PUT", "workspaces/default/desk", {"data": model})
    assert (code, second["data"]["podTemplate"]["options"]["podConfig"]) == (200, "small_cpu")

    code, body = await ask("PUT", "workspaces/default/desk", {"data": model | {"paused": True}})

    assert (code, body["error"]["cause"]) == (409, {})
    assert (await ask("GET", "workspaces/default/desk"))[1] == second


async def test_a_status_written_in_between_is_no_conflict(ask: Ask, cluster: ApiServer) -> None:
    await ask("POST", "workspaces/default", workspace())
    _, body = await ask("GET", "workspaces/default/desk")
    set_status(cluster, "desk", "Running")

    code, _ = await ask(
        "PUT", "workspaces/default/desk", {"data": body["data"] | {"displayName": "My desk"}}
    )

    assert code == 200


@pytest.mark.parametrize(
    ("media", "patch"),
    [
        ("application/merge-patch+json", {"displayName": "My desk"}),
        ("application/merge-patch+json", {"data": {"displayName": "My desk"}}),
        (
            "application/json-patch+json",
            [{"op": "add", "path": "/displayName", "value": "My desk"}],
        ),
    ],
)
async def test_a_patch_changes_the_update_model(ask: Ask, media: str, patch: Any) -> None:
    await ask("POST", "workspaces/default", workspace())

    code, body = await ask("PATCH", "workspaces/default/desk", patch, media=media)

    assert (code, body["data"]["displayName"], body["data"]["podTemplate"]["volumes"]["home"]) == (
        200,
        "My desk",
        "home",
    )


async def test_a_patch_with_an_old_revision_is_a_conflict(ask: Ask) -> None:
    await ask("POST", "workspaces/default", workspace())

    code, _ = await ask(
        "PATCH",
        "workspaces/default/desk",
        {"revision": "0" * 64},
        media="application/merge-patch+json",
    )

    assert code == 409


@pytest.mark.parametrize("media", ["application/json", "text/plain"])
async def test_a_patch_of_another_type_is_415(ask: Ask, media: str) -> None:
    assert (await ask("PATCH", "workspaces/default/desk", {}, media=media))[0] == 415


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "data.name"),
        ({"name": "Bad_Name"}, "data.name"),
        ({"kind": ""}, "data.kind"),
        ({"podTemplate": {}}, "data.podTemplate.options.imageConfig"),
        ({"podTemplate": {"volumes": {"data": [{}]}}}, "data.podTemplate.volumes.data[0].pvcName"),
        (
            {"podTemplate": {"podMetadata": {"labels": {"a b": "c"}}}},
            "data.podTemplate.podMetadata.labels",
        ),
    ],
)
async def test_what_is_wrong_is_named_before_the_cluster_is_asked(
    ask: Ask, change: Any, field: str
) -> None:
    code, body = await ask("POST", "workspaces/default", workspace(**change))

    assert code == 422
    assert field in [found for _, _, found in causes(body)]
    assert {origin for origin, _, _ in causes(body)} == {"INTERNAL"}


async def test_an_unknown_kind_is_refused_by_the_cluster_with_a_hint(
    ask: Ask, guarded: None
) -> None:
    code, body = await ask("POST", "workspaces/default", workspace(kind="jupiterlab"))

    assert (code, causes(body)) == (422, [("KUBERNETES", "FieldValueInvalid", "spec.kind")])
    assert "did you mean jupyterlab?" in body["error"]["message"]


async def test_a_claim_that_may_not_be_mounted_names_the_label(ask: Ask) -> None:
    body = workspace()
    body["data"]["podTemplate"]["volumes"] = {
        "home": "locked",
        "data": [{"pvcName": "nowhere", "mountPath": "/data/x"}],
    }

    code, answer = await ask("POST", "workspaces/default", body)

    assert code == 422
    assert causes(answer) == [
        ("INTERNAL", "FieldValueForbidden", "podTemplate.volumes.home"),
        ("INTERNAL", "FieldValueInvalid", "podTemplate.volumes.data[0].pvcName"),
    ]
    assert "notebooks.kubeflow.org/can-mount=true" in answer["error"]["message"]


async def test_a_taken_name_is_a_conflict_with_an_empty_cause(ask: Ask) -> None:
    await ask("POST", "workspaces/default", workspace())

    code, body = await ask("POST", "workspaces/default", workspace())

    assert (code, body["error"]["code"], body["error"]["cause"]) == (409, "409", {})


async def test_a_namespace_that_is_not_there_is_404(ask: Ask) -> None:
    body = workspace()
    body["data"]["podTemplate"]["volumes"] = {"data": []}

    assert (await ask("POST", "workspaces/nowhere", body))[0] == 404


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", 400),
        ("{", 400),
        ("[]", 400),
        ('{"data":{"unknown":1}}', 400),
        ('{"data":{"name":1}}', 400),
        ('{"other":{}}', 400),
        ("{}", 422),
        ('{"data":null}', 422),
    ],
)
async def test_bodies_that_cannot_be_read(ask: Ask, body: str, code: int) -> None:
    assert (await ask("POST", "workspaces/default", body))[0] == code


async def test_pausing_twice_and_starting_what_runs_are_conflicts_with_a_cause(
    ask: Ask, cluster: ApiServer
) -> None:
    await ask("POST", "workspaces/default", workspace())
    set_status(cluster, "desk", "Running")
    path = "workspaces/default/desk/actions/pause"

    assert (await ask("POST", path, {"data": {"paused": False}}))[0] == 409
    assert (await ask("POST", path, {"data": {"paused": True}})) == (
        200,
        {"data": {"paused": True}},
    )
    code, body = await ask("POST", path, {"data": {"paused": True}})
    assert (code, body["error"]["cause"]["conflict_cause"][0]["origin"]) == (409, "KUBERNETES")
    set_status(cluster, "desk", "Paused")
    assert (await ask("POST", path, {"data": {}})) == (200, {"data": {"paused": False}})


async def test_a_restart_starts_again_once_it_has_stopped(ask: Ask, cluster: ApiServer) -> None:
    await ask("POST", "workspaces/default", workspace())
    set_status(cluster, "desk", "Error")

    assert (await ask("POST", "workspaces/default/desk/actions/restart", {"data": {}}))[0] == 202
    set_status(cluster, "desk", "Paused")

    for _ in range(200):
        _, body = await ask("GET", "workspaces/default/desk")
        if not body["data"]["paused"]:
            return
        await asyncio.sleep(0.02)
    pytest.fail("it was not started again")


async def test_delete_is_204_and_then_404(ask: Ask) -> None:
    await ask("POST", "workspaces/default", workspace())

    assert await ask("DELETE", "workspaces/default/desk") == (204, None)

    async def gone() -> bool:
        return bool(
            (await ask("DELETE", "workspaces/default/desk"))[0] == 404
        )  # 204 as long as it is being deleted

    await until(
        gone, "the end of the workspace", 60
    )  # a real collector looks for new kinds every 30 s
    assert (await ask("GET", "workspaces/default/desk"))[0] == 404


async def test_a_workspace_whose_kind_is_gone_is_still_listed(ask: Ask, cluster: ApiServer) -> None:
    await ask("POST", "workspaces/default", workspace())
    stored = cluster.engine.store.get("workspacekinds.kubeflow.org", "", "jupyterlab")
    assert stored is not None
    cluster.engine.store.delete("workspacekinds.kubeflow.org", "", "jupyterlab")

    for _ in range(200):
        item = (await ask("GET", "workspaces/default"))[1]["data"][0]
        if item["workspaceKind"]["missing"]:
            break
        await asyncio.sleep(0.02)

    assert item["workspaceKind"]["icon"]["url"] == "__UNKNOWN_ICON_URL__"
    assert (
        item["podTemplate"]["options"]["imageConfig"]["current"]["displayName"]
        == "__UNKNOWN_IMAGE_CONFIG__"
    )
    assert item["services"] == []


async def test_an_unchanged_list_is_304(raw: Any) -> None:
    first = await raw("GET", "workspaces/default")
    known = {"If-None-Match": first.headers["ETag"]}

    again = await raw("GET", "workspaces/default", headers=known)
    await raw("POST", "workspaces/default", workspace())
    changed = await raw(
        "GET", "workspaces/default", headers=known
    )  # before the change is published

    assert (first.code, again.code, changed.code) == (200, 304, 200)
    assert json.loads(changed.body)["data"] != json.loads(first.body)["data"]

    async def published() -> bool:
        return bool(
            (await raw("GET", "workspaces/default", headers=known)).headers["ETag"]
            != first.headers["ETag"]
        )

    await until(published, "another ETag", 5)
