"""A server whose own user may work in two namespaces and list neither all of them nor nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from requests_and_objects import Ask, Object, workspace

from jupyter_workspaces.resources.catalog import WORKSPACES

RBAC = "rbac.authorization.k8s.io"


def _rule(group: str, *resources: str, verbs: tuple[str, ...] = ("get", "list", "watch")) -> Object:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


RULES = {
    "dora-in-a-namespace": [
        _rule(
            WORKSPACES.group,
            "workspaces",
            verbs=("get", "list", "watch", "create", "update", "patch", "delete"),
        ),
        _rule("", "pods", "services", "persistentvolumeclaims", "configmaps"),
    ],
    "dora-everywhere": [
        _rule(WORKSPACES.group, "workspacekinds"),
        _rule("storage.k8s.io", "storageclasses"),
    ],
}


@pytest.fixture
def jp_server_config(jp_server_config: Object, cluster: Any, tmp_path: Path) -> Object:
    """The administrator's kubeconfig, acting as dora."""

    def bound(kind: str, role: str, namespace: str | None) -> Object:
        return {
            "apiVersion": f"{RBAC}/v1",
            "kind": kind,
            "metadata": {"name": role, **({"namespace": namespace} if namespace else {})},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": RBAC, "kind": "User", "name": "dora"}],
        }

    for name, rules in RULES.items():
        cluster.apply_manifest(
            {
                "apiVersion": f"{RBAC}/v1",
                "kind": "ClusterRole",
                "metadata": {"name": name},
                "rules": rules,
            }
        )
    for namespace in ("default", "team-a"):
        cluster.apply_manifest(bound("RoleBinding", "dora-in-a-namespace", namespace))
    cluster.apply_manifest(bound("ClusterRoleBinding", "dora-everywhere", None))
    file = tmp_path / "kubeconfig"
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    document["users"][0]["user"]["as"] = "dora"
    document["contexts"][0]["context"]["namespace"] = "default"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    return jp_server_config


async def test_everything_works_within_it_and_another_one_joins_when_somebody_looks_there(
    ask: Ask,
) -> None:
    assert (await ask("POST", "workspaces/default", workspace("here")))[0] == 201
    code, body = await ask("GET", "workspaces/default")
    assert (code, [one["name"] for one in body["data"]]) == (200, ["here"])
    there = workspace("there")
    del there["data"]["podTemplate"]["volumes"]["home"]
    assert (await ask("POST", "workspaces/team-a", there))[0] == 201
    code, body = await ask("GET", "workspaces/team-a")
    assert (code, [one["name"] for one in body["data"]]) == (200, ["there"])
    assert [one["name"] for one in (await ask("GET", "namespaces"))[1]["data"]] == [
        "default",
        "team-a",
    ]
    assert (await ask("DELETE", "workspaces/team-a/there"))[0] == 204


async def test_what_is_forbidden_says_so_in_kubernetes_words(ask: Ask) -> None:
    code, body = await ask("GET", "workspaces/jupyter-workspaces")
    assert code == 403
    assert 'User "dora" cannot list resource "workspaces"' in body["error"]["message"]
    assert (await ask("GET", "secrets/default"))[0] == 403
    assert (await ask("POST", "workspaces/jupyter-workspaces", workspace("nowhere")))[0] == 403
