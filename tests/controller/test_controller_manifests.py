"""The objects that a workspace becomes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from sample_objects import KIND, kind, pod_template, workspace

from jupyter_workspaces.controller.workspaces import manifests
from jupyter_workspaces.controller.workspaces.manifests import GenerateError
from jupyter_workspaces.controller.workspaces.options import resolve
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources import bundled, metadata_keys


def test_a_pod_template_combines_kind_and_workspace() -> None:
    made = pod_template()
    container = made["spec"]["containers"][0]
    assert container["name"] == "main"
    assert container["image"] == "docker.io/kubeflownotebookswg/jupyter-scipy:v1.9.0"
    assert container["ports"] == [{"name": "http-8888", "containerPort": 8888, "protocol": "TCP"}]
    assert container["resources"]["requests"] == {"cpu": "100m", "memory": "512Mi"}
    assert {"name": "NB_PREFIX", "value": "/workspace/connect/lab/dora/jupyterlab/"} in container[
        "env"
    ]
    reference = {"secretKeyRef": {"name": "token-of-dora", "key": "token"}}
    assert {"name": "JUPYTER_TOKEN", "valueFrom": reference} in container["env"]
    assert made["metadata"]["annotations"][metadata_keys.TOKEN_SECRET] == "token-of-dora"
    assert made["metadata"]["labels"] == {
        "team": "red",
        metadata_keys.WORKSPACE_NAME: "dora",
        "statefulset": "dora",
    }
    assert made["spec"]["serviceAccountName"] == "ws-dora"


def test_volumes_keep_their_order_without_clashing_ones() -> None:
    extra = [{"name": "scratch", "emptyDir": {}}, {"name": "home-volume", "emptyDir": {}}]
    mounts = [
        {"name": "scratch", "mountPath": "/scratch"},
        {"name": "scratch", "mountPath": "/data/pile"},
        {"name": "lost", "mountPath": "/lost"},
    ]
    made = pod_template(extraVolumes=extra, extraVolumeMounts=mounts)["spec"]
    wanted = ["home-volume", "data-volume-0", "data-volume-1", "secret-volume-0", "scratch"]
    assert [volume["name"] for volume in made["volumes"]] == wanted
    assert made["volumes"][2]["persistentVolumeClaim"] == {"claimName": "book", "readOnly": True}
    assert made["volumes"][3]["secret"] == {"secretName": "login", "defaultMode": 420}
    placed = [
        (mount["mountPath"], mount.get("readOnly", False))
        for mount in made["containers"][0]["volumeMounts"]
    ]
    assert placed == [
        ("/home/jovyan", False),
        ("/data/pile", False),
        ("/data/book", True),
        ("/login", False),
        ("/scratch", False),
    ]


def test_reserved_labels_cannot_be_set() -> None:
    wanted = workspace()
    wanted["spec"]["podTemplate"]["podMetadata"] = {
        "labels": {metadata_keys.WORKSPACE_NAME: "other"},
        "annotations": {metadata_keys.TOKEN_SECRET: "another"},
    }
    made = pod_template(wanted)["metadata"]
    assert made["labels"][metadata_keys.WORKSPACE_NAME] == "dora"
    assert made["annotations"][metadata_keys.TOKEN_SECRET] == "token-of-dora"


def test_our_annotations_cannot_be_set_by_kind_or_workspace() -> None:
    wanted = workspace()
    ours = {
        metadata_keys.TOKEN_SECRET: "any-secret-of-the-namespace",
        f"{metadata_keys.LOCAL_PORT}8888": "22",
    }
    wanted["spec"]["podTemplate"]["podMetadata"] = {
        "annotations": ours | {"example.org/note": "kept"}
    }
    made = pod_template(wanted, token=None)["metadata"]["annotations"]
    assert not ours.keys() & made.keys()
    assert made["example.org/note"] == "kept"


def test_an_invalid_template_in_a_variable_names_the_variable() -> None:
    with pytest.raises(
        GenerateError, match=r"jupyterlab has an invalid value for P.*Ask your administrator"
    ):
        pod_template(extraEnv=[{"name": "P", "value": "{{ nothing }}"}])


def test_the_path_of_a_probe_is_rendered() -> None:
    """JupyterLab serves nothing at `/`."""
    probe = pod_template()["spec"]["containers"][0]["readinessProbe"]
    assert probe["httpGet"] == {"path": "/workspace/connect/lab/dora/jupyterlab/api", "port": 8888}


def test_an_invalid_template_in_a_probe_names_the_probe() -> None:
    probes = {
        "livenessProbe": {"httpGet": {"path": "{{ nothing }}", "port": 1}},
        "startupProbe": {"tcpSocket": {"port": 1}},
    }
    with pytest.raises(GenerateError, match=r"invalid value for the path of its livenessProbe"):
        pod_template(probes=probes)


@pytest.mark.parametrize(
    "kind",
    [kind for kind in bundled.samples() if kind["kind"] == "WorkspaceKind"],
    ids=lambda kind: kind["metadata"]["name"],
)
def test_probes_of_sample_kinds_notice_a_hanging_program_in_half_a_minute(kind: Object) -> None:
    probe = kind["spec"]["podTemplate"]["probes"]["readinessProbe"]
    assert "httpGet" in probe
    assert probe["timeoutSeconds"] >= probe["periodSeconds"]
    assert probe["periodSeconds"] + probe["failureThreshold"] * probe["timeoutSeconds"] <= 30


def test_two_ports_with_one_number_are_refused() -> None:
    given = copy.deepcopy(KIND)
    ports = [{"id": "jupyterlab", "port": 8888}, {"id": "other", "port": 8888}]
    given["spec"]["podTemplate"]["options"]["imageConfig"]["values"][1]["spec"]["ports"] = ports
    with pytest.raises(GenerateError, match="same number"):
        manifests.service(workspace(), resolve(given, workspace())["imageConfig"])


@pytest.mark.parametrize("name", ["d", "d" * 63, "d-" * 30 + "d"])
def test_generated_names_are_not_too_long(name: str) -> None:
    wanted = workspace(name=name)
    options = resolve(KIND, wanted)
    made = manifests.stateful_set(wanted, KIND, options["imageConfig"], options["podConfig"], None)[
        "metadata"
    ]
    assert len(made["generateName"]) + 5 <= 52
    assert (
        len(manifests.service(wanted, options["imageConfig"])["metadata"]["generateName"]) + 5 <= 63
    )
    assert made["ownerReferences"][0]["controller"] is True
    assert len(manifests.service_account(workspace(name="d" * 253))["metadata"]["name"]) == 253


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"extraEnv": []}, True),
        ({"probes": {}}, True),
        ({"podMetadata": {"labels": {"a": "b"}}}, True),
        ({"containerSecurityContext": {"runAsUser": 1000}}, True),
        (
            {
                "ports": [
                    {"id": "jupyterlab", "protocol": "HTTP", "defaultDisplayName": "Another name"}
                ]
            },
            False,
        ),
        ({"activityProbe": None}, False),
        ({"serviceAccount": {"clusterRoles": [{"name": "view"}]}}, False),
    ],
)
def test_the_kind_hash_covers_what_goes_into_pods(change: Object, differs: bool) -> None:
    options = resolve(KIND, workspace())
    before = manifests.kind_hash(KIND, options["imageConfig"], options["podConfig"])
    assert (
        manifests.kind_hash(kind(**change), options["imageConfig"], options["podConfig"]) != before
    ) == differs


def test_programs_get_the_path_below_the_base_url_of_their_server() -> None:
    started = workspace()
    started["metadata"]["annotations"] = {metadata_keys.BASE_URL: "/user/x/"}
    made = pod_template(started)
    container = made["spec"]["containers"][0]
    assert {
        "name": "NB_PREFIX",
        "value": "/user/x/workspace/connect/lab/dora/jupyterlab/",
    } in container["env"]
    assert (
        container["readinessProbe"]["httpGet"]["path"]
        == "/user/x/workspace/connect/lab/dora/jupyterlab/api"
    )
    assert made["metadata"]["annotations"][metadata_keys.BASE_URL] == "/user/x/"
    before = pod_template()["metadata"]["annotations"]
    same = (manifests.WORKSPACE_HASH, metadata_keys.KIND_TEMPLATE_HASH)
    assert [made["metadata"]["annotations"][name] for name in same] == [
        before[name] for name in same
    ]  # a program that runs is not restarted
    assert metadata_keys.BASE_URL not in before


def test_programs_get_the_path_below_the_base_url_of_a_hub_user_with_an_at_sign() -> None:
    started = workspace()
    started["metadata"]["annotations"] = {metadata_keys.BASE_URL: "/user/ana@b.org/"}
    container = pod_template(started)["spec"]["containers"][0]
    path = "/user/ana@b.org/workspace/connect/lab/dora/jupyterlab/"
    assert {"name": "NB_PREFIX", "value": path} in container["env"]


@pytest.mark.parametrize("base", ["/a/../", '/"/', "x", "/a%2f/", 7])
def test_a_base_url_that_is_not_plain_is_ignored(base: Any) -> None:
    started = workspace()
    started["metadata"]["annotations"] = {metadata_keys.BASE_URL: base}
    assert pod_template(started) == pod_template()
