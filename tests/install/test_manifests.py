"""The package installs the same objects as `kubectl apply -k deploy`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import control_plane_binaries
import pytest
import yaml

from jupyter_workspaces._version import __version__
from jupyter_workspaces.install import manifests
from jupyter_workspaces.kube.types import Object

ROOT = Path(__file__).resolve().parents[2]
"""Root of the checkout, whose `deploy/` is compared with that of the installed package."""
KUBECTL = control_plane_binaries.find().get("kubectl")
needs_kubectl = pytest.mark.skipif(
    KUBECTL is None, reason=f"needs kubectl: {control_plane_binaries.missing()}"
)


def kustomized(folder: Path) -> list[Object]:
    text = subprocess.run(
        [str(KUBECTL), "kustomize", str(folder)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    return sorted(
        (document for document in yaml.safe_load_all(text) if document), key=manifests.key
    )


@needs_kubectl
def test_the_default_objects_are_those_of_kustomize() -> None:
    assert sorted(manifests.all_objects(), key=manifests.key) == kustomized(ROOT / "deploy")


@needs_kubectl
def test_the_objects_with_header_authentication_are_those_of_kustomize(tmp_path: Path) -> None:
    for part in ("deploy", "jupyter_workspaces/resources/crds"):
        shutil.copytree(ROOT / part, tmp_path / part)
    file = tmp_path / "deploy" / "kustomization.yaml"
    file.write_text(file.read_text().replace("# components:\n# - ", "components:\n- "))

    assert sorted(
        manifests.all_objects(header_authentication=True), key=manifests.key
    ) == kustomized(tmp_path / "deploy")


def test_every_object_has_labels_of_this_package_and_version() -> None:
    for obj in manifests.all_objects(header_authentication=True, samples=True):
        labels = obj["metadata"]["labels"]
        assert (labels[manifests.PART_OF], labels[manifests.VERSION]) == (
            manifests.NAMESPACE,
            __version__,
        ), manifests.key(obj)


def test_another_image_is_used_for_both_deployments() -> None:
    deployments = [
        obj
        for obj in manifests.all_objects(image="registry.example/jw:7")
        if obj["kind"] == "Deployment"
    ]
    assert {one["spec"]["template"]["spec"]["containers"][0]["image"] for one in deployments} == {
        "registry.example/jw:7"
    }
    assert len(deployments) == 2


def test_the_default_image_has_this_version() -> None:
    deployments = [obj for obj in manifests.all_objects() if obj["kind"] == "Deployment"]
    assert {one["spec"]["template"]["spec"]["containers"][0]["image"] for one in deployments} == {
        f"jupyter-workspaces:{__version__}"
    }


def test_the_webhook_comes_after_the_deployments() -> None:
    kinds = [obj["kind"] for obj in manifests.all_objects(samples=True)]
    assert kinds[0] == "Namespace"
    assert kinds.index("ValidatingWebhookConfiguration") > max(
        index for index, kind in enumerate(kinds) if kind == "Deployment"
    )


def test_for_kubeflows_controller_samples_have_tcp_probes() -> None:
    kinds = [obj for obj in manifests.all_objects(samples=True) if obj["kind"] == "WorkspaceKind"]
    lab = next(kind for kind in kinds if kind["metadata"]["name"] == "jupyterlab")
    plain = [manifests.without_probe_templates(kind) for kind in kinds]
    assert (
        "{{" in lab["spec"]["podTemplate"]["probes"]["readinessProbe"]["httpGet"]["path"]
    )  # ours fills it
    found = next(kind for kind in plain if kind["metadata"]["name"] == "jupyterlab")["spec"][
        "podTemplate"
    ]["probes"]["readinessProbe"]
    assert found["tcpSocket"] == {"port": 8888}
    assert "httpGet" not in found
    assert all("{{" not in str(kind["spec"]["podTemplate"]["probes"]) for kind in plain)
