"""Which objects belong to a workspace: any user can write any owner reference and label."""

from __future__ import annotations

from typing import Any

import pytest
from owner_references import FORGED, LABELS, STATEFUL_SET, WORKSPACE, owned, pod

from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources import metadata_keys
from jupyter_workspaces.resources.workspace_objects import (
    current_pod,
    is_named_pod,
    is_token_secret,
    is_workspace_pod,
    is_workspace_service,
)


def stateful_set() -> Object:
    """Return the StatefulSet that controls `pod()`, and that the workspace controls."""
    metadata = owned("ws-lab-abcde")["metadata"]
    return STATEFUL_SET | {"metadata": metadata | STATEFUL_SET["metadata"]}


def service(**spec: Any) -> Object:
    selector = LABELS | {metadata_keys.STATEFUL_SET: "lab"}
    return owned(
        "ws-lab-1",
        spec={"type": "ClusterIP", "clusterIP": "10.0.0.1", "selector": selector, "ports": []}
        | spec,
    )


def test_objects_that_a_workspace_controls_belong_to_it() -> None:
    assert is_workspace_service(WORKSPACE, service())
    assert is_token_secret(WORKSPACE, owned("token", type="Opaque"))
    assert is_named_pod(WORKSPACE, pod())


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_every_field_of_the_owner_reference_is_compared(forge: Any) -> None:
    assert not is_workspace_service(WORKSPACE, forge(service()))
    assert not is_token_secret(WORKSPACE, forge(owned("token", type="Opaque")))


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(
            {"type": "ExternalName", "externalName": "mallory.example.org"}, id="leads to any host"
        ),
        pytest.param({"externalName": "mallory.example.org"}, id="names a host"),
        pytest.param({"externalIPs": ["192.0.2.1"]}, id="takes other addresses"),
        pytest.param({"type": "NodePort"}, id="opens a port on nodes"),
        pytest.param({"type": "LoadBalancer"}, id="opens a port outside"),
        pytest.param({"selector": None}, id="endpoints by hand"),
        pytest.param({"selector": {"app": "mallory"}}, id="other pods"),
        pytest.param(
            {"selector": {metadata_keys.WORKSPACE_NAME: "another"}}, id="pods of another workspace"
        ),
        pytest.param({"clusterIP": "None"}, id="no address of its own"),
    ],
)
def test_a_service_that_may_lead_elsewhere_is_not_used(spec: Object) -> None:
    assert not is_workspace_service(WORKSPACE, service(**spec))


def test_a_headless_service_is_used_on_the_local_cluster() -> None:
    assert is_workspace_service(WORKSPACE, service(clusterIP="None"), headless=True)


def test_a_secret_of_another_kind_or_without_label_holds_no_token() -> None:
    assert not is_token_secret(
        WORKSPACE, owned("token", type="kubernetes.io/service-account-token")
    )
    unlabelled = owned("token", type="Opaque")
    del unlabelled["metadata"]["labels"]
    assert not is_token_secret(WORKSPACE, unlabelled)


@pytest.mark.parametrize(
    "forge",
    [
        *(
            pytest.param(FORGED[name], id=name)
            for name in (
                "another namespace",
                "another kind",
                "another group",
                "no controller",
                "no owner",
            )
        ),
        pytest.param(
            lambda obj: obj | {"metadata": obj["metadata"] | {"name": "mallory"}},
            id="a name that its StatefulSet does not give",
        ),
        pytest.param(
            lambda obj: obj | {"metadata": obj["metadata"] | {"labels": {}}}, id="no label"
        ),
    ],
)
def test_a_pod_without_a_stateful_set_is_not_used(forge: Any) -> None:
    assert not is_named_pod(WORKSPACE, forge(pod()))


def test_a_pod_that_the_status_does_not_name_is_not_used() -> None:
    for status in (
        {},
        {"podTemplatePod": {"name": ""}},
        {"podTemplatePod": {"name": "ws-lab-other-0"}},
    ):
        assert not is_named_pod(WORKSPACE | {"status": status}, pod())


def test_a_pod_belongs_to_the_workspace_through_its_stateful_set() -> None:
    assert is_workspace_pod(WORKSPACE, pod(), [stateful_set()])
    assert not is_workspace_pod(WORKSPACE, pod(), [])


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_neither_pod_nor_stateful_set_may_be_forged(forge: Any) -> None:
    assert not is_workspace_pod(WORKSPACE, forge(pod()), [stateful_set()])
    assert not is_workspace_pod(WORKSPACE, pod(), [forge(stateful_set())])


def test_without_stateful_sets_the_status_decides() -> None:
    assert is_workspace_pod(WORKSPACE, pod(), None)
    unnamed = WORKSPACE | {"status": {"podTemplatePod": {"name": ""}}}
    assert not is_workspace_pod(unnamed, pod(), None)


@pytest.mark.parametrize(
    ("metadata", "chosen"),
    [
        pytest.param([{"deletionTimestamp": "2026-01-02T00:00:00Z"}, {}], 1, id="not deleted"),
        pytest.param(
            [{"name": "named"}, {"name": "other", "time": 2}], 0, id="named by the status"
        ),
        pytest.param([{"name": "a", "time": 1}, {"name": "b", "time": 2}], 1, id="youngest"),
        pytest.param([], None, id="none"),
    ],
)
def test_one_of_several_pods_is_the_current_one(
    metadata: list[dict[str, Any]], chosen: int | None
) -> None:
    pods: list[Object] = [
        {
            "metadata": {
                "name": f"pod-{index}",
                "creationTimestamp": f"2026-01-01T00:00:0{one.pop('time', 0)}Z",
            }
            | one
        }
        for index, one in enumerate(metadata)
    ]
    workspace = {"metadata": {}, "status": {"podTemplatePod": {"name": "named"}}}
    assert current_pod(workspace, pods) is (None if chosen is None else pods[chosen])
