"""Builds the manifests of the objects that a Workspace becomes: nothing here talks to the cluster.

A workspace owns a ServiceAccount, RoleBindings, a StatefulSet with one pod, a Service, and a Secret
with its token if its kind takes one. `docs/controller.md` has a table of them. Names, labels and
the order of volumes are those of Kubeflow Workspaces, so that its clients find the objects.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

import msgspec

from jupyter_workspaces.kube.types import Object, ObjectView
from jupyter_workspaces.resources import metadata_keys
from jupyter_workspaces.resources.mount_paths import clashes, normal
from jupyter_workspaces.resources.templates import (
    TemplateError,
    base_url,
    connect_path,
    render,
)
from jupyter_workspaces.resources.views import MAIN_CONTAINER, WorkspaceKindView, WorkspaceView

from .options import Option

HOME_VOLUME = "home-volume"
WORKSPACE_HASH = "jupyter-workspaces/workspace-hash"
"""On a pod template: hash of the workspace's `spec.podTemplate` that it was made from."""

# Parts of a kind's pod template that go into pods. The proxy, the probe and the RoleBindings use
# the other parts, which do not require a restart.
_POD_FIELDS = (
    "podMetadata",
    "probes",
    "volumeMounts",
    "extraEnv",
    "extraVolumeMounts",
    "extraVolumes",
    "securityContext",
    "containerSecurityContext",
)
_LONGEST_STATEFUL_SET_NAME = 52  # its pods' label controller-revision-hash adds 11 characters
_LONGEST_SERVICE_NAME = 63
_LONGEST_ACCOUNT_NAME = 253
_GENERATED_SUFFIX = 5
_DEFAULT_SECRET_MODE = 0o644


class GenerateError(Exception):
    """No pod can be made of this kind and these options. The message says why and what to do."""


def service_account(workspace: ObjectView) -> Object:
    """Return the ServiceAccount of the workspace's pod."""
    name = f"ws-{workspace['metadata']['name']}"
    if len(name) > _LONGEST_ACCOUNT_NAME:
        digest = _digest(workspace["metadata"]["name"])[:8]
        name = f"{name[: _LONGEST_ACCOUNT_NAME - len(digest) - 1]}-{digest}"
    return _owned(workspace, "v1", "ServiceAccount", {"name": name})


def role_bindings(workspace: ObjectView, kind: ObjectView) -> list[Object]:
    """Return a RoleBinding for each ClusterRole that the kind grants to its workspaces."""
    name = workspace["metadata"]["name"]
    account = service_account(workspace)["metadata"]
    granted = WorkspaceKindView(kind).pod_template.get("serviceAccount") or {}
    bindings = []
    for role in granted.get("clusterRoles") or ():
        digest = _digest(f"{name}/{role['name']}")[:8]
        group = "rbac.authorization.k8s.io"
        metadata = {"name": f"ws-{name}-{digest}"}
        binding = _owned(workspace, f"{group}/v1", "RoleBinding", metadata)
        binding["roleRef"] = {"apiGroup": group, "kind": "ClusterRole", "name": role["name"]}
        binding["subjects"] = [
            {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
        ]
        bindings.append(binding)
    return bindings


def token_secret(workspace: ObjectView) -> Object:
    """Return a Secret with a new random token for the workspace."""
    metadata = {"generateName": f"ws-{workspace['metadata']['name']}-token-"}
    return _owned(workspace, "v1", "Secret", metadata) | {
        "type": "Opaque",
        "stringData": {metadata_keys.TOKEN_KEY: secrets.token_urlsafe(32)},
    }


def service(workspace: ObjectView, image: Option) -> Object:
    """Return the Service of the workspace, with one TCP port for each port of the image.

    Raises:
        GenerateError: two ports have the same number.
    """
    ports = image.current["spec"]["ports"]
    if len({port["port"] for port in ports}) != len(ports):
        raise GenerateError(
            f"Two ports of the image “{image.current['id']}” have the same number. "
            "Ask your administrator to fix the workspace kind."
        )
    metadata = {"generateName": _name_prefix(workspace, _LONGEST_SERVICE_NAME)}
    made = _owned(workspace, "v1", "Service", metadata)
    made["spec"] = {
        "type": "ClusterIP",
        "selector": selector(workspace),
        "ports": [
            {
                "name": f"http-{port['port']}",
                "port": port["port"],
                "targetPort": port["port"],
                "protocol": "TCP",
            }
            for port in ports
        ],
    }
    return made


def stateful_set(
    workspace: ObjectView,
    kind: ObjectView,
    image: Option,
    size: Option,
    token_secret_name: str | None,
) -> Object:
    """Return the StatefulSet of the workspace. Arguments and exceptions are of `pod_template`."""
    metadata = {"generateName": _name_prefix(workspace, _LONGEST_STATEFUL_SET_NAME)}
    made = _owned(workspace, "apps/v1", "StatefulSet", metadata)
    made["spec"] = {
        # A StatefulSet with ordered pods never replaces a pod that is not ready, so a workspace
        # could not leave a broken image. There is only one pod, so the order has no other effect.
        "podManagementPolicy": "Parallel",
        "replicas": 0 if workspace["spec"]["paused"] else 1,
        "selector": {"matchLabels": selector(workspace)},
        "template": pod_template(workspace, kind, image, size, token_secret_name),
    }
    return made


def pod_template(
    workspace: ObjectView,
    kind: ObjectView,
    image: Option,
    size: Option,
    token_secret_name: str | None,
) -> Object:
    """Return the pod template of the workspace's StatefulSet.

    Args:
        workspace: the Workspace.
        kind: its WorkspaceKind.
        image: its option of the dimension `imageConfig`.
        size: its option of the dimension `podConfig`.
        token_secret_name: Secret with its token; None for a kind without tokens.

    Raises:
        GenerateError: a template of the kind cannot be rendered, or volumes clash.
    """
    kind_template = WorkspaceKindView(kind).pod_template
    labels, annotations = _pod_metadata(workspace, kind, image, size, token_secret_name)
    volumes, mounts = _volumes(workspace, kind_template)
    spec: Object = {
        "serviceAccountName": service_account(workspace)["metadata"]["name"],
        "containers": [_container(workspace, kind, image, size, mounts, token_secret_name)],
        "volumes": volumes,
    }
    for name in ("affinity", "nodeSelector", "tolerations"):
        if size.current["spec"].get(name):
            spec[name] = size.current["spec"][name]
    if kind_template.get("securityContext"):
        spec["securityContext"] = kind_template["securityContext"]
    return {"metadata": {"labels": labels, "annotations": annotations}, "spec": spec}


def kind_hash(kind: ObjectView, image: Option, size: Option) -> str:
    """Return a hash of all parts of a kind that go into pods with these two options."""
    view = WorkspaceKindView(kind)
    parts = [view.pod_template.get(name) or None for name in _POD_FIELDS]
    return _hash([parts, image.current["spec"], size.current["spec"], view.token_variable])


def selector(workspace: ObjectView) -> dict[str, str]:
    """Return the labels that select the workspace's pod."""
    name = workspace["metadata"]["name"]
    return {metadata_keys.WORKSPACE_NAME: name, metadata_keys.STATEFUL_SET: name}


def _container(
    workspace: ObjectView,
    kind: ObjectView,
    image: Option,
    size: Option,
    mounts: list[Object],
    token_secret_name: str | None,
) -> Object:
    """Return the main container."""
    kind_template, image_spec = WorkspaceKindView(kind).pod_template, image.current["spec"]
    container: Object = {
        "name": MAIN_CONTAINER,
        "image": image_spec["image"],
        "imagePullPolicy": image_spec.get("imagePullPolicy", "IfNotPresent"),
        "ports": [
            {"name": f"http-{port['port']}", "containerPort": port["port"], "protocol": "TCP"}
            for port in image_spec["ports"]
        ],
        "env": _environment(workspace, kind, image, token_secret_name),
        "volumeMounts": mounts,
        **_probes(workspace, kind, image),
    }
    if kind_template.get("containerSecurityContext"):
        container["securityContext"] = kind_template["containerSecurityContext"]
    if size.current["spec"].get("resources"):
        container["resources"] = size.current["spec"]["resources"]
    return container


def _rendered(text: str, field: str, workspace: ObjectView, kind: ObjectView, image: Option) -> str:
    """Return a value of the kind with its templates rendered. Raises `GenerateError`."""
    view = WorkspaceView(workspace)
    served = {port["id"] for port in image.current["spec"]["ports"]}

    def prefix(port_id: str) -> str:
        if port_id not in served:
            return ""
        return connect_path(view.namespace, view.name, port_id, base_url(view.metadata))

    try:
        return render(text, prefix)
    except TemplateError as error:
        raise GenerateError(
            f"The kind {kind['metadata']['name']} has an invalid value for {field}: {error}. "
            "Ask your administrator to fix the workspace kind."
        ) from error


def _probes(workspace: ObjectView, kind: ObjectView, image: Option) -> Object:
    """Return the container probes of the kind, with the templates in `httpGet.path` rendered."""
    probes: Object = {}
    for name, probe in (WorkspaceKindView(kind).pod_template.get("probes") or {}).items():
        http_get = (probe or {}).get("httpGet") or {}
        if path := http_get.get("path"):
            rendered = _rendered(path, f"the path of its {name}", workspace, kind, image)
            probes[name] = {**probe, "httpGet": {**http_get, "path": rendered}}
        else:
            probes[name] = probe
    return probes


def _environment(
    workspace: ObjectView, kind: ObjectView, image: Option, token_secret_name: str | None
) -> list[Object]:
    """Return the environment variables of the kind, and the one with the token."""
    view, environment = WorkspaceKindView(kind), []
    for entry in view.pod_template.get("extraEnv") or ():
        variable = dict(entry)
        if value := entry.get("value"):
            variable["value"] = _rendered(value, entry["name"], workspace, kind, image)
        environment.append(variable)
    known = {entry["name"] for entry in environment}
    if token_secret_name is not None and view.token_variable and view.token_variable not in known:
        reference = {"secretKeyRef": {"name": token_secret_name, "key": metadata_keys.TOKEN_KEY}}
        environment.append({"name": view.token_variable, "valueFrom": reference})
    return environment


def _pod_metadata(
    workspace: ObjectView,
    kind: ObjectView,
    image: Option,
    size: Option,
    token_secret_name: str | None,
) -> tuple[dict[str, str], dict[str, str]]:
    """Return labels and annotations: the kind's, then the workspace's, then ours."""
    view = WorkspaceView(workspace)
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    for template in (WorkspaceKindView(kind).pod_template, view.pod_template):
        metadata = template.get("podMetadata") or {}
        labels |= metadata.get("labels") or {}
        annotations |= metadata.get("annotations") or {}
    # Our annotations name the Secret with the token and the port to connect to, so neither the
    # author of a workspace nor that of a kind may set them.
    annotations = {
        name: value
        for name, value in annotations.items()
        if not name.startswith(metadata_keys.OURS)
    }
    annotations[metadata_keys.KIND_TEMPLATE_HASH] = kind_hash(kind, image, size)
    annotations[WORKSPACE_HASH] = _hash(view.pod_template)
    if (base := base_url(view.metadata)) != "/":
        annotations[metadata_keys.BASE_URL] = base
    if token_secret_name is not None:
        annotations[metadata_keys.TOKEN_SECRET] = token_secret_name
    return labels | selector(workspace), annotations


def _volumes(workspace: ObjectView, kind_template: ObjectView) -> tuple[list[Object], list[Object]]:
    """Return volumes and mounts: home, data, Secrets, then those of the kind.

    Volumes and mounts of the kind that clash with earlier ones are left out.

    Raises:
        GenerateError: mounts of the workspace clash. The admission rules refuse such a workspace,
            but it may be older than they are.
    """
    wanted = WorkspaceView(workspace).volumes
    home_only = {"volumeMounts": kind_template["volumeMounts"]}
    if (cause := next(clashes(wanted, home_only, "spec.podTemplate"), None)) is not None:
        raise GenerateError(
            f"Its volumes cannot be mounted together. {cause.field}: {cause.message}. "
            "Change the volumes of the workspace."
        )
    volumes: list[Object] = []
    mounts: list[Object] = []
    if wanted.get("home"):
        volumes.append(_claim_volume(HOME_VOLUME, wanted["home"], {}))
        mounts.append({"name": HOME_VOLUME, "mountPath": kind_template["volumeMounts"]["home"]})
    for index, data in enumerate(wanted.get("data") or ()):
        name = f"data-volume-{index}"
        read_only = {"readOnly": True} if data.get("readOnly") else {}
        volumes.append(_claim_volume(name, data["pvcName"], read_only))
        mounts.append({"name": name, "mountPath": data["mountPath"]} | read_only)
    for index, secret in enumerate(wanted.get("secrets") or ()):
        name, mode = f"secret-volume-{index}", secret.get("defaultMode", _DEFAULT_SECRET_MODE)
        source = {"secretName": secret["secretName"], "defaultMode": mode}
        volumes.append({"name": name, "secret": source})
        mounts.append({"name": name, "mountPath": secret["mountPath"]})
    _add_kind_volumes(volumes, mounts, kind_template)
    return volumes, mounts


def _claim_volume(name: str, claim: str, read_only: Object) -> Object:
    return {"name": name, "persistentVolumeClaim": {"claimName": claim} | read_only}


def _add_kind_volumes(
    volumes: list[Object], mounts: list[Object], kind_template: ObjectView
) -> None:
    """Append the volumes and mounts of the kind that do not clash with those of the workspace."""
    for volume in kind_template.get("extraVolumes") or ():
        if all(volume["name"] != known["name"] for known in volumes):
            volumes.append(dict(volume))
    for mount in kind_template.get("extraVolumeMounts") or ():
        taken = {normal(known["mountPath"]) for known in mounts}
        has_volume = any(mount["name"] == known["name"] for known in volumes)
        if has_volume and normal(mount["mountPath"]) not in taken:
            mounts.append(dict(mount))


def _owned(workspace: ObjectView, api_version: str, kind: str, metadata: Object) -> Object:
    """Return an object without spec that the workspace controls."""
    owner = WorkspaceView(workspace)
    reference = {
        "apiVersion": workspace["apiVersion"],
        "kind": workspace["kind"],
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    metadata |= {
        "namespace": owner.namespace,
        "labels": {metadata_keys.WORKSPACE_NAME: owner.name},
        "ownerReferences": [reference],
    }
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def _name_prefix(workspace: ObjectView, longest: int) -> str:
    """Return `generateName` for a name of at most `longest` characters."""
    name = f"ws-{workspace['metadata']['name']}"
    return name[: longest - _GENERATED_SUFFIX - 1].rstrip("-") + "-"


def _hash(value: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:16]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
