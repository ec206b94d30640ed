"""Owner references: which object controls which (Kubernetes docs, "Owners and Dependents").

Any user who may create an object may write any owner reference into it, and a UID alone proves
nothing. So an owner reference counts only if namespace, API group, kind, name and UID all agree.
"""

from __future__ import annotations

from typing import Any

from .types import ObjectView


def controller(obj: ObjectView) -> ObjectView:
    """Return the owner reference of the object's controller; an empty mapping if it has none."""
    return next(
        (
            owner
            for owner in obj["metadata"].get("ownerReferences") or ()
            if owner.get("controller") is True
        ),
        {},
    )


def controls(owner: ObjectView, obj: ObjectView) -> bool:
    """Return whether `owner` is the controller of `obj`: all fields of the reference agree."""
    held, reference = owner["metadata"], controller(obj)
    return (
        bool(held.get("uid"))
        and held.get("namespace") == obj["metadata"].get("namespace")
        and reference.get("uid") == held["uid"]
        and reference.get("name") == held.get("name")
        and reference.get("kind") == owner.get("kind")
        and api_group(reference.get("apiVersion")) == api_group(owner.get("apiVersion"))
    )


def is_pod_of(stateful_set: ObjectView, pod: ObjectView) -> bool:
    """Return whether `pod` is the first pod (ordinal 0) of a StatefulSet and controlled by it.

    Any user can create a pod with this name and owner reference while the StatefulSet has no pod.
    The StatefulSet controller adopts such a pod, so it counts as the StatefulSet's pod here too.
    """
    return (
        controls(stateful_set, pod)
        and pod["metadata"]["name"] == f"{stateful_set['metadata']['name']}-0"
    )


def age(obj: ObjectView) -> tuple[str, str]:
    """Return a sort key that puts the oldest object first; the UID decides within one second."""
    metadata = obj["metadata"]
    return str(metadata.get("creationTimestamp", "")), str(metadata.get("uid", ""))


def api_group(api_version: Any) -> str:
    """Return the group of an `apiVersion`: `apps` for `apps/v1`, an empty string for `v1`."""
    return str(api_version or "").rpartition("/")[0]
