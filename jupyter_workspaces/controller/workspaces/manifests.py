"""What a Workspace becomes in the cluster (contracts/kubeflow-workspaces.md §4.3, §4.4). Pure."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any

import msgspec

from jupyter_workspaces.resources import metadata_keys
from jupyter_workspaces.resources.mount_paths import clashes, normal
from jupyter_workspaces.resources.templates import (
    TemplateError,
    base_url,
    connect_path,
    render,
)

from .options import Option

Object = dict[str, Any]

CONTAINER = "main"
HOME_VOLUME = "home-volume"
WORKSPACE_HASH = "jupyter-workspaces/workspace-hash"
"""On a pod template: which version of the workspace's own wishes it was made from."""

# What of a kind's pod template goes into pods, and can change while workspaces run. The rest is for the proxy, the probe and rights.
_SHAPING = (
    "podMetadata",
    "probes",
    "volumeMounts",
    "extraEnv",
    "extraVolumeMounts",
    "extraVolumes",
    "securityContext",
    "containerSecurityContext",
)
_STATEFUL_SET_NAME = 52
_SERVICE_NAME = 63
_SUFFIX = 5


class GenerateError(Exception):
    """No pod can be made of this kind and these options; the text says why and who can mend it."""


def service_account(workspace: Mapping[str, Any]) -> Object:
    name = workspace["metadata"]["name"]
    full = f"ws-{name}"
    if len(full) > 253:
        full = f"{full[:244]}-{_digest(name)[:8]}"
    return _owned(workspace, "v1", "ServiceAccount", {"name": full})


def role_bindings(workspace: Mapping[str, Any], kind: Mapping[str, Any]) -> list[Object]:
    """One for each ClusterRole that the kind grants to its workspaces."""
    name = workspace["metadata"]["name"]
    account = service_account(workspace)["metadata"]
    bindings = []
    for role in (kind["spec"]["podTemplate"].get("serviceAccount") or {}).get("clusterRoles") or ():
        digest = _digest(f"{name}/{role['name']}")[:8]
        binding = _owned(
            workspace,
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            {"name": f"ws-{name}-{digest}"},
        )
        binding["roleRef"] = {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": role["name"],
        }
        binding["subjects"] = [
            {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
        ]
        bindings.append(binding)
    return bindings


def token_secret(workspace: Mapping[str, Any]) -> Object:
    """A new random token that opens this workspace and no other."""
    secret = _owned(
        workspace, "v1", "Secret", {"generateName": f"ws-{workspace['metadata']['name']}-token-"}
    )
    return secret | {
        "type": "Opaque",
        "stringData": {metadata_keys.TOKEN_KEY: secrets.token_urlsafe(32)},
    }


def service(workspace: Mapping[str, Any], image: Option) -> Object:
    """One TCP port for each port of the image. Raises `GenerateError` when two have the same number."""
    ports = image.current["spec"]["ports"]
    if len({port["port"] for port in ports}) != len(ports):
        raise GenerateError(
            f"Two ports of the image “{image.current['id']}” have the same number. Ask who manages the kind to mend it."
        )
    found = _owned(workspace, "v1", "Service", {"generateName": _prefix(workspace, _SERVICE_NAME)})
    found["spec"] = {
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
    return found


def stateful_set(
    workspace: Mapping[str, Any],
    kind: Mapping[str, Any],
    image: Option,
    size: Option,
    token_secret_name: str | None,
) -> Object:
    """Raises `GenerateError` for a kind whose values cannot be rendered."""
    found = _owned(
        workspace,
        "apps/v1",
        "StatefulSet",
        {"generateName": _prefix(workspace, _STATEFUL_SET_NAME)},
    )
    found["spec"] = {
        # With one pod nothing is in parallel; but an ordered set waits for a pod of an older template that never gets ready, forever.
        "podManagementPolicy": "Parallel",
        "replicas": 0 if workspace["spec"]["paused"] else 1,
        "selector": {"matchLabels": selector(workspace)},
        "template": pod_template(workspace, kind, image, size, token_secret_name),
    }
    return found


def pod_template(
    workspace: Mapping[str, Any],
    kind: Mapping[str, Any],
    image: Option,
    size: Option,
    token_secret_name: str | None,
) -> Object:
    template, wishes = kind["spec"]["podTemplate"], workspace["spec"]["podTemplate"]
    labels, annotations = _pod_metadata(template, wishes)
    annotations |= {
        metadata_keys.KIND_TEMPLATE_HASH: kind_hash(kind, image, size),
        WORKSPACE_HASH: _hash(wishes),
    }
    if (base := base_url(workspace["metadata"])) != "/":
        annotations[metadata_keys.BASE_URL] = base
    if token_secret_name is not None:
        annotations[metadata_keys.TOKEN_SECRET] = token_secret_name
    volumes, mounts = _volumes(workspace, template)
    image_spec, size_spec = image.current["spec"], size.current["spec"]
    container: Object = {
        "name": CONTAINER,
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
    if template.get("containerSecurityContext"):
        container["securityContext"] = template["containerSecurityContext"]
    if size_spec.get("resources"):
        container["resources"] = size_spec["resources"]
    spec: Object = {
        "serviceAccountName": service_account(workspace)["metadata"]["name"],
        "containers": [container],
        "volumes": volumes,
    }
    spec |= {
        name: size_spec[name]
        for name in ("affinity", "nodeSelector", "tolerations")
        if size_spec.get(name)
    }
    if template.get("securityContext"):
        spec["securityContext"] = template["securityContext"]
    return {
        "metadata": {"labels": labels | selector(workspace), "annotations": annotations},
        "spec": spec,
    }


def kind_hash(kind: Mapping[str, Any], image: Option, size: Option) -> str:
    """Of everything in a kind that shapes the pods of these two options."""
    template = kind["spec"]["podTemplate"]
    shaping = [template.get(name) or None for name in _SHAPING]
    token = (kind["metadata"].get("annotations") or {}).get(metadata_keys.TOKEN_ENV)
    return _hash([shaping, image.current["spec"], size.current["spec"], token])


def selector(workspace: Mapping[str, Any]) -> dict[str, str]:
    name = workspace["metadata"]["name"]
    return {metadata_keys.WORKSPACE_NAME: name, metadata_keys.STATEFUL_SET: name}


def _rendered(
    text: str, field: str, workspace: Mapping[str, Any], kind: Mapping[str, Any], image: Option
) -> str:
    """A value of the kind with its templates filled in. Raises `GenerateError`."""
    metadata = workspace["metadata"]
    served = {port["id"] for port in image.current["spec"]["ports"]}

    def prefix(port_id: str) -> str:
        return (
            connect_path(metadata["namespace"], metadata["name"], port_id, base_url(metadata))
            if port_id in served
            else ""
        )

    try:
        return render(text, prefix)
    except TemplateError as error:
        wrong = f"The kind {kind['metadata']['name']} has a wrong value for {field}: {error}. Ask who manages it to mend it."
        raise GenerateError(wrong) from error


def _probes(workspace: Mapping[str, Any], kind: Mapping[str, Any], image: Option) -> Object:
    """The kind's probes. A program that serves below its public path is asked there, so `httpGet.path` may hold templates."""
    probes: Object = {}
    for name, probe in (kind["spec"]["podTemplate"].get("probes") or {}).items():
        asked = (probe or {}).get("httpGet") or {}
        path = asked.get("path")
        filled = (
            {**asked, "path": _rendered(path, f"the path of its {name}", workspace, kind, image)}
            if path
            else None
        )
        probes[name] = {**probe, "httpGet": filled} if filled else probe
    return probes


def _environment(
    workspace: Mapping[str, Any],
    kind: Mapping[str, Any],
    image: Option,
    token_secret_name: str | None,
) -> list[Object]:
    environment = []
    for entry in kind["spec"]["podTemplate"].get("extraEnv") or ():
        value = entry.get("value")
        environment.append(
            entry | {"value": _rendered(value, entry["name"], workspace, kind, image)}
            if value
            else dict(entry)
        )
    variable = (kind["metadata"].get("annotations") or {}).get(metadata_keys.TOKEN_ENV)
    if (
        token_secret_name is not None
        and variable
        and all(entry["name"] != variable for entry in environment)
    ):
        reference = {"secretKeyRef": {"name": token_secret_name, "key": metadata_keys.TOKEN_KEY}}
        environment.append({"name": variable, "valueFrom": reference})
    return environment


def _pod_metadata(
    template: Mapping[str, Any], wishes: Mapping[str, Any]
) -> tuple[dict[str, str], dict[str, str]]:
    both = [found.get("podMetadata") or {} for found in (template, wishes)]
    labels, annotations = (
        {} | (both[0].get(name) or {}) | (both[1].get(name) or {})
        for name in ("labels", "annotations")
    )
    # Ours say which Secret opens a workspace and where it listens: whoever wrote a workspace or a kind may not.
    return labels, {
        name: value
        for name, value in annotations.items()
        if not name.startswith(metadata_keys.OURS)
    }


def _volumes(
    workspace: Mapping[str, Any], template: Mapping[str, Any]
) -> tuple[list[Object], list[Object]]:
    """Volumes and mounts in the order of the contract; what of the kind would clash with an earlier one is left out.

    Raises `GenerateError` for two mounts of the workspace's own that clash: from before the rules, or past them.
    """
    wished = workspace["spec"]["podTemplate"]["volumes"]
    own = {"volumeMounts": template["volumeMounts"]}
    if (cause := next(clashes(wished, own, "spec.podTemplate"), None)) is not None:
        raise GenerateError(
            f"Its volumes cannot be mounted together. {cause.field}: {cause.message}. Change the workspace's volumes."
        )
    volumes: list[Object] = []
    mounts: list[Object] = []
    if wished.get("home"):
        volumes.append(
            {"name": HOME_VOLUME, "persistentVolumeClaim": {"claimName": wished["home"]}}
        )
        mounts.append({"name": HOME_VOLUME, "mountPath": template["volumeMounts"]["home"]})
    for index, data in enumerate(wished.get("data") or ()):
        name, read_only = f"data-volume-{index}", bool(data.get("readOnly"))
        volumes.append(
            {
                "name": name,
                "persistentVolumeClaim": {"claimName": data["pvcName"]}
                | ({"readOnly": True} if read_only else {}),
            }
        )
        mounts.append(
            {"name": name, "mountPath": data["mountPath"]}
            | ({"readOnly": True} if read_only else {})
        )
    for index, secret in enumerate(wished.get("secrets") or ()):
        name = f"secret-volume-{index}"
        volumes.append(
            {
                "name": name,
                "secret": {
                    "secretName": secret["secretName"],
                    "defaultMode": secret.get("defaultMode", 420),
                },
            }
        )
        mounts.append({"name": name, "mountPath": secret["mountPath"]})
    for volume in template.get("extraVolumes") or ():
        if all(volume["name"] != known["name"] for known in volumes):
            volumes.append(dict(volume))
    for mount in template.get("extraVolumeMounts") or ():
        taken = {normal(known["mountPath"]) for known in mounts}
        if normal(mount["mountPath"]) not in taken and any(
            mount["name"] == known["name"] for known in volumes
        ):
            mounts.append(dict(mount))
    return volumes, mounts


def _owned(workspace: Mapping[str, Any], api_version: str, kind: str, metadata: Object) -> Object:
    owner = workspace["metadata"]
    reference = {
        "apiVersion": workspace["apiVersion"],
        "kind": workspace["kind"],
        "name": owner["name"],
        "uid": owner["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    metadata |= {
        "namespace": owner["namespace"],
        "labels": {metadata_keys.WORKSPACE_NAME: owner["name"]},
        "ownerReferences": [reference],
    }
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def _prefix(workspace: Mapping[str, Any], longest: int) -> str:
    return f"ws-{workspace['metadata']['name']}"[: longest - _SUFFIX - 1].rstrip("-") + "-"


def _hash(value: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:16]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
