"""Loads the manifests of `deploy/`, as `kubectl kustomize` does.

Supports the part of kustomize (https://kubectl.docs.kubernetes.io/references/kustomize/) that
`deploy/` uses: resources, components, labels, images and JSON patches. Anything else is an error.
Hand-written, because there is no kustomize for Python and users need not have the program.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from jupyter_workspaces.common.documents import json_patch, yaml_text
from jupyter_workspaces.kube.catalog import Resource
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources import bundled, component_names
from jupyter_workspaces.resources.catalog import BY_KIND

NAMESPACE = component_names.NAMESPACE
PART_OF = "app.kubernetes.io/part-of"
VERSION = "app.kubernetes.io/version"
HEADER_AUTHENTICATION = "components/header-authentication"

_SUPPORTED = {"apiVersion", "kind", "resources", "components", "labels", "images", "patches"}

# An object comes after those that it needs. The webhook comes after the controller that serves it,
# because the API server refuses writes while it does not answer.
_ORDER = (
    "Namespace",
    "CustomResourceDefinition",
    "ServiceAccount",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Service",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "Deployment",
    "ValidatingWebhookConfiguration",
    "WorkspaceKind",
)


def folder() -> Path:
    """Return `deploy/` of the installed package or of the source tree.

    Raises:
        FileNotFoundError: the installation has no manifests.
    """
    here = Path(__file__).resolve().parent
    for found in (here / "deploy", here.parents[1] / "deploy"):
        if (found / "kustomization.yaml").exists():
            return found
    raise FileNotFoundError(
        "this installation of jupyter-workspaces has no manifests (deploy/); install its wheel"
    )


def all_objects(
    *, header_authentication: bool = False, image: str | None = None, samples: bool = False
) -> list[Object]:
    """Return all objects of an installation, in the order in which they are to be applied.

    Args:
        header_authentication: whether to add the component for header authentication.
        image: image of controller and server, with its tag; None for the default one.
        samples: whether to add the sample kinds.
    """
    top = folder()
    components = [top / HEADER_AUTHENTICATION] if header_authentication else []
    found = list(_build(top, components))
    for obj in found:
        if image is not None and obj["kind"] == "Deployment":
            for container in obj["spec"]["template"]["spec"]["containers"]:
                container["image"] = image
    if samples:
        labels = _kustomization(top)["labels"][0]["pairs"]
        found += [_labelled(sample, labels) for sample in bundled.samples()]
    return sorted(found, key=lambda obj: (_ORDER.index(obj["kind"]), key(obj)))


def without_probe_templates(obj: Object) -> Object:
    """Return a kind whose probes work with Kubeflow's own controller.

    That controller does not render templates in the path of a probe, so such a probe becomes a TCP
    probe. Other objects are returned unchanged.
    """
    probes = (
        ((obj.get("spec") or {}).get("podTemplate") or {}).get("probes")
        if obj["kind"] == "WorkspaceKind"
        else None
    )
    if not probes:
        return obj
    template = obj["spec"]["podTemplate"] | {
        "probes": {name: _without_template(probe) for name, probe in probes.items()}
    }
    return obj | {"spec": obj["spec"] | {"podTemplate": template}}


def _without_template(probe: Object) -> Object:
    http_get = probe.get("httpGet") or {}
    if "{{" not in http_get.get("path", ""):
        return probe
    return {key: value for key, value in probe.items() if key != "httpGet"} | {
        "tcpSocket": {"port": http_get["port"]}
    }


def resource(obj: Object) -> Resource:
    """Return the resource type of a manifest."""
    return BY_KIND[obj["apiVersion"], obj["kind"]]


def key(obj: Object) -> tuple[str, str, str]:
    """Return kind, namespace (or an empty string) and name of an object."""
    return obj["kind"], obj["metadata"].get("namespace") or "", obj["metadata"]["name"]


def _build(directory: Path, components: Iterable[Path] = ()) -> Iterator[Object]:
    """Yield the objects of a kustomization. Raises `ValueError` for an unsupported field."""
    content = _kustomization(directory)
    if unknown := set(content) - _SUPPORTED:
        raise ValueError(f"{directory}: {', '.join(sorted(unknown))} is not supported")
    found: list[Object] = []
    for entry in content.get("resources") or ():
        found += _entry(directory / entry)
    for component in (
        *(directory / entry for entry in content.get("components") or ()),
        *components,
    ):
        inner = _kustomization(component)
        for entry in inner.get("resources") or ():
            found += _entry(component / entry)
        for patch in inner.get("patches") or ():
            found = [_patched(obj, patch) for obj in found]
    for labels in content.get("labels") or ():
        found = [_labelled(obj, labels["pairs"]) for obj in found]
    for image in content.get("images") or ():
        _rename_image(found, image)
    yield from found


def _entry(path: Path) -> list[Object]:
    if path.name == "crds":
        return bundled.crds()  # in the wheel, they are not in deploy/
    return list(_build(path)) if path.is_dir() else _documents(path)


def _kustomization(directory: Path) -> Object:
    return dict(_documents(directory / "kustomization.yaml")[0])


def _documents(path: Path) -> list[Object]:
    return [document for document in yaml_text.load_all(path.read_bytes()) if document]


def _patched(obj: Object, patch: Object) -> Object:
    target = patch["target"]
    if (obj["kind"], obj["metadata"]["name"]) != (target["kind"], target["name"]):
        return obj
    changed: Object = json_patch.apply(obj, yaml_text.load(patch["patch"]))
    return changed


def _labelled(obj: Object, pairs: dict[str, str]) -> Object:
    metadata = obj["metadata"]
    return {**obj, "metadata": {**metadata, "labels": {**(metadata.get("labels") or {}), **pairs}}}


def _rename_image(objects: Iterable[Object], image: Object) -> None:
    for obj in objects:
        if obj["kind"] == "Deployment":
            for container in obj["spec"]["template"]["spec"]["containers"]:
                if container["image"] == image["name"]:
                    container["image"] = f"{image['newName']}:{image['newTag']}"
