"""Compatibility mode behind trusted headers, native mode elsewhere (docs/dialects.md)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from requests_and_objects import Object, workspace

from jupyter_workspaces.localkube.apiserver.http.server import ApiServer
from jupyter_workspaces.server.api.workspaces.about.description import OPERATIONS
from jupyter_workspaces.server.api.workspaces.routes import ROUTES

ADMIN = {"kubeflow-userid": "ana"}


@pytest.fixture
def by_headers(jp_server_config: Object) -> None:
    jp_server_config["ServerApp"]["identity_provider_class"] = (
        "jupyter_workspaces.server.http.identity.HeaderIdentities"
    )
    jp_server_config["ServerApp"]["tornado_settings"] = {"disable_check_xsrf": True}


@pytest.fixture
def letter(by_headers: None, raw: Any, cluster: ApiServer) -> Any:
    """Ask as a user who may do everything."""
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "ana"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "cluster-admin",
        },
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ana"}],
    }
    cluster.apply_manifest(binding)

    async def ask(
        method: str, path: str, body: Any = None, *, headers: Object | None = None, **more: Any
    ) -> Any:
        return await raw(method, path, body, headers=ADMIN | (headers or {}), **more)

    return ask


def told(answer: Any) -> tuple[str | None, str | None, bool]:
    headers = answer.headers
    return (
        headers.get("Access-Control-Allow-Origin"),
        headers.get("X-Content-Type-Options"),
        "ETag" in headers,
    )


async def test_to_the_letter_there_is_no_etag_and_every_origin(letter: Any) -> None:
    assert told(await letter("GET", "workspaces/default")) == ("*", None, False)
    assert told(await letter("GET", "nothing")) == ("*", None, False)


@pytest.mark.parametrize(
    "asking",
    [
        {"headers": {"If-None-Match": '"x"'}},
        {"params": {"revision": ""}},
        {"params": {"limit": "5"}},
    ],
)
async def test_who_asks_for_something_of_ours_gets_our_headers(letter: Any, asking: Object) -> None:
    assert told(await letter("GET", "workspaces/default", **asking)) == (None, "nosniff", True)


async def test_elsewhere_our_headers_are_always_there(raw: Any) -> None:
    assert told(await raw("GET", "workspaces/default")) == (None, "nosniff", True)
    assert told(await raw("GET", "nothing")) == (None, "nosniff", False)


async def test_to_the_letter_a_patch_is_only_a_patch_by_its_type(letter: Any) -> None:
    assert (await letter("POST", "workspaces/default", workspace())).code == 201

    refused = await letter("PATCH", "workspaces/default/desk", {"data": {"displayName": "x"}})
    assert (refused.code, refused.headers["Allow"]) == (405, "DELETE, GET, OPTIONS, PUT")
    patched = await letter(
        "PATCH",
        "workspaces/default/desk",
        {"displayName": "x"},
        media="application/merge-patch+json",
    )
    assert patched.code == 200


async def test_to_the_letter_routes_of_ours_are_unknown_to_who_does_not_know_them(
    letter: Any,
) -> None:
    assert (await letter("GET", "workspaces/default/desk/actions/restart")).code == 404
    assert (
        await letter("POST", "workspaces/default/desk/actions/restart", {"data": {}})
    ).code == 404  # there is no such workspace
    assert (await letter("GET", "cluster")).code == 200


async def test_a_picture_to_the_letter_has_no_policy_and_elsewhere_runs_no_scripts(
    letter: Any,
) -> None:
    plain = await letter("GET", "workspacekinds/jupyterlab/assets/icon")
    guarded = await letter("GET", "workspacekinds/jupyterlab/assets/icon", params={"revision": ""})

    assert "Content-Security-Policy" not in plain.headers
    assert "sandbox" in guarded.headers["Content-Security-Policy"]


async def test_the_same_request_is_forbidden_to_who_has_no_rights(
    by_headers: None, raw: Any
) -> None:
    assert (await raw("GET", "workspaces/default")).code == 401
    assert (await raw("GET", "workspaces/default", headers={"kubeflow-userid": "bob"})).code == 403


def test_every_operation_is_described_and_every_described_one_is_routed() -> None:
    routed = {
        (method.lower(), route.path)
        for route in ROUTES
        for method in (*route.methods, *route.native)
    } - {("get", "swagger/")}
    described = {(one.method, re.sub(r"\{\w+\}", "{}", one.path).strip("/")) for one in OPERATIONS}

    assert described == routed


async def test_nobody_may_ask_anything_but_health_without_signing_in(raw: Any) -> None:
    for route in ROUTES:
        for method in (*route.methods, *route.native):
            path = route.path.replace("{}", "a")
            body = None if method in ("GET", "DELETE") else {}
            answer = await raw(
                method, path, body, headers={"Authorization": ""}, follow_redirects=False
            )
            assert answer.code == {"healthcheck": 200, "swagger/": 301}.get(path, 403), (
                method,
                path,
            )


def test_the_table_names_every_parameter_of_ours() -> None:
    from jupyter_workspaces.server.api.workspaces.base import NATIVE_HEADERS, NATIVE_PARAMETERS

    text = (
        (Path(__file__).parents[3] / "docs" / "dialects.md")
        .read_text(encoding="utf-8")
        .partition("| |")[0]
    )
    assert {
        name for name in (*NATIVE_HEADERS, *NATIVE_PARAMETERS) if f"`{name}`" not in text
    } == set()


async def test_the_description_and_its_page_are_served(raw: Any) -> None:
    document = await raw("GET", "swagger/doc.json")
    page = await raw("GET", "swagger/index.html")

    assert b'"openapi":"3.1.0"' in document.body
    assert (page.code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"/workspacekinds/{name}/podtemplate/options/listvalues" in page.body
    assert b"<script" not in page.body
