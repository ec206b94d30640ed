"""Admission of new pods, managed fields of what it sets, and what of a pod may change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_objects import pod

from jupyter_workspaces.kube import catalog
from jupyter_workspaces.kube.catalog import Resource
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.http.options import WriteOptions
from jupyter_workspaces.localkube.apiserver.http.status import Refusal
from jupyter_workspaces.localkube.apiserver.objects.engine import Engine
from jupyter_workspaces.localkube.apiserver.objects.kinds.pod_specs.pod_admission import TOKEN_PATH
from jupyter_workspaces.localkube.apiserver.objects.rows import Row
from jupyter_workspaces.localkube.apiserver.store.store import Store


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    store = Store.open(tmp_path / "cluster.db")
    found = Engine(store)
    made(found, catalog.NAMESPACES, {"metadata": {"name": "default"}})
    yield found
    store.close()


def row(engine: Engine, resource: Resource) -> Row:
    found = engine.registry.of(resource)
    assert found is not None
    return found


def made(
    engine: Engine, resource: Resource, body: Object, options: WriteOptions | None = None
) -> Object:
    namespace = "default" if resource.namespaced else ""
    return engine.create(row(engine, resource), namespace, body, options or WriteOptions()).object


def account(engine: Engine, name: str = "default", **fields: Any) -> Object:
    return made(engine, catalog.SERVICE_ACCOUNTS, {"metadata": {"name": name}, **fields})


def token_mounts(held: Object) -> list[Object]:
    spec = held["spec"]
    containers = [*(spec.get("initContainers") or ()), *spec["containers"]]
    return [
        mount
        for container in containers
        for mount in container.get("volumeMounts") or ()
        if mount["mountPath"] == TOKEN_PATH
    ]


def test_every_container_of_a_pod_sees_its_accounts_token(engine: Engine) -> None:
    account(engine)
    held = made(engine, catalog.PODS, pod("one", initContainers=[{"name": "init", "image": "i"}]))

    (volume,) = held["spec"]["volumes"]
    assert volume["name"].startswith("kube-api-access-")
    assert (
        token_mounts(held)
        == [{"name": volume["name"], "readOnly": True, "mountPath": TOKEN_PATH}] * 2
    )
    assert [next(iter(source)) for source in volume["projected"]["sources"]] == [
        "serviceAccountToken",
        "configMap",
        "downwardAPI",
    ]
    assert held["spec"]["serviceAccountName"] == held["spec"]["serviceAccount"] == "default"


def test_only_the_default_service_account_may_be_missing(
    engine: Engine,
) -> None:
    assert token_mounts(made(engine, catalog.PODS, pod("one")))

    with pytest.raises(Refusal) as refused:
        made(engine, catalog.PODS, pod("two", serviceAccountName="robot"))

    assert refused.value.code == 403
    assert 'serviceaccount "robot" not found' in refused.value.message


@pytest.mark.parametrize(
    ("of_account", "of_pod", "mounted"),
    [
        (None, None, True),
        (False, None, False),
        (None, False, False),
        (False, True, True),
        (True, False, False),
    ],
)
def test_the_pod_decides_whether_its_token_is_mounted_then_its_account(
    engine: Engine, of_account: bool | None, of_pod: bool | None, mounted: bool
) -> None:
    account(engine, **({} if of_account is None else {"automountServiceAccountToken": of_account}))

    held = made(
        engine,
        catalog.PODS,
        pod("one", **({} if of_pod is None else {"automountServiceAccountToken": of_pod})),
    )

    assert bool(token_mounts(held)) is bool(held["spec"].get("volumes")) is mounted


def test_a_mount_at_the_path_of_the_token_is_kept(engine: Engine) -> None:
    mount = {"name": "own", "mountPath": TOKEN_PATH}
    containers = [{"name": "main", "image": "i", "volumeMounts": [mount]}]

    held = made(engine, catalog.PODS, pod("one", containers=containers, volumes=[{"name": "own"}]))

    assert token_mounts(held) == [mount]
    assert held["spec"]["volumes"] == [{"name": "own", "emptyDir": {}}]


def test_image_pull_secrets_default_to_those_of_the_account(
    engine: Engine,
) -> None:
    account(engine, imagePullSecrets=[{"name": "registry"}])

    assert made(engine, catalog.PODS, pod("one"))["spec"]["imagePullSecrets"] == [
        {"name": "registry"}
    ]
    own = [{"name": "own"}]
    assert (
        made(engine, catalog.PODS, pod("two", imagePullSecrets=own))["spec"]["imagePullSecrets"]
        == own
    )


def test_a_pod_tolerates_a_node_that_is_not_ready_for_five_minutes(engine: Engine) -> None:
    unreachable = {
        "key": "node.kubernetes.io/unreachable",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 5,
    }

    held = made(engine, catalog.PODS, pod("one", tolerations=[unreachable]))["spec"]["tolerations"]

    assert held[0] == unreachable
    assert [(one["key"], one["tolerationSeconds"]) for one in held[1:]] == [
        ("node.kubernetes.io/not-ready", 300)
    ]
    everything = [{"operator": "Exists"}]
    assert (
        made(engine, catalog.PODS, pod("two", tolerations=everything))["spec"]["tolerations"]
        == everything
    )


def test_priorities_come_from_classes(engine: Engine) -> None:
    assert made(engine, catalog.PODS, pod("one"))["spec"]["priority"] == 0
    first = made(engine, catalog.PODS, pod("two", priorityClassName="system-node-critical"))
    assert first["spec"]["priority"] == 2_000_001_000


def test_fields_set_by_the_server_have_no_manager(engine: Engine) -> None:
    held = made(engine, catalog.PODS, pod("one"), WriteOptions(manager="me"))

    (entry,) = held["metadata"]["managedFields"]
    managed = entry["fieldsV1"]["f:spec"]
    assert "f:restartPolicy" in managed, "a default is its writer's"
    assert not {"f:tolerations", "f:priority", "f:serviceAccountName", "f:volumes"} & managed.keys()


def test_a_pod_that_was_stored_before_these_rules_can_be_changed(engine: Engine) -> None:
    """An earlier version stored it without admission, with a name that is invalid now."""
    plain = {"name": "main", "image": "lab", "ports": [{"containerPort": 80, "name": "Not_A_Name"}]}
    old = made(engine, catalog.PODS, pod("old"))
    old["spec"] = {"containers": [plain]}
    engine.store.put("pods", old)
    pods = row(engine, catalog.PODS)

    running = engine.patch(
        pods, "default", "old", lambda held: held | {"status": {"phase": "Running"}}, "status"
    ).object
    assert running["status"]["phase"] == "Running"

    def renamed(held: Object) -> Object:
        held["spec"]["containers"][0]["name"] = "Not_A_Name_Either"
        return held

    with pytest.raises(Refusal) as refused:
        engine.patch(pods, "default", "old", renamed)
    assert {cause.field for cause in refused.value.causes} == {"spec", "spec.containers[0].name"}


@pytest.mark.parametrize(
    ("amounts", "quality"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
        ({"limits": {"example.org/gpu": "1"}}, "BestEffort"),
    ],
)
def test_the_qos_class_depends_on_the_resources(
    engine: Engine, amounts: Object, quality: str
) -> None:
    held = made(
        engine,
        catalog.PODS,
        pod("one", containers=[{"name": "main", "image": "i", "resources": amounts}]),
    )

    assert held["status"]["qosClass"] == quality


def test_references_probes_and_volumes_are_completed(engine: Engine) -> None:
    container = {
        "name": "main",
        "image": "i",
        "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "lifecycle": {"preStop": {"httpGet": {"port": 80}}},
        "livenessProbe": {"grpc": {"port": 80}},
        "ports": [{"containerPort": 80}],
    }
    volumes: list[Object] = [
        {"name": "host", "hostPath": {"path": "/x"}},
        {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
        {
            "name": "labels",
            "downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]},
        },
    ]

    spec = made(
        engine, catalog.PODS, pod("one", containers=[container], volumes=volumes, hostNetwork=True)
    )["spec"]

    main = spec["containers"][0]
    assert main["env"][0]["valueFrom"]["fieldRef"]["apiVersion"] == "v1"
    assert main["lifecycle"]["preStop"]["httpGet"] == {"path": "/", "port": 80, "scheme": "HTTP"}
    assert main["livenessProbe"]["grpc"] == {"port": 80, "service": ""}
    assert main["ports"] == [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]
    host, token, labels, _ = spec["volumes"]
    assert host["hostPath"]["type"] == ""
    assert token["projected"] == {
        "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}],
        "defaultMode": 0o644,
    }
    assert labels["downwardAPI"]["defaultMode"] == 0o644
