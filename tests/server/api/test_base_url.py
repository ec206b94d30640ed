"""A server tells the workspaces that it starts at which base URL it shows them."""

from __future__ import annotations

from typing import Any

import pytest
from requests_and_objects import Ask, set_status, workspace

from jupyter_workspaces.localkube.apiserver.http.server import ApiServer
from jupyter_workspaces.resources import metadata_keys

at = pytest.mark.parametrize


def base_url(cluster: ApiServer) -> Any:
    stored = cluster.engine.store.get("workspaces.kubeflow.org", "default", "desk")
    assert stored is not None
    return (stored.decode()["metadata"].get("annotations") or {}).get(metadata_keys.BASE_URL)


@at(
    ("jp_base_url", "told"),
    [
        ("/user/x/", "/user/x/"),
        ("/user/x@y.org/", "/user/x@y.org/"),
        ("/", None),
        ("/user/x%2By/", None),
    ],
)
async def test_a_new_workspace_is_told_the_servers_base_url(
    ask: Ask, cluster: ApiServer, told: str | None
) -> None:
    assert (await ask("POST", "workspaces/default", workspace()))[0] == 201
    assert base_url(cluster) == told


@at("jp_base_url", ["/user/x/"])
@at("action", ["pause", "restart"])
async def test_what_is_started_again_is_told_the_base_url_of_the_server_that_does_it(
    ask: Ask, cluster: ApiServer, action: str
) -> None:
    await ask("POST", "workspaces/default", workspace(paused=action == "pause"))
    stored = cluster.engine.store.get("workspaces.kubeflow.org", "default", "desk").decode()
    stored["metadata"]["annotations"][metadata_keys.BASE_URL] = "/user/another/"
    cluster.apply_manifest(stored)
    set_status(cluster, "desk", "Paused" if action == "pause" else "Running")

    code, _ = await ask(
        "POST",
        f"workspaces/default/desk/actions/{action}",
        {"data": {"paused": False} if action == "pause" else {}},
    )

    assert code in (200, 202)
    assert base_url(cluster) == "/user/x/"
