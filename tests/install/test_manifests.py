"""What the package installs is what `kubectl apply -k deploy` installs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import control_plane_binaries
import pytest
import yaml

from jupyter_workspaces._version import __version__
from jupyter_workspaces.install import manifests

Object = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
"""Of the checkout: the package is the installed one, and `kubectl apply -k` is for who has a checkout."""
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
def test_without_choices_all_is_as_kustomize_makes_it() -> None:
    assert sorted(manifests.all_objects(), key=manifests.key) == kustomized(ROOT / "deploy")


@needs_kubectl
def test_with_header_authentication_too(tmp_path: Path) -> None:
    for part in ("deploy", "jupyter_workspaces/resources/crds"):
        shutil.copytree(ROOT / part, tmp_path / part)
    file = tmp_path / "deploy" / "kustomization.yaml"
    file.write_text(file.read_text().replace("# components:\n# - ", "components:\n- "))

    assert sorted(
        manifests.all_objects(header_authentication=True), key=manifests.key
    ) == kustomized(tmp_path / "deploy")


def test_every_object_is_marked_as_ours_with_this_version() -> None:
    for obj in manifests.all_objects(header_authentication=True, samples=True):
        labels = obj["metadata"]["labels"]
        assert (labels[manifests.PART_OF], labels[manifests.VERSION]) == (
            manifests.NAMESPACE,
            __version__,
        ), manifests.key(obj)


def test_an_image_of_ones_own_is_used_for_both_programs() -> None:
    deployments = [
        obj
        for obj in manifests.all_objects(image="registry.example/jw:7")
        if obj["kind"] == "Deployment"
    ]
    assert {one["spec"]["template"]["spec"]["containers"][0]["image"] for one in deployments} == {
        "registry.example/jw:7"
    }
    assert len(deployments) == 2


def test_the_image_of_this_version_is_the_default() -> None:
    deployments = [obj for obj in manifests.all_objects() if obj["kind"] == "Deployment"]
    assert {one["spec"]["template"]["spec"]["containers"][0]["image"] for one in deployments} == {
        f"jupyter-workspaces:{__version__}"
    }


def test_the_webhook_comes_after_all_that_must_be_there_before_it_answers() -> None:
    kinds = [obj["kind"] for obj in manifests.all_objects(samples=True)]
    assert kinds[0] == "Namespace"
    assert kinds.index("ValidatingWebhookConfiguration") > max(
        index for index, kind in enumerate(kinds) if kind == "Deployment"
    )


def test_beside_kubeflows_controller_samples_have_no_templates_in_probes() -> None:
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
