"""Workspace kinds, pictures, claims and storage classes over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from requests_and_objects import Ask, workspace

from jupyter_workspaces.resources import bundled


def kind_manifest(name: str = "mine") -> dict[str, Any]:
    found: dict[str, Any] = next(
        one
        for one in bundled.samples()
        if one["metadata"]["name"] == "jupyterlab" and one["kind"] == "WorkspaceKind"
    )
    return {**found, "metadata": {"name": name}}


async def test_kinds_are_listed_by_name_with_their_options(ask: Ask) -> None:
    code, body = await ask("GET", "workspacekinds")

    assert (code, [kind["name"] for kind in body["data"]]) == (
        200,
        ["codeserver", "jupyterlab", "rstudio"],
    )
    images = body["data"][1]["podTemplate"]["options"]["imageConfig"]
    assert images["default"] == "jupyterlab_scipy_190"
    assert images["values"][0]["redirect"]["to"] == "jupyterlab_scipy_190"


async def test_a_picture_is_an_svg_that_cannot_run_scripts(raw: Any, ask: Ask) -> None:
    answer = await raw("GET", "workspacekinds/jupyterlab/assets/logo")

    assert (answer.code, answer.headers["Content-Type"]) == (200, "image/svg+xml")
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert (await ask("GET", "workspacekinds/nothing/assets/logo"))[0] == 404


async def test_a_kind_is_made_from_a_manifest_changed_and_deleted(ask: Ask) -> None:
    code, body = await ask(
        "POST", "workspacekinds", yaml.safe_dump(kind_manifest()), media="application/yaml"
    )
    assert (code, body["data"]["name"]) == (201, "mine")

    _, got = await ask("GET", "workspacekinds/mine")
    model = got["data"]
    model["spawner"]["hidden"] = True
    code, changed = await ask("PUT", "workspacekinds/mine", {"data": model})
    assert (code, changed["data"]["spawner"]["hidden"]) == (200, True)
    assert (await ask("PUT", "workspacekinds/mine", {"data": model}))[0] == 409
    code, patched = await ask(
        "PATCH",
        "workspacekinds/mine",
        {"spawner": {"hidden": False}},
        media="application/merge-patch+json",
    )
    assert (code, patched["data"]["spawner"]["hidden"]) == (200, False)

    assert await ask("DELETE", "workspacekinds/mine") == (204, None)
    assert (await ask("GET", "workspacekinds/mine"))[0] == 404


async def test_a_kind_in_use_cannot_be_deleted_nor_its_used_option_changed(
    ask: Ask, guarded: None
) -> None:
    await ask("POST", "workspaces/default", workspace())

    code, body = await ask("DELETE", "workspacekinds/jupyterlab")
    assert code == 409
    assert "default/desk" in body["error"]["cause"]["conflict_cause"][0]["message"]
    _, got = await ask("GET", "workspacekinds/jupyterlab")
    got["data"]["podTemplate"]["options"]["podConfig"]["values"][0]["spec"] = {
        "resources": {"requests": {"cpu": "7"}}
    }
    code, body = await ask("PUT", "workspacekinds/jupyterlab", got)
    assert (code, body["error"]["cause"]["validation_errors"][0]["field"]) == (
        422,
        "spec.podTemplate.options.podConfig.values[tiny_cpu]",
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", 422),
        ("kind: WorkspaceKind", 422),
        ("a: 1\na: 2", 422),
        ("- a", 400),
        ("{", 400),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: a}", 400),
        (
            "apiVersion: kubeflow.org/v1beta1\nkind: WorkspaceKind\n"
            "metadata: {name: a}\nspec: {surplus: 1}",
            422,
        ),
    ],
)
async def test_manifests_that_are_no_kind(ask: Ask, text: str, code: int) -> None:
    assert (await ask("POST", "workspacekinds", text, media="application/yaml"))[0] == code


async def test_storage_classes_say_which_may_be_used(ask: Ask) -> None:
    _, body = await ask("GET", "storageclasses")

    assert [(found["name"], found["canUse"]) for found in body["data"]] == [
        ("fast", False),
        ("standard", True),
    ]


async def test_a_claim_is_made_listed_with_its_users_and_deleted(ask: Ask) -> None:
    new = {
        "data": {
            "name": "data",
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "standard",
            "requests": {"storage": "1024Mi"},
        }
    }
    code, body = await ask("POST", "persistentvolumeclaims/default", new)
    assert (code, body["data"]["requests"]["storage"]) == (201, "1Gi")
    await ask("POST", "workspaces/default", workspace())

    _, listed = await ask("GET", "persistentvolumeclaims/default")
    used = {
        claim["name"]: [user["name"] for user in claim["workspaces"]] for claim in listed["data"]
    }
    assert used == {"data": [], "home": ["desk"], "locked": []}

    assert (await ask("DELETE", "persistentvolumeclaims/default/data"))[0] == 204
    assert (await ask("DELETE", "persistentvolumeclaims/default/locked"))[0] == 403
    assert (await ask("DELETE", "persistentvolumeclaims/default/nothing"))[0] == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"storageClassName": "fast"}, "storageClassName"),
        ({"storageClassName": "nothing"}, "storageClassName"),
        ({"requests": {"storage": "much"}}, "data.requests.storage"),
        ({"accessModes": []}, "data.accessModes"),
        ({"accessModes": ["Sometimes"]}, "spec.accessModes"),
    ],
)
async def test_what_is_wrong_with_a_claim_is_named(ask: Ask, change: Any, field: str) -> None:
    new = {
        "name": "data",
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "standard",
        "requests": {"storage": "1Gi"},
    } | change

    code, body = await ask("POST", "persistentvolumeclaims/default", {"data": new})

    assert (code, body["error"]["cause"]["validation_errors"][0]["field"]) == (422, field)
