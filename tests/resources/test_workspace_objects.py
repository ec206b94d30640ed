"""Which objects belong to a workspace: any user can write any owner reference and label."""

from __future__ import annotations

from typing import Any

import pytest
from owner_references import FORGED, LABELS, WORKSPACE, owned, pod

from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources import metadata_keys
from jupyter_workspaces.resources.workspace_objects import (
    is_named_pod,
    is_token_secret,
    is_workspace_service,
)


def service(**spec: Any) -> Object:
    selector = LABELS | {metadata_keys.STATEFUL_SET: "lab"}
    return owned(
        "ws-lab-1",
        spec={"type": "ClusterIP", "clusterIP": "10.0.0.1", "selector": selector, "ports": []}
        | spec,
    )


def test_what_a_workspace_controls_is_its_own() -> None:
    assert is_workspace_service(WORKSPACE, service())
    assert is_token_secret(WORKSPACE, owned("token", type="Opaque"))
    assert is_named_pod(WORKSPACE, pod())


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_an_owner_reference_must_be_right_in_every_respect(forge: Any) -> None:
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
def test_a_service_that_may_lead_elsewhere_is_not_taken(spec: Object) -> None:
    assert not is_workspace_service(WORKSPACE, service(**spec))


def test_a_headless_service_is_taken_where_addresses_are_ours() -> None:
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
def test_a_pod_that_no_stateful_set_made_is_not_taken(forge: Any) -> None:
    assert not is_named_pod(WORKSPACE, forge(pod()))


def test_a_pod_that_the_status_does_not_name_is_not_taken() -> None:
    for status in (
        {},
        {"podTemplatePod": {"name": ""}},
        {"podTemplatePod": {"name": "ws-lab-other-0"}},
    ):
        assert not is_named_pod(WORKSPACE | {"status": status}, pod())
