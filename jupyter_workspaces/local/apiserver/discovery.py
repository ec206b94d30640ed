"""What the server says of itself: versions, groups, resources; the old form and the aggregated one (KEP-3352)."""

from __future__ import annotations

import hashlib
import platform
from typing import Any

import msgspec

from ..._version import __version__
from .rows import Registry, Row

Object = dict[str, Any]

VERSION: Object = {
    "major": "1",
    "minor": "36",
    "gitVersion": f"v1.36.0+jupyter-workspaces.{__version__}",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "python",
    "platform": f"{platform.system().lower()}/{platform.machine()}",
}


def api_versions(address: str) -> Object:
    """`/api`."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def group_list(registry: Registry) -> Object:
    """`/apis`."""
    groups = [group(registry, name) for name in registry.group_versions() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(registry: Registry, name: str) -> Object:
    """`/apis/{group}`, and an entry of `/apis`."""
    versions = [{"groupVersion": f"{name}/{version}", "version": version} for version in registry.group_versions()[name]]
    return {"kind": "APIGroup", "apiVersion": "v1", "name": name, "versions": versions, "preferredVersion": versions[0]}


def resource_list(registry: Registry, group_name: str, version: str) -> Object:
    """`/api/v1`, `/apis/{group}/{version}`."""
    resources: list[Object] = []
    for row in registry.of_version(group_name, version):
        entry = {
            "name": row.resource.plural,
            "singularName": row.singular,
            "namespaced": row.resource.namespaced,
            "kind": row.resource.kind,
            "verbs": list(row.verbs),
        }
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
                    **_subresource_kind(row, name),
                    "verbs": _subresource_verbs(name),
                }
            )
    api_version = f"{group_name}/{version}" if group_name else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": resources}


def aggregated(registry: Registry, core: bool, api_version: str) -> Object:
    """All groups (or the core one) in one document. `api_version` is `v2` or `v2beta1`."""
    items = []
    for name, versions in registry.group_versions().items():
        if (name == "") is not core:
            continue
        described = [
            {"version": version, "freshness": "Current", "resources": [_described(row) for row in registry.of_version(name, version)]}
            for version in versions
        ]
        items.append(
            {"metadata": {"name": name, "creationTimestamp": None} if name else {"creationTimestamp": None}, "versions": described}
        )
    return {"kind": "APIGroupDiscoveryList", "apiVersion": f"apidiscovery.k8s.io/{api_version}", "metadata": {}, "items": items}


def etag(document: Object) -> str:
    """Of the content, so that clients fetch it again only when a CRD came or went."""
    return '"' + hashlib.sha256(msgspec.json.encode(document)).hexdigest()[:32].upper() + '"'


def _described(row: Row) -> Object:
    resource = row.resource
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    described: Object = {
        "resource": resource.plural,
        "responseKind": kind,
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": row.singular,
        "verbs": list(row.verbs),
    }
    if row.short_names:
        described["shortNames"] = list(row.short_names)
    if row.categories:
        described["categories"] = list(row.categories)
    if row.subresources:
        described["subresources"] = [
            {"subresource": name, "responseKind": kind | _subresource_kind(row, name), "verbs": _subresource_verbs(name)}
            for name in row.subresources
        ]
    return described


def _subresource_kind(row: Row, name: str) -> Object:
    return {"group": "autoscaling", "version": "v1", "kind": "Scale"} if name == "scale" else {"kind": row.resource.kind}


def _subresource_verbs(name: str) -> list[str]:
    return {
        "scale": ["get", "patch", "update"],
        "status": ["get", "patch", "update"],
        "log": ["get"],
        "binding": ["create"],
        "token": ["create"],
        "finalize": ["update"],
    }[name]
