"""Deliberate improvements over the original server (last table of docs/dialects.md)."""

from __future__ import annotations

from typing import Any

from requests_and_objects import Ask, claim, workspace

from jupyter_workspaces.localkube.apiserver.http.server import ApiServer
from jupyter_workspaces.resources import metadata_keys


async def test_a_label_that_was_taken_away_does_not_stop_an_unrelated_change(
    ask: Ask, cluster: ApiServer
) -> None:
    assert (await ask("POST", "workspaces/default", workspace()))[0] == 201
    cluster.apply_manifest(claim("home", {metadata_keys.CAN_MOUNT: "false"}))

    held = (await ask("GET", "workspaces/default/desk"))[1]["data"]
    code, body = await ask(
        "PUT", "workspaces/default/desk", {"data": held | {"displayName": "Desk"}}
    )
    assert code == 200, body
    moved = body["data"] | {
        "podTemplate": body["data"]["podTemplate"] | {"volumes": {"home": "locked", "data": []}}
    }
    assert (await ask("PUT", "workspaces/default/desk", {"data": moved}))[0] == 422


async def test_a_claim_of_a_moment_ago_can_be_mounted(ask: Ask, cluster: ApiServer) -> None:
    cluster.apply_manifest(claim("fresh", {metadata_keys.CAN_MOUNT: "true"}))

    body = workspace()
    body["data"]["podTemplate"]["volumes"]["home"] = "fresh"
    assert (await ask("POST", "workspaces/default", body))[0] == 201


async def test_a_port_that_the_kind_does_not_declare_hides_no_list(
    ask: Ask, cluster: ApiServer
) -> None:
    assert (await ask("POST", "workspaces/default", workspace()))[0] == 201
    row = cluster.engine.registry.get("kubeflow.org", "v1beta1", "workspacekinds")
    assert row is not None

    def undeclare(kind: dict[str, Any]) -> dict[str, Any]:
        template = kind["spec"]["podTemplate"]
        ports = [port | {"id": "another"} for port in template["ports"]]
        return kind | {"spec": kind["spec"] | {"podTemplate": template | {"ports": ports}}}

    cluster._admission = None  # a kind from before the rules were there
    cluster.engine.patch(row, "", "jupyterlab", undeclare)

    code, body = await ask("GET", "workspaces/default")
    assert (code, body["data"][0]["services"][0]["httpService"]["displayName"]) in (
        (200, "jupyterlab"),
        (200, "JupyterLab"),
    )


async def test_names_that_would_be_stuck_are_refused(ask: Ask, guarded: None) -> None:
    for name in ("a" * 64, "a.b"):
        code, body = await ask("POST", "workspaces/default", workspace(name))
        assert (code, body["error"]["cause"]["validation_errors"][0]["field"]) == (
            422,
            "metadata.name",
        )


async def test_a_namespace_that_is_not_there_is_named(ask: Ask) -> None:
    secret = {"name": "login", "contents": {}}
    claimed = {
        "name": "disk",
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "standard",
        "requests": {"storage": "1Gi"},
    }

    for path, body in (("secrets/none", secret), ("persistentvolumeclaims/none", claimed)):
        code, answer = await ask("POST", path, {"data": body})
        assert (code, "none" in answer["error"]["message"]) == (404, True)


async def test_a_secret_that_is_no_base64_is_not_repeated_in_the_answer(ask: Ask) -> None:
    secret = {"name": "login", "contents": {"word": {"base64": "open sesame"}}}

    code, answer = await ask("POST", "secrets/default", {"data": secret})
    assert (code, "sesame" in str(answer)) == (422, False)


async def test_what_containers_ask_for_is_told_with_why_their_use_is_not(ask: Ask) -> None:
    assert (await ask("POST", "workspaces/default", workspace()))[0] == 201

    assert await ask("GET", "workspaces/default/desk/podtemplate/resources") == (
        200,
        {"data": {"error": "WORKSPACE_NOT_RUNNING"}},
    )
