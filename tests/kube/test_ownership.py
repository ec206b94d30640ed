"""What may be taken for a workspace's own: an owner reference can be written by anybody who may create an object."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from jupyter_workspaces.kube.ownership import (
    controls,
    is_named_pod,
    is_pod_of,
    is_token_secret,
    is_workspace_service,
)
from jupyter_workspaces.resources import metadata_keys
from jupyter_workspaces.resources.catalog import WORKSPACES

Object = dict[str, Any]

WORKSPACE: Object = {
    "apiVersion": WORKSPACES.api_version,
    "kind": WORKSPACES.kind,
    "metadata": {"namespace": "team", "name": "lab", "uid": "the-uid"},
    "status": {"podTemplatePod": {"name": "ws-lab-abcde-0"}},
}
STATEFUL_SET: Object = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {"namespace": "team", "name": "ws-lab-abcde", "uid": "of-the-set"},
}
REFERENCE = {
    "apiVersion": WORKSPACES.api_version,
    "kind": WORKSPACES.kind,
    "name": "lab",
    "uid": "the-uid",
    "controller": True,
}
LABELS = {metadata_keys.WORKSPACE_NAME: "lab"}


def owned(name: str, **rest: Any) -> Object:
    return {
        "metadata": {
            "namespace": "team",
            "name": name,
            "labels": dict(LABELS),
            "ownerReferences": [dict(REFERENCE)],
        },
        **rest,
    }


def service(**spec: Any) -> Object:
    selector = LABELS | {metadata_keys.STATEFUL_SET: "lab"}
    return owned(
        "ws-lab-1",
        spec={"type": "ClusterIP", "clusterIP": "10.0.0.1", "selector": selector, "ports": []}
        | spec,
    )


def pod() -> Object:
    found = owned("ws-lab-abcde-0")
    reference = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "name": "ws-lab-abcde",
        "uid": "of-the-set",
        "controller": True,
    }
    found["metadata"]["ownerReferences"] = [reference]
    return found


def changed(obj: Object, **reference: Any) -> Object:
    found = deepcopy(obj)
    found["metadata"]["ownerReferences"][0] |= reference
    return found


FORGED = {
    "another namespace": lambda obj: obj | {"metadata": obj["metadata"] | {"namespace": "mallory"}},
    "another uid": lambda obj: changed(obj, uid="another"),
    "another name": lambda obj: changed(obj, name="another"),
    "another kind": lambda obj: changed(obj, kind="Pod"),
    "another group": lambda obj: changed(obj, apiVersion="mallory.example.org/v1beta1"),
    "no controller": lambda obj: changed(obj, controller=False),
    "a controller that is no boolean": lambda obj: changed(obj, controller="true"),
    "no owner": lambda obj: obj | {"metadata": obj["metadata"] | {"ownerReferences": None}},
}


def test_what_a_workspace_controls_is_its_own() -> None:
    assert controls(WORKSPACE, owned("any"))
    assert is_workspace_service(WORKSPACE, service())
    assert is_token_secret(WORKSPACE, owned("token", type="Opaque"))
    assert is_pod_of(STATEFUL_SET, pod())
    assert is_named_pod(WORKSPACE, pod())


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_an_owner_reference_must_be_right_in_every_respect(forge: Any) -> None:
    assert not controls(WORKSPACE, forge(owned("any")))
    assert not is_workspace_service(WORKSPACE, forge(service()))
    assert not is_token_secret(WORKSPACE, forge(owned("token", type="Opaque")))


def test_an_object_of_a_workspace_without_uid_has_no_owner() -> None:
    nameless = WORKSPACE | {"metadata": {"namespace": "team", "name": "lab"}}
    assert not controls(nameless, changed(owned("any"), uid=None))


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


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_pod_must_name_its_stateful_set_in_every_respect(forge: Any) -> None:
    assert not is_pod_of(STATEFUL_SET, forge(pod()))


def test_only_the_first_pod_of_a_stateful_set_is_the_workspaces() -> None:
    second = pod()
    second["metadata"]["name"] = "ws-lab-abcde-1"
    assert not is_pod_of(STATEFUL_SET, second)
