"""Authorization: answers are those of the real API server to the same requests (`access_cases`)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import access_cases
import pytest
from access_cases import CORE, RBAC, REQUESTS, Case, Server, as_, binding, comparable, on, role

RECORDED = json.loads(access_cases.RECORDED.read_text(encoding="utf-8"))
APPLY = "application/apply-patch+yaml"
SELF = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


@pytest.fixture
def server(api: Any) -> Server:
    """The local API server with the objects of the recording, and its administrator."""
    found = Server(api.url, "test-token", api.trust)
    for path, body in access_cases.SETUP:
        status, answer = found.ask(Case("POST", path, body))
        assert status == 201, (path, answer)
    return found


def differences(
    server: Server, group: str, cases: Iterable[Case], token: str | None = None
) -> dict[str, Any]:
    """Return the answers that differ from the recorded ones: (here, there) by request."""
    found = {}
    for case in cases:
        status, body = server.ask(case, token)
        recorded_status, recorded_body = RECORDED[group][case.title]
        here = [status, None if recorded_body is None else comparable(body)]
        if here != [recorded_status, recorded_body]:
            found[case.title] = (here, [recorded_status, recorded_body])
    return found


@pytest.mark.parametrize(
    "group", ["forbidden", "allowed", "reviews", "grants", "requests", "unknown"]
)
def test_answers_are_those_of_the_real_api_server(server: Server, group: str) -> None:
    assert RECORDED[group].keys() == {case.title for case in access_cases.ALL[group]}
    assert differences(server, group, access_cases.ALL[group]) == {}


def test_a_service_account_is_authorized_as_on_the_real_server(server: Server) -> None:
    token = server.ask(REQUESTS[0])[1]["status"]["token"]
    assert differences(server, "robot", access_cases.BY_ROBOT, token) == {}


@pytest.mark.parametrize("case", access_cases.IMPERSONATION, ids=lambda case: case.headers[0][0])
def test_impersonation_requires_a_user_name(server: Server, case: Case) -> None:
    status, body = server.ask(case)
    recorded_status, recorded = RECORDED["impersonation"][case.title]
    assert (status, body["reason"], "details" in body) == (
        recorded_status,
        recorded["reason"],
        "details" in recorded,
    )


def test_a_change_of_a_binding_applies_to_the_next_request(server: Server) -> None:
    asked = Case("GET", f"{CORE}/configmaps", None, as_("nina"))
    bound = f"{RBAC}/namespaces/access-one/rolebindings"
    assert server.ask(asked)[0] == 403
    assert (
        server.ask(Case("POST", bound, binding("RoleBinding", "late", "Role/late", "User/nina")))[0]
        == 201
    )
    status, refused = server.ask(asked)
    assert status == 403
    assert refused["message"].endswith(': RBAC: role.rbac.authorization.k8s.io "late" not found')
    made = role("Role", "late", on("core", "configmaps", "list"))
    assert server.ask(Case("POST", f"{RBAC}/namespaces/access-one/roles", made))[0] == 201
    assert server.ask(asked)[0] == 200
    assert (
        server.ask(Case("PATCH", f"{RBAC}/namespaces/access-one/roles/late", {"rules": []}))[0]
        == 200
    )
    assert server.ask(asked)[0] == 403
    assert server.ask(Case("PATCH", f"{RBAC}/namespaces/access-one/roles/late", made))[0] == 200
    assert server.ask(asked)[0] == 200
    assert server.ask(Case("PATCH", f"{bound}/late", {"subjects": []}))[0] == 200
    assert server.ask(asked)[0] == 403
    assert (
        server.ask(
            Case("PATCH", f"{bound}/late", {"subjects": [access_cases.subject("User/nina")]})
        )[0]
        == 200
    )
    assert server.ask(asked)[0] == 200
    assert server.ask(Case("DELETE", f"{bound}/late"))[0] == 200
    assert server.ask(asked)[0] == 403


def test_an_apply_that_creates_requires_the_verb_create(server: Server, api: Any) -> None:
    made = role("Role", "patcher", on("core", "configmaps", "patch"))
    bound = binding("RoleBinding", "patcher", "Role/patcher", "User/pat")
    assert server.ask(Case("POST", f"{RBAC}{access_cases.HERE}/roles", made))[0] == 201
    assert server.ask(Case("POST", f"{RBAC}{access_cases.HERE}/rolebindings", bound))[0] == 201
    applied = access_cases.CONFIG_MAP | {"metadata": {"name": "new"}}
    status, refused = server.ask(
        Case("PATCH", f"{CORE}/configmaps/new?fieldManager=x", applied, as_("pat")), media=APPLY
    )
    assert (status, refused["message"]) == (
        403,
        'configmaps "new" is forbidden: User "pat" cannot create resource "configmaps" in API '
        'group "" in the namespace "access-one"',
    )
    assert (
        server.ask(
            Case(
                "PATCH", f"{CORE}/configmaps/c?fieldManager=x", access_cases.CONFIG_MAP, as_("pat")
            ),
            media=APPLY,
        )[0]
        != 403
    )


@pytest.mark.parametrize("subresource", ["exec", "attach", "portforward"])
def test_a_websocket_into_a_pod_requires_the_verb_create(server: Server, subresource: str) -> None:
    for name, verb in (("gus", "get"), ("cleo", "create")):
        made = role("Role", name, on("core", f"pods/{subresource}", verb))
        bound = binding("RoleBinding", name, f"Role/{name}", f"User/{name}")
        assert server.ask(Case("POST", f"{RBAC}{access_cases.HERE}/roles", made))[0] == 201
        assert server.ask(Case("POST", f"{RBAC}{access_cases.HERE}/rolebindings", bound))[0] == 201
    upgrade = (
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "bm8gc2VjcmV0IGF0IGFsbA=="),
    )
    for name, lacking in (("gus", "create"), ("cleo", "get")):
        status, refused = server.ask(
            Case("GET", f"{CORE}/pods/p/{subresource}", None, (*as_(name), *upgrade))
        )
        assert status == 403
        assert f'cannot {lacking} resource "pods/{subresource}"' in refused["message"]


def test_an_aggregated_role_has_the_rules_of_the_selected_roles(server: Server) -> None:
    bound = binding("RoleBinding", "editor", "ClusterRole/edit", "User/eddy")
    assert server.ask(Case("POST", f"{RBAC}/namespaces/access-one/rolebindings", bound))[0] == 201
    workspaces = f"/apis/kubeflow.org/v1beta1{access_cases.HERE}/workspaces"
    assert (
        server.ask(Case("GET", f"{CORE}/configmaps", None, as_("eddy")))[0] == 200
    )  # edit selects view, which selects this
    assert (
        server.ask(
            Case("POST", f"{CORE}/secrets?dryRun=All", {"metadata": {"name": "s"}}, as_("eddy"))
        )[0]
        == 201
    )
    assert (
        server.ask(Case("GET", f"{RBAC}{access_cases.HERE}/roles", None, as_("eddy")))[0] == 403
    )  # that is admin's
    assert server.ask(Case("GET", workspaces, None, as_("eddy")))[0] == 403
    more = role(
        "ClusterRole", "workspaces-view", on("kubeflow.org", "workspaces", "get list watch")
    )
    more["metadata"]["labels"] = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    assert server.ask(Case("POST", f"{RBAC}/clusterroles", more))[0] == 201
    assert (
        server.ask(Case("GET", workspaces, None, as_("eddy")))[0] == 404
    )  # allowed, and not served here
    unlabelled = {"metadata": {"labels": {"rbac.authorization.k8s.io/aggregate-to-view": None}}}
    assert server.ask(Case("PATCH", f"{RBAC}/clusterroles/workspaces-view", unlabelled))[0] == 200
    assert server.ask(Case("GET", workspaces, None, as_("eddy")))[0] == 403


def test_roles_that_select_each_other_are_resolved(server: Server) -> None:
    for name, other in (("one", "two"), ("two", "one")):
        looping = role(
            "ClusterRole",
            f"loop-{name}",
            aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"loop": other}}]},
        )
        looping["metadata"]["labels"] = {"loop": name}
        assert server.ask(Case("POST", f"{RBAC}/clusterroles", looping))[0] == 201
    bound = binding("ClusterRoleBinding", "loop", "ClusterRole/loop-one", "User/lou")
    assert server.ask(Case("POST", f"{RBAC}/clusterrolebindings", bound))[0] == 201
    assert server.ask(Case("GET", "/api/v1/nodes", None, as_("lou")))[0] == 403


def test_default_roles_are_restored_and_additions_are_kept(server: Server, api: Any) -> None:
    added = on("core", "nodes", "get")
    kept = server.ask(Case("GET", f"{RBAC}/clusterroles/system:aggregate-to-view"))[1]["rules"]
    assert (
        server.ask(
            Case(
                "PATCH",
                f"{RBAC}/clusterroles/system:aggregate-to-view",
                {"rules": [*kept[1:], added]},
            )
        )[0]
        == 200
    )
    left_alone = {
        "metadata": {"annotations": {"rbac.authorization.kubernetes.io/autoupdate": "false"}},
        "rules": [],
    }
    assert server.ask(Case("PATCH", f"{RBAC}/clusterroles/system:monitoring", left_alone))[0] == 200
    assert server.ask(Case("DELETE", f"{RBAC}/clusterroles/system:discovery"))[0] == 200
    assert (
        server.ask(
            Case("PATCH", f"{RBAC}/clusterrolebindings/system:basic-user", {"subjects": []})
        )[0]
        == 200
    )
    api.stop()
    api.start()
    rules = server.ask(Case("GET", f"{RBAC}/clusterroles/system:aggregate-to-view"))[1]["rules"]
    granted = {
        (verb, resource)
        for rule in rules
        if "" in rule["apiGroups"]
        for verb in rule["verbs"]
        for resource in rule["resources"]
    }
    assert {("list", "configmaps"), ("get", "nodes")} <= granted
    assert server.ask(Case("GET", f"{RBAC}/clusterroles/system:monitoring"))[1]["rules"] is None
    assert server.ask(Case("GET", "/api", None, as_("nina")))[0] == 200
    assert server.ask(Case("POST", SELF, {}, as_("nina")))[0] == 201


def test_the_default_roles_are_those_of_the_real_server(server: Server) -> None:
    recorded = RECORDED["default roles"]
    for name, held in recorded.items():
        found = server.ask(Case("GET", f"{RBAC}/clusterroles/{name}"))[1]
        assert [
            found.get("rules"),
            found.get("aggregationRule"),
            found["metadata"]["labels"],
        ] == held, name
