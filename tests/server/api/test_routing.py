"""Rules of all routes: authentication, methods, origins, bad requests, activity."""

from __future__ import annotations

import json
from typing import Any

import pytest
from requests_and_objects import API, Ask
from tornado.httpclient import HTTPClientError


async def test_without_signing_in_there_is_nothing_but_health(jp_fetch: Any) -> None:
    with pytest.raises(HTTPClientError) as refused:
        await jp_fetch(*API, "workspaces", headers={"Authorization": "token wrong"})
    healthy = await jp_fetch(*API, "healthcheck", headers={"Authorization": "token wrong"})

    assert refused.value.code == 403
    assert json.loads(healthy.body)["status"] == "Healthy"


async def test_an_unknown_route_is_404_in_the_envelope(ask: Ask) -> None:
    code, body = await ask("GET", "nothing/here")

    assert (code, body["error"]["code"]) == (404, "404")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "namespaces", "GET, OPTIONS"),
        ("HEAD", "workspaces", "GET, OPTIONS"),
        ("GET", "workspaces/default/a/actions/pause", "OPTIONS, POST"),
        ("POST", "workspacekinds/a", "DELETE, GET, OPTIONS, PATCH, PUT"),
    ],
)
async def test_a_method_that_is_not_served_is_405_with_those_that_are(
    raw: Any, method: str, path: str, allowed: str
) -> None:
    answer = await raw(method, path, "{}" if method == "PUT" else None)

    assert (answer.code, answer.headers["Allow"]) == (405, allowed)


async def test_another_site_may_not_ask(raw: Any) -> None:
    assert (
        await raw("GET", "workspaces", headers={"Origin": "http://elsewhere.example"})
    ).code in (403, 200)
    assert (
        await raw(
            "POST",
            "workspaces/default",
            {},
            headers={"Origin": "http://elsewhere.example", "Authorization": ""},
        )
    ).code == 403


async def test_looking_is_not_activity(ask: Ask, jp_serverapp: Any) -> None:
    await ask("GET", "workspaces")

    assert jp_serverapp.web_app.settings.get("api_last_activity") is None


async def test_answers_carry_nosniff(raw: Any) -> None:
    assert (await raw("GET", "namespaces")).headers["X-Content-Type-Options"] == "nosniff"


async def test_a_body_above_the_limit_is_413(ask: Ask) -> None:
    assert (await ask("POST", "workspaces/default", '{"data":"' + "a" * (4 * 2**20) + '"}'))[
        0
    ] == 413


ODD_PATHS = [
    "workspaces/%00",
    "workspaces/default/%2e%2e",
    "workspaces/default/..%2f..",
    "workspaces/" + "a" * 300,
    "workspaces/default/" + "a" * 4000,
    "workspaces/default/a/b/c/d",
    "workspaces/Ünïcode",
    "workspaces/default/%ff%fe",
    "workspaces/default/a%20b",
    "workspacekinds/%3Cscript%3E",
    "workspacekinds/jupyterlab/assets/other",
    "persistentvolumeclaims/DEFAULT",
    "events/extra",
    "workspaces/default/a/podtemplate/logs/batch",
    "swagger/other",
]
ODD_BODIES = [
    "null",
    "0",
    '""',
    "[[[[",
    "[" * 20_000,
    '{"data":' * 2_000,
    '{"data":{"name":{"a":1}}}',
    '{"data":{"podTemplate":[]}}',
    '{"data":{"podTemplate":{"volumes":{"data":{}}}}}',
    '{"data":{"paused":"yes"}}',
    '{"data":{"name":"\\u0000","kind":"\\ud800"}}',
    '{"data":{"name":1e999}}',
    "\ufeff{}",
    "a: [b",
    "&a [*a]",
]


@pytest.mark.parametrize("path", ODD_PATHS)
async def test_odd_addresses_are_never_our_fault(ask: Ask, path: str) -> None:
    for method in ("GET", "DELETE", "POST", "PUT", "PATCH"):
        code, body = await ask(
            method, path, None if method in ("GET", "DELETE") else "{}", request_timeout=10
        )
        assert 200 <= code < 500, (method, path, body)


@pytest.mark.parametrize("body", ODD_BODIES, ids=range(len(ODD_BODIES)))
@pytest.mark.parametrize(
    ("method", "path", "media"),
    [
        ("POST", "workspaces/default", "application/json"),
        ("PUT", "workspaces/default/none", "application/json"),
        ("PATCH", "workspaces/default/none", "application/merge-patch+json"),
        ("PATCH", "workspaces/default/none", "application/json-patch+json"),
        ("POST", "workspaces/default/none/actions/pause", "application/json"),
        ("POST", "workspacekinds", "application/yaml"),
        ("PUT", "workspacekinds/jupyterlab", "application/json"),
        ("PATCH", "workspacekinds/jupyterlab", "application/merge-patch+json"),
        ("POST", "persistentvolumeclaims/default", "application/json"),
    ],
)
async def test_odd_bodies_are_never_our_fault(
    ask: Ask, method: str, path: str, media: str, body: str
) -> None:
    code, answer = await ask(method, path, body, media=media, request_timeout=10)

    assert 200 <= code < 500, answer  # a merge patch may well fit


@pytest.mark.parametrize(
    "query",
    [
        {"tailLines": "0"},
        {"tailLines": "x"},
        {"previous": "maybe"},
        {"sinceTime": "yesterday"},
        {"container": "A_B"},
        {"tailLines": "١"},
    ],
)
async def test_odd_queries_of_a_log_are_named(ask: Ask, query: dict[str, str]) -> None:
    code, body = await ask("GET", "workspaces/default/none/podtemplate/logs/batch", params=query)

    assert (code, body["error"]["cause"]["validation_errors"][0]["field"]) == (
        422,
        next(iter(query)),
    )


async def test_all_odd_queries_of_a_log_are_told_at_once(ask: Ask) -> None:
    odd = {"container": "A_B", "tailLines": "0", "previous": "maybe", "sinceTime": "yesterday"}

    code, body = await ask("GET", "workspaces/default/none/podtemplate/logs/batch", params=odd)

    causes = body["error"]["cause"]["validation_errors"]
    assert (code, [cause["field"] for cause in causes]) == (422, list(odd))


@pytest.mark.parametrize("lines", [str(2**63), "9" * 40, "9" * 5000])
async def test_more_lines_than_kubernetes_can_count_are_no_query(ask: Ask, lines: str) -> None:
    code, body = await ask(
        "GET", "workspaces/default/none/podtemplate/logs/batch", params={"tailLines": lines}
    )

    assert code == 400, body


@pytest.mark.parametrize("lines", [str(2**63 - 1), "+007", "0" * 40 + "1"])
async def test_as_many_lines_as_kubernetes_can_count_may_be_asked_for(ask: Ask, lines: str) -> None:
    code, _ = await ask(
        "GET", "workspaces/default/none/podtemplate/logs/batch", params={"tailLines": lines}
    )

    assert code == 404  # the workspace; the query was fine


async def test_a_query_that_cannot_be_read_counts_as_absent(
    cluster: Any, http_server_client: Any, jp_serverapp: Any
) -> None:
    api = f"{jp_serverapp.base_url}workspaces/api/v1/workspacekinds"
    headers = {"Authorization": f"token {jp_serverapp.token}"}

    async def fetch(query: str) -> int:
        answer = await http_server_client.fetch(
            f"{api}?{query}", headers=headers, raise_error=False
        )
        return int(answer.code)

    assert await fetch("namespaceFilter=%zz") == 200
    assert await fetch("x=%zz&namespaceFilter=A_B") == 422
