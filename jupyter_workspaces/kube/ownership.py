"""Which object controls which: what an owner reference must say before anybody relies on it (Kubernetes docs, “Owners and Dependents”).

Anybody who may create an object may write any owner reference into it. A uid alone proves nothing: owners and what they own share a
namespace, and the reference names the owner's API group, kind and name as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jupyter_workspaces.resources import metadata_keys

Object = Mapping[str, Any]


def controller(obj: Object) -> Object:
    """The owner reference of the object's controller; empty when it has none."""
    return next(
        (
            owner
            for owner in obj["metadata"].get("ownerReferences") or ()
            if owner.get("controller") is True
        ),
        {},
    )


def controls(owner: Object, obj: Object) -> bool:
    """Whether `owner` is the controller of `obj`, by namespace, API group, kind, name and uid."""
    held, reference = owner["metadata"], controller(obj)
    return (
        bool(held.get("uid"))
        and held.get("namespace") == obj["metadata"].get("namespace")
        and reference.get("uid") == held["uid"]
        and reference.get("name") == held.get("name")
        and reference.get("kind") == owner.get("kind")
        and _group(reference.get("apiVersion")) == _group(owner.get("apiVersion"))
    )


def belongs(workspace: Object, obj: Object) -> bool:
    """Whether `obj` is what a controller made for the workspace: it is controlled by it and has its label."""
    label = (obj["metadata"].get("labels") or {}).get(metadata_keys.WORKSPACE_NAME)
    return label == workspace["metadata"]["name"] and controls(workspace, obj)


def is_pod_of(stateful_set: Object, pod: Object) -> bool:
    """Whether the StatefulSet controls the pod, and it is the one that the set has.

    The name is free for others only while the set has no pod; a set takes a pod of that name and reference for its own, too.
    """
    return (
        controls(stateful_set, pod)
        and pod["metadata"]["name"] == f"{stateful_set['metadata']['name']}-0"
    )


def is_named_pod(workspace: Object, pod: Object) -> bool:
    """For who may not see StatefulSets: whether the workspace's status, which only a controller writes, names the pod.

    Besides it has the workspace's label and says that a StatefulSet made it as its first.
    """
    metadata, reference = pod["metadata"], controller(pod)
    named = ((workspace.get("status") or {}).get("podTemplatePod") or {}).get("name")
    return (
        metadata["name"] == named
        and metadata.get("namespace") == workspace["metadata"]["namespace"]
        and (metadata.get("labels") or {}).get(metadata_keys.WORKSPACE_NAME)
        == workspace["metadata"]["name"]
        and reference.get("kind") == "StatefulSet"
        and _group(reference.get("apiVersion")) == "apps"
        and metadata["name"] == f"{reference.get('name')}-0"
    )


def is_workspace_service(workspace: Object, service: Object, *, headless: bool = False) -> bool:
    """Whether the Service belongs to the workspace and can lead nowhere but to its pods.

    A Service of type ExternalName leads to any host, one without a selector to any address, external addresses take others' traffic.
    """
    spec = service.get("spec") or {}
    return (
        belongs(workspace, service)
        and spec.get("type", "ClusterIP") == "ClusterIP"
        and not spec.get("externalName")
        and not spec.get("externalIPs")
        and (headless or spec.get("clusterIP") != "None")
        and (spec.get("selector") or {}).get(metadata_keys.WORKSPACE_NAME)
        == workspace["metadata"]["name"]
    )


def is_token_secret(workspace: Object, secret: Object) -> bool:
    """Whether the Secret was made to hold this workspace's token, and is no other that a pod's annotation happens to name."""
    return belongs(workspace, secret) and secret.get("type", "Opaque") == "Opaque"


def age(obj: Object) -> tuple[str, str]:
    """Sorts the oldest first; of two that were made in one second, always the same one."""
    metadata = obj["metadata"]
    return str(metadata.get("creationTimestamp", "")), str(metadata.get("uid", ""))


def _group(api_version: Any) -> str:
    return str(api_version or "").rpartition("/")[0]
