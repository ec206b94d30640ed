"""`--trusted-header-auth`: the cluster's RBAC authorizes each request.

A handler that does not authorize has no access to the services.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from requests_and_objects import API, Object, workspace
from tornado.httpclient import HTTPClientError, HTTPResponse
from tornado.routing import PathMatches, Rule

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.localkube.apiserver.http.server import ApiServer
from jupyter_workspaces.resources.catalog import WORKSPACES
from jupyter_workspaces.server.api.workspaces.base import DataHandler
from jupyter_workspaces.server.cache import Cache
from jupyter_workspaces.server.http.authentication import signed_in

RBAC = "rbac.authorization.k8s.io"
Raw = Callable[..., Awaitable[HTTPResponse]]


@pytest.fixture
def jp_server_config(jp_server_config: Object) -> Object:
    server = jp_server_config["ServerApp"] | {
        "identity_provider_class": "jupyter_workspaces.server.http.identity.HeaderIdentities",
        "allow_unauthenticated_access": True,
        "tornado_settings": {"disable_check_xsrf": True},
    }
    return jp_server_config | {"ServerApp": server}


@pytest.fixture
def grant(cluster: ApiServer) -> Callable[..., None]:
    """Give a user verbs on a resource in a namespace."""

    def give(
        user: str, namespace: str, resource: str, *verbs: str, group: str = "kubeflow.org"
    ) -> None:
        name = f"{user}-{resource}-{'-'.join(verbs)}"
        metadata = {"name": name, "namespace": namespace}
        rules = [{"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}]
        cluster.apply_manifest(
            {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": dict(metadata), "rules": rules}
        )
        cluster.apply_manifest(
            {
                "apiVersion": f"{RBAC}/v1",
                "kind": "RoleBinding",
                "metadata": dict(metadata),
                "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": name},
                "subjects": [{"apiGroup": RBAC, "kind": "User", "name": user}],
            }
        )

    return give


def as_(user: str) -> Object:
    return {"headers": {"kubeflow-userid": user}}


def refused(answer: HTTPResponse) -> tuple[int, str]:
    """Status and sentence."""
    error = json.loads(answer.body)["error"]
    assert error["code"] == str(answer.code)
    return answer.code, error["message"]


async def test_nobody_is_nobody_whatever_else_they_show(raw: Raw) -> None:
    for headers in (
        {},
        {"kubeflow-userid": ""},
        {"Authorization": "Bearer ada"},
        {"kubeflow-groups": "system:masters"},
    ):
        assert refused(await raw("GET", "events", headers=headers))[0] == 401


async def test_an_address_where_nothing_is_says_so_to_anybody(raw: Raw) -> None:
    assert (await raw("GET", "nothing/here")).code == 404
    assert (await raw("POST", "nothing/here", {}, **as_("ada"))).code == 404


async def test_a_user_without_rights_is_refused_in_the_clusters_words(
    raw: Raw, grant: Callable[..., None]
) -> None:
    grant("ada", "default", "workspaces", "watch")
    refusal = (
        'User "ada" cannot watch resource "workspaces" in API group "kubeflow.org" '
        'in the namespace "team-a"'
    )
    status, sentence = refused(
        await raw("GET", "events", params={"namespace": "team-a"}, **as_("ada"))
    )
    assert (status, refusal in sentence) == (403, True)
    assert refused(await raw("GET", "events", **as_("ada")))[0] == 403


async def first_event(jp_fetch: Any, namespace: str, user: str) -> Any:
    """The data of a stream's first event."""
    read, whole = bytearray(), asyncio.Event()

    def take(chunk: bytes) -> None:
        read.extend(chunk)
        if b"\n\n" in read:
            whole.set()

    headers = {"kubeflow-userid": user}
    stream = asyncio.ensure_future(
        jp_fetch(
            *API,
            "events",
            params={"namespace": namespace},
            headers=headers,
            streaming_callback=take,
        )
    )
    try:
        async with timeout(10):
            await whole.wait()
    finally:
        stream.cancel()
        await asyncio.gather(stream, return_exceptions=True)
    line = next(line for line in bytes(read).splitlines() if line.startswith(b"data: "))
    return json.loads(line[6:])


async def test_live_changes_tell_only_what_the_user_may_see(
    jp_fetch: Any, cluster: ApiServer, grant: Callable[..., None]
) -> None:
    spec = workspace()["data"] | {
        "podTemplate": workspace()["data"]["podTemplate"] | {"volumes": {}}
    }
    del spec["name"]
    for namespace in ("default", "team-a"):
        metadata = {"name": "desk", "namespace": namespace}
        cluster.apply_manifest(
            {
                "apiVersion": "kubeflow.org/v1beta1",
                "kind": "Workspace",
                "metadata": metadata,
                "spec": spec,
            }
        )
    grant("ada", "default", "workspaces", "watch")
    grant("eve", "team-a", "workspaces", "watch", "create")
    told = await first_event(jp_fetch, "default", "ada")
    assert [(found["namespace"], found["name"]) for found in told["workspaces"]] == [
        ("default", "desk")
    ]
    assert told["workspaceKinds"] == []
    told = await first_event(jp_fetch, "team-a", "eve")
    assert [(found["namespace"], found["name"]) for found in told["workspaces"]] == [
        ("team-a", "desk")
    ]
    assert len(told["workspaceKinds"]) > 1


async def test_a_stream_ends_in_time_for_the_cluster_to_be_asked_again(
    monkeypatch: pytest.MonkeyPatch, raw: Raw, cluster: ApiServer, grant: Callable[..., None]
) -> None:
    monkeypatch.setattr("jupyter_workspaces.server.http.streaming.PERMITTED_SECONDS", 0.0)
    grant("ada", "default", "workspaces", "watch")
    answer = await raw("GET", "events", params={"namespace": "default"}, **as_("ada"))
    assert answer.body.count(b"event: snapshot") == 1


async def test_a_handler_that_forgot_to_ask_reaches_nothing(
    raw: Raw, jp_serverapp: Any, grant: Callable[..., None]
) -> None:
    class Forgetful(DataHandler):
        @signed_in
        async def get(self) -> None:
            self.answer((await self.services.ready()).about.namespaces())

    class Careful(DataHandler):
        @signed_in
        async def get(self) -> None:
            await self.permit("list", WORKSPACES, "default")
            names = [found.name for found in (await self.services.ready()).about.namespaces()]
            self.answer(
                [self.user, await self.may("delete", WORKSPACES, "default"), "default" in names]
            )

    prefix = f"{jp_serverapp.base_url}{'/'.join(API)}"
    for name, handler in (("forgetful", Forgetful), ("careful", Careful)):
        jp_serverapp.web_app.default_router.rules.insert(
            0, Rule(PathMatches(f"{prefix}/{name}$"), handler)
        )
    grant("ada", "default", "workspaces", "list")
    assert refused(await raw("GET", "forgetful", **as_("ada")))[0] == 500
    assert refused(await raw("GET", "careful"))[0] == 401
    assert refused(await raw("GET", "careful", **as_("eve")))[0] == 403
    answer = await raw("GET", "careful", **as_("ada"))
    assert json.loads(answer.body)["data"] == ["ada", False, True]


async def test_opening_a_workspace_wants_the_right_to_change_it(
    jp_fetch: Any, cluster: ApiServer, grant: Callable[..., None]
) -> None:
    async def open_(path: str, user: str | None) -> int:
        headers = {} if user is None else {"kubeflow-userid": user}
        answer: HTTPResponse = await jp_fetch(
            "workspace", path, headers=headers, raise_error=False, follow_redirects=False
        )
        return answer.code

    grant("ada", "default", "workspaces", "update")
    grant("eve", "default", "workspaces", "get")
    app, told = "connect/default/desk/jupyterlab/", "status/default/desk/jupyterlab"
    assert [await open_(app, user) for user in (None, "eve", "ada")] == [
        401,
        403,
        410,
    ]  # there is no such workspace
    assert [await open_(told, user) for user in (None, "eve", "ada")] == [401, 200, 403]


async def test_a_namespace_is_watched_only_for_who_may_look_there(
    raw: Raw, jp_fetch: Any, grant: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    reached: list[str] = []
    reach = Cache.reach

    async def noted(self: Cache, namespace: str) -> None:
        reached.append(namespace)
        await reach(self, namespace)

    monkeypatch.setattr(Cache, "reach", noted)
    grant("ada", "default", "workspaces", "get", "list", "update")
    assert refused(await raw("GET", "workspaces/team-a", **as_("ada")))[0] == 403
    assert (await raw("GET", "workspaces/default", **as_("ada"))).code == 200
    reached.clear()
    headers = {"kubeflow-userid": "ada"}
    for namespace, status in (("team-a", 403), ("default", 302)):
        with pytest.raises(HTTPClientError) as answer:
            await jp_fetch(
                "workspace",
                "connect",
                namespace,
                "nobody",
                "lab",
                headers=headers,
                follow_redirects=False,
            )
        assert answer.value.code == status
    assert reached == ["default"]
