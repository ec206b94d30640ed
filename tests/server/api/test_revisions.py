"""ETag, If-None-Match, If-Match and `?revision` beside the revision of the body."""

from __future__ import annotations

import json
from typing import Any

import pytest
from requests_and_objects import Ask, workspace

WORKSPACE, KIND, SECRET = "workspaces/default/desk", "workspacekinds/spare", "secrets/default/login"


async def make_things(ask: Ask) -> None:
    """A workspace, a kind that nobody uses and a secret."""
    assert (await ask("POST", "workspaces/default", workspace()))[0] == 201
    lab = (await ask("GET", "workspacekinds/jupyterlab"))[1]["data"]
    manifest = {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "WorkspaceKind",
        "metadata": {"name": "spare"},
    }
    manifest["spec"] = {"spawner": lab["spawner"], "podTemplate": lab["podTemplate"]}
    assert (await ask("POST", "workspacekinds", json.dumps(manifest), media="application/yaml"))[
        0
    ] == 201
    secret = {"name": "login", "type": "Opaque", "contents": {"word": {"base64": "eA=="}}}
    assert (await ask("POST", "secrets/default", {"data": secret}))[0] == 201


@pytest.mark.parametrize("path", [WORKSPACE, KIND, SECRET])
async def test_what_one_has_already_is_not_sent_again(ask: Ask, raw: Any, path: str) -> None:
    await make_things(ask)
    tag = (await raw("GET", path)).headers["ETag"]

    again = await raw("GET", path, headers={"If-None-Match": f'"other", {tag}'})
    assert (again.code, again.body, again.headers["ETag"]) == (304, b"", tag)


@pytest.mark.parametrize("path", [WORKSPACE, KIND, SECRET])
async def test_a_write_with_if_match_needs_no_revision_in_its_body(
    ask: Ask, raw: Any, path: str
) -> None:
    await make_things(ask)
    first = await raw("GET", path)
    body = {
        "data": {
            key: value for key, value in json.loads(first.body)["data"].items() if key != "revision"
        }
    }
    if path != SECRET:
        body["data"]["podTemplate"]["podMetadata"] = {"labels": {"team": "blue"}}
    else:
        body["data"]["contents"]["more"] = {"base64": "eQ=="}

    changed = await raw("PUT", path, body, headers={"If-Match": first.headers["ETag"]})
    assert changed.code == 200, changed.body
    assert changed.headers["ETag"] != first.headers["ETag"]
    late = await raw("PUT", path, body, headers={"If-Match": first.headers["ETag"]})
    assert (late.code, json.loads(late.body)["error"]["code"]) == (412, "412")
    assert (
        await raw("PUT", path, body, params={"revision": first.headers["ETag"].strip('"')})
    ).code == 409


@pytest.mark.parametrize("path", [WORKSPACE, KIND, SECRET])
async def test_a_delete_may_name_what_it_deletes(ask: Ask, raw: Any, path: str) -> None:
    await make_things(ask)
    tag = (await raw("GET", path)).headers["ETag"]

    assert (await raw("DELETE", path, headers={"If-Match": '"another"'})).code == 412
    assert (await raw("DELETE", path, headers={"If-Match": tag})).code == 204


async def test_a_patch_may_name_what_it_changes(ask: Ask, raw: Any) -> None:
    await make_things(ask)
    tag = (await raw("GET", WORKSPACE)).headers["ETag"]
    patch: dict[str, Any] = {"media": "application/merge-patch+json"}

    assert (
        await raw("PATCH", WORKSPACE, {"displayName": "a"}, headers={"If-Match": tag}, **patch)
    ).code == 200
    assert (
        await raw("PATCH", WORKSPACE, {"displayName": "b"}, headers={"If-Match": tag}, **patch)
    ).code == 412
