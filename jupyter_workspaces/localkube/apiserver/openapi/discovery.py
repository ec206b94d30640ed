"""Discovery: version, groups and resources, as single documents and aggregated (KEP-3352)."""

from __future__ import annotations

import base64
import hashlib
import platform

import msgspec

from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects.rows import Registry, Row

_MACHINES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64"}

GIT_VERSION = "v1.36.0"
"""Version of the Kubernetes API that is served."""

_CUSTOM_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
"""Verbs of custom resources, in the order of Kubernetes."""

_VERBS = {
    "scale": ["get", "patch", "update"],
    "status": ["get", "patch", "update"],
    "log": ["get"],
    "binding": ["create"],
    "eviction": ["create"],
    "token": ["create"],
    "finalize": ["update"],
}
_KINDS = {
    "attach": ("", "v1", "PodAttachOptions"),
    "binding": ("", "v1", "Binding"),
    "eviction": ("policy", "v1", "Eviction"),
    "exec": ("", "v1", "PodExecOptions"),
    "portforward": ("", "v1", "PodPortForwardOptions"),
    "scale": ("autoscaling", "v1", "Scale"),
    "token": ("authentication.k8s.io", "v1", "TokenRequest"),
}
"""Subresources of another kind than their resource: group, version, kind."""


def version(git_version: str) -> Object:
    """Return the document of `/version`.

    Args:
        git_version: version text, such as `v1.36.0+build`.
    """
    machine = platform.machine()
    return {
        "major": "1",
        "minor": "36",
        "emulationMajor": "1",
        "emulationMinor": "36",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35",
        "gitVersion": git_version,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "python",
        "platform": f"{platform.system().lower()}/{_MACHINES.get(machine, machine)}",
    }


def api_versions(address: str) -> Object:
    """Return `/api`."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def group_list(registry: Registry) -> Object:
    """Return `/apis`."""
    groups = [
        {"name": name, **_versions(registry, name)} for name in registry.group_versions() if name
    ]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(registry: Registry, name: str) -> Object:
    """Return `/apis/GROUP`."""
    return {"kind": "APIGroup", "apiVersion": "v1", "name": name, **_versions(registry, name)}


def _versions(registry: Registry, name: str) -> Object:
    versions = [
        {"groupVersion": f"{name}/{version}", "version": version}
        for version in registry.group_versions()[name]
    ]
    return {"versions": versions, "preferredVersion": versions[0]}


def resource_list(registry: Registry, group_name: str, version: str) -> Object:
    """Return `/api/v1` or `/apis/GROUP/VERSION`."""
    resources: list[Object] = []
    for row in registry.of_version(group_name, version):
        entry = {
            "name": row.resource.plural,
            "singularName": row.singular,
            "namespaced": row.resource.namespaced,
            "kind": row.resource.kind,
            "verbs": _verbs(row),
        }
        if "list" in row.verbs:
            entry["storageVersionHash"] = _storage_hash(row)
        if row.short_names:
            entry["shortNames"] = list(row.short_names)
        if row.categories:
            entry["categories"] = list(row.categories)
        resources.append(entry)
        for name in row.subresources:
            resources.append(
                {
                    "name": f"{row.resource.plural}/{name}",
                    "singularName": "",
                    "namespaced": row.resource.namespaced,
                    **_other_kind(row, name),
                    "verbs": _subresource_verbs(name),
                }
            )
    if not group_name:
        return {"kind": "APIResourceList", "groupVersion": version, "resources": resources}
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group_name}/{version}",
        "resources": resources,
    }


def _other_kind(row: Row, subresource: str) -> Object:
    """Return the kind of a subresource; with group and version if they differ."""
    found = _KINDS.get(subresource)
    if found is None:
        return {"kind": row.resource.kind}
    group, version, kind = found
    own = group == row.resource.group
    return {"kind": kind} if own else {"group": group, "version": version, "kind": kind}


def _storage_hash(row: Row) -> str:
    """Return a hash that changes with the stored version."""
    kind = f"{row.resource.group}/{row.stored_version or row.resource.version}/{row.resource.kind}"
    return base64.b64encode(hashlib.sha256(kind.encode()).digest()[:8]).decode()


def _verbs(row: Row) -> list[str]:
    return [verb for verb in _CUSTOM_VERBS if verb in row.verbs] if row.custom else list(row.verbs)


def aggregated(registry: Registry, core: bool, api_version: str) -> Object:
    """Return all groups, or the core one, in one document.

    Args:
        registry: kinds of the API.
        core: whether to return the core group.
        api_version: `v2` or `v2beta1`.
    """
    items = []
    for name, versions in registry.group_versions().items():
        if (name == "") is not core:
            continue
        described = [
            {
                "version": version,
                "freshness": "Current",
                "resources": [
                    _describe_resource(row) for row in registry.of_version(name, version)
                ],
            }
            for version in versions
        ]
        items.append(
            {
                "metadata": {"name": name, "creationTimestamp": None}
                if name
                else {"creationTimestamp": None},
                "versions": described,
            }
        )
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{api_version}",
        "metadata": {},
        "items": items,
    }


def etag(document: Object) -> str:
    """Return an entity tag of the content, so that clients fetch it only after a change."""
    return '"' + hashlib.sha256(msgspec.json.encode(document)).hexdigest()[:32].upper() + '"'


def _describe_resource(row: Row) -> Object:
    resource = row.resource
    # For its own kinds, Kubernetes sets group and version only if they differ from the list's.
    place = (
        {"group": resource.group, "version": resource.version}
        if row.custom
        else {"group": "", "version": ""}
    )
    kind = {**place, "kind": resource.kind}
    described: Object = {
        "resource": resource.plural,
        "responseKind": kind,
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": row.singular,
        "verbs": _verbs(row),
    }
    if row.short_names:
        described["shortNames"] = list(row.short_names)
    if row.categories:
        described["categories"] = list(row.categories)
    if row.subresources:
        described["subresources"] = [
            {
                "subresource": name,
                "responseKind": {**place, **_other_kind(row, name)},
                "verbs": _subresource_verbs(name),
            }
            for name in row.subresources
        ]
    return described


def _subresource_verbs(name: str) -> list[str]:
    return _VERBS.get(name, ["create", "get"])
