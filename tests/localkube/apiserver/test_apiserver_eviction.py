"""The subresource `pods/NAME/eviction`, and `kubectl drain`, which uses it."""

from __future__ import annotations

from typing import Any

import pytest
from api_objects import pod
from conftest import Kubectl, Running

PODS = "/api/v1/namespaces/default/pods"
EVICTION = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "one"}}


def _send(api: Running, *requests: tuple[str, str, Any], **headers: str) -> list[tuple[int, Any]]:
    async def send() -> list[tuple[int, Any]]:
        answers = []
        async with api.session(**headers) as session:
            for method, path, body in requests:
                async with session.request(method, path, json=body) as response:
                    answers.append((response.status, await response.json()))
        return answers

    return api.call(send())


def test_an_evicted_pod_has_its_grace_period_and_a_condition(api: Running) -> None:
    placed = pod("one", nodeName="local", terminationGracePeriodSeconds=17)

    _, (status, done), (_, left) = _send(
        api,
        ("POST", PODS, placed),
        ("POST", f"{PODS}/one/eviction", EVICTION),
        ("GET", f"{PODS}/one", None),
    )

    assert (status, done["status"]) == (201, "Success")
    assert left["metadata"]["deletionGracePeriodSeconds"] == 17
    (condition,) = left["status"]["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == (
        "DisruptionTarget",
        "True",
        "EvictionByEvictionAPI",
    )


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("?dryRun=All", {}),
        ("", {"dryRun": ["All"]}),
        ("", {"preconditions": {"resourceVersion": "1"}}),
    ],
)
def test_a_dry_run_or_failed_precondition_does_not_change_the_pod(
    api: Running, query: str, options: Any
) -> None:
    body = EVICTION | {"deleteOptions": options}

    (_, before), (status, _), (_, after) = _send(
        api,
        ("POST", PODS, pod("one", nodeName="local")),
        ("POST", f"{PODS}/one/eviction{query}", body),
        ("GET", f"{PODS}/one", None),
    )

    assert status == (409 if "preconditions" in options else 201)
    assert after == before


def test_an_eviction_with_the_current_resource_version_succeeds(api: Running) -> None:
    ((_, made),) = _send(api, ("POST", PODS, pod("one")))
    body = EVICTION | {
        "deleteOptions": {"preconditions": {"resourceVersion": made["metadata"]["resourceVersion"]}}
    }

    (status, _), (gone, _) = _send(
        api, ("POST", f"{PODS}/one/eviction", body), ("GET", f"{PODS}/one", None)
    )

    assert (status, gone) == (201, 404)


def test_eviction_requires_its_own_permission(api: Running) -> None:
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
    role = {
        "metadata": {"name": "r"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["*"]}],
    }
    bound = {
        "metadata": {"name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"kind": "User", "name": "eve"}],
    }
    _send(
        api,
        ("POST", PODS, pod("one")),
        ("POST", f"{rbac}/roles", role),
        ("POST", f"{rbac}/rolebindings", bound),
    )

    ((refused, why),) = _send(
        api, ("POST", f"{PODS}/one/eviction", EVICTION), **{"Impersonate-User": "eve"}
    )
    role["rules"][0]["resources"] = ["pods/eviction"]  # type: ignore[index]
    _send(api, ("PUT", f"{rbac}/roles/r", role))
    ((allowed, _),) = _send(
        api, ("POST", f"{PODS}/one/eviction", EVICTION), **{"Impersonate-User": "eve"}
    )

    assert refused == 403
    assert 'cannot create resource "pods/eviction"' in why["message"]
    assert allowed == 201


@pytest.mark.slow
def test_kubectl_drains_a_node(api: Running, kubectl: Kubectl) -> None:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "local"}}
    _send(
        api,
        ("POST", "/api/v1/nodes", node),
        ("POST", PODS, pod("one", nodeName="local", terminationGracePeriodSeconds=0)),
        ("POST", PODS, pod("elsewhere", nodeName="other")),
    )

    done = kubectl("drain", "local", "--force", "--timeout=20s")

    assert (
        "pod/one evicted" in done.stdout or "pod/one deleted" in done.stdout
    )  # the latter before 1.22, which look for the group `policy`
    assert kubectl("get", "pods", "-o", "name").stdout.split() == ["pod/elsewhere"]
    assert kubectl("get", "node", "local", "-o", "jsonpath={.spec.unschedulable}").stdout == "true"
