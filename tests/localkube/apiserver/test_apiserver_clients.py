"""The official Python client (typed, custom objects, watch, dynamic) and kubectl."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from api_objects import pod, widget
from conftest import Kubectl, Running

GROUP = ("example.org", "v1", "default", "widgets")


@pytest.fixture
def client(api: Running) -> Iterator[Any]:
    """The official client, configured by a kubeconfig as users do it."""
    kubernetes = pytest.importorskip(
        "kubernetes", reason="the official kubernetes client is not installed"
    )
    configuration = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(
        config_file=str(api.kubeconfig), client_configuration=configuration
    )
    with kubernetes.client.ApiClient(configuration) as found:
        yield found


def test_typed_objects(client: Any) -> None:
    from kubernetes import client as k8s

    core = k8s.CoreV1Api(client)
    core.create_namespaced_config_map(
        "default",
        k8s.V1ConfigMap(metadata=k8s.V1ObjectMeta(name="a", labels={"x": "y"}), data={"k": "v"}),
    )
    core.create_namespaced_secret(
        "default", k8s.V1Secret(metadata=k8s.V1ObjectMeta(name="a"), string_data={"k": "v"})
    )
    core.create_namespaced_pod("default", pod("a"))
    core.create_namespaced_persistent_volume_claim(
        "default",
        {
            "metadata": {"name": "home"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        },
    )
    core.create_namespaced_service(
        "default",
        {"metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}], "selector": {"x": "y"}}},
    )
    core.create_node({"metadata": {"name": "local"}, "status": {"capacity": {"cpu": "2"}}})

    assert core.read_namespaced_config_map("a", "default").data == {"k": "v"}
    assert core.read_namespaced_secret("a", "default").data == {"k": "dg=="}
    assert core.read_namespaced_pod("a", "default").status.phase == "Pending"
    assert [
        claim.metadata.name
        for claim in core.list_persistent_volume_claim_for_all_namespaces().items
    ] == ["home"]
    assert core.read_namespaced_service("a", "default").spec.ports[0].target_port == 80
    assert core.list_node().items[0].status.capacity == {"cpu": "2"}
    assert {found.metadata.name for found in core.list_namespace().items} == {"default", "other"}
    assert (
        core.list_namespaced_config_map("default", label_selector="x=y").items[0].metadata.name
        == "a"
    )

    changed = core.patch_namespaced_config_map("a", "default", {"data": {"k": "w"}})
    assert changed.data == {"k": "w"}
    core.delete_namespaced_config_map("a", "default")
    with pytest.raises(k8s.ApiException) as refused:
        core.read_namespaced_config_map("a", "default")
    assert refused.value.status == 404
    assert json.loads(refused.value.body)["reason"] == "NotFound"


def test_typed_stateful_sets_events_and_roles(client: Any) -> None:
    from kubernetes import client as k8s

    template = {
        "metadata": {"labels": {"app": "a"}},
        "spec": {"containers": [{"name": "main", "image": "lab"}]},
    }
    body = {
        "metadata": {"name": "a"},
        "spec": {
            "selector": {"matchLabels": {"app": "a"}},
            "serviceName": "a",
            "template": template,
        },
    }
    apps = k8s.AppsV1Api(client)
    assert apps.create_namespaced_stateful_set("default", body).spec.replicas == 1
    status = apps.patch_namespaced_stateful_set_status(
        "a", "default", {"status": {"readyReplicas": 1, "replicas": 1}}
    )
    assert status.status.ready_replicas == 1

    core = k8s.CoreV1Api(client)
    event = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "name": "a", "namespace": "default"},
        "reason": "R",
        "type": "Normal",
    }
    core.create_namespaced_event("default", event)
    assert (
        core.list_event_for_all_namespaces(field_selector="involvedObject.name=a").items[0].reason
        == "R"
    )

    rbac = k8s.RbacAuthorizationV1Api(client)
    rbac.create_cluster_role(
        {
            "metadata": {"name": "system:x"},
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
        }
    )
    assert rbac.read_cluster_role("system:x").rules[0].verbs == ["get"]

    lease = {
        "metadata": {"name": "l"},
        "spec": {"holderIdentity": "me", "leaseDurationSeconds": 15},
    }
    assert (
        k8s.CoordinationV1Api(client).create_namespaced_lease("default", lease).spec.holder_identity
        == "me"
    )
    storage = k8s.StorageV1Api(client)
    assert (
        storage.create_storage_class({"metadata": {"name": "s"}, "provisioner": "x"}).reclaim_policy
        == "Delete"
    )


def test_version_and_discovery_can_be_read(client: Any) -> None:
    from kubernetes import client as k8s

    assert k8s.VersionApi(client).get_code().git_version.startswith("v1.")
    assert k8s.CoreApi(client).get_api_versions().versions == ["v1"]
    assert "example.org" in {group.name for group in k8s.ApisApi(client).get_api_versions().groups}
    names = {resource.name for resource in k8s.CoreV1Api(client).get_api_resources().resources}
    assert {"pods", "pods/log", "pods/status", "namespaces/finalize"} <= names
    review = k8s.AuthorizationV1Api(client).create_self_subject_access_review(
        {
            "spec": {
                "resourceAttributes": {"verb": "create", "resource": "pods", "namespace": "default"}
            }
        }
    )
    assert review.status.allowed
    assert (
        k8s.AuthenticationV1Api(client).create_self_subject_review({}).status.user_info.username
        == "local-admin"
    )
    definition = k8s.ApiextensionsV1Api(client).read_custom_resource_definition(
        "widgets.example.org"
    )
    assert definition.status.accepted_names.kind == "Widget"


def test_custom_objects(client: Any) -> None:
    from kubernetes import client as k8s

    custom = k8s.CustomObjectsApi(client)
    created = custom.create_namespaced_custom_object(*GROUP, widget("a"))
    custom.patch_namespaced_custom_object(*GROUP, "a", {"spec": {"size": 5}})
    custom.patch_namespaced_custom_object_status(*GROUP, "a", {"status": {"state": "Running"}})
    found = custom.get_namespaced_custom_object(*GROUP, "a")
    assert (found["spec"]["size"], found["status"]["state"]) == (5, "Running")
    with pytest.raises(k8s.ApiException) as refused:
        custom.replace_namespaced_custom_object(*GROUP, "a", created)
    assert refused.value.status == 409
    with pytest.raises(k8s.ApiException) as refused:
        custom.create_namespaced_custom_object(*GROUP, widget("b", size=0))
    assert refused.value.status == 422
    assert (
        custom.list_cluster_custom_object("example.org", "v1", "widgets", limit=1)["items"][0][
            "metadata"
        ]["name"]
        == "a"
    )
    custom.delete_collection_namespaced_custom_object(*GROUP)
    assert custom.list_namespaced_custom_object(*GROUP)["items"] == []


def test_the_official_watch(client: Any) -> None:
    from kubernetes import client as k8s
    from kubernetes import watch

    custom = k8s.CustomObjectsApi(client)
    version = custom.list_namespaced_custom_object(*GROUP)["metadata"]["resourceVersion"]
    writer = threading.Thread(
        target=lambda: [
            custom.create_namespaced_custom_object(*GROUP, widget(name)) for name in "ab"
        ]
    )
    writer.start()
    received = []
    for event in watch.Watch().stream(
        custom.list_namespaced_custom_object, *GROUP, resource_version=version, timeout_seconds=10
    ):
        received.append((event["type"], event["object"]["metadata"]["name"]))
        if len(received) == 2:
            break
    writer.join(10)

    assert received == [("ADDED", "a"), ("ADDED", "b")]


def test_the_dynamic_client(client: Any, tmp_path: Path) -> None:
    from kubernetes import dynamic

    found = dynamic.DynamicClient(client, cache_file=str(tmp_path / "discovery")).resources.get(
        api_version="example.org/v1", kind="Widget"
    )
    found.create(body=widget("a"), namespace="default")
    assert found.get(name="a", namespace="default").spec.size == 3
    assert [item.metadata.name for item in found.get(namespace="default").items] == ["a"]


# kubectl


def manifests() -> str:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "home"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s"},
        "spec": {"selector": {"a": "b"}, "ports": [{"name": "web", "port": 80}]},
    }
    return yaml.safe_dump_all([widget("a"), pod("p"), claim, service])


def test_kubectl_applies_twice_and_then_changes(kubectl: Kubectl) -> None:
    assert kubectl("apply", "-f", "-", stdin=manifests()).stdout.count("created") == 4
    assert kubectl("apply", "-f", "-", stdin=manifests()).stdout.count("unchanged") == 4

    changed = kubectl(
        "apply",
        "-f",
        "-",
        stdin=manifests().replace("size: 3", "size: 4").replace("port: 80", "port: 81"),
    ).stdout
    assert changed.count("configured") == 2
    service = json.loads(kubectl("get", "service", "s", "-o", "json").stdout)
    assert [port["port"] for port in service["spec"]["ports"]] == [81]
    assert json.loads(kubectl("get", "wd", "a", "-o", "json").stdout)["spec"]["size"] == 4


def test_kubectl_shows_tables(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=manifests())

    lines = kubectl("get", "widgets").stdout.splitlines()
    assert lines[0].split() == ["NAME", "SIZE", "READY", "AGE"]
    assert lines[1].split()[:2] == ["a", "3"]
    assert kubectl("get", "pods", "-A").stdout.splitlines()[0].split() == [
        "NAMESPACE",
        "NAME",
        "READY",
        "STATUS",
        "RESTARTS",
        "AGE",
    ]
    for kind in (
        "pvc",
        "svc",
        "ns",
        "crd",
        "all",
        "sa,cm,secrets",
        "nodes",
        "events",
        "sts",
        "sc",
        "pv",
        "roles,rolebindings,clusterroles,leases",
    ):
        kubectl("get", kind)
    assert "NAME" in kubectl("get", "all").stdout


def test_kubectl_describes(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=manifests())

    for name in (
        "widget/a",
        "pod/p",
        "pvc/home",
        "service/s",
        "namespace/default",
        "crd/widgets.example.org",
    ):
        assert "Name:" in kubectl("describe", name).stdout


def test_kubectl_changes_and_deletes(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=manifests())

    kubectl("label", "widget", "a", "x=z")
    kubectl("annotate", "pod", "p", "note=z")
    kubectl("patch", "widget", "a", "--type=merge", "-p", '{"spec":{"size":8}}')
    kubectl(
        "patch",
        "widget",
        "a",
        "--type=json",
        "-p",
        '[{"op":"replace","path":"/spec/color","value":"green"}]',
    )
    found = json.loads(kubectl("get", "widget", "-l", "x=z", "-o", "json").stdout)["items"][0]
    assert (found["spec"]["size"], found["spec"]["color"]) == (8, "green")
    refused = kubectl(
        "patch", "widget", "a", "--type=merge", "-p", '{"spec":{"size":0}}', check=False
    )
    assert refused.returncode == 1
    assert "spec.size" in refused.stderr
    kubectl("replace", "-f", "-", stdin=yaml.safe_dump(found))
    kubectl("wait", "--for=condition=Established", "crd/widgets.example.org", "--timeout=10s")
    assert kubectl("auth", "can-i", "create", "pods").stdout.strip() == "yes"
    kubectl("delete", "widget", "a", "--timeout=10s")
    kubectl("delete", "pod", "p", "service/s", check=False)
    kubectl("delete", "pod/p", "service/s", "--ignore-not-found", "--timeout=10s")
    assert "No resources found" in kubectl("get", "widgets").stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("namespace", "made"),
        ("configmap", "made", "--from-literal=a=b"),
        ("secret", "generic", "made", "--from-literal=a=b"),
        ("serviceaccount", "made"),
        ("service", "clusterip", "made", "--tcp=80:8080"),
        ("role", "made", "--verb=get", "--resource=pods"),
        ("clusterrolebinding", "made", "--clusterrole=x", "--user=y"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_kubectl_creates_by_name(kubectl: Kubectl, arguments: tuple[str, ...]) -> None:
    kubectl("create", *arguments)

    found = json.loads(kubectl("get", arguments[0], "made", "-o", "json").stdout)
    assert found["metadata"]["uid"]
    if arguments[0] in ("configmap", "secret"):
        assert found["data"] == {"a": "b" if arguments[0] == "configmap" else "Yg=="}
    if arguments[0] == "service":
        assert found["spec"]["ports"][0]["targetPort"] == 8080


def test_kubectl_without_a_token_is_unauthorized(kubectl: Kubectl) -> None:
    refused = kubectl("get", "pods", "--token=wrong", check=False)

    assert refused.returncode == 1
    assert "Unauthorized" in refused.stderr or "logged in" in refused.stderr
