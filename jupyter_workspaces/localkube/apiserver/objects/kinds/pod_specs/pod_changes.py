"""Fields of a pod that may change.

These are images, added tolerations, removed scheduling gates, and a shorter deadline.
"""

from __future__ import annotations

from jupyter_workspaces.kube.causes import forbidden, invalid
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects.kinds.values import Causes

_CONTAINERS = ("containers", "initContainers")


def check_changes(spec: Object, old: Object, path: str) -> Causes:
    """Check an update of a pod.

    Args:
        spec: the new PodSpec with defaults.
        old: the old PodSpec with defaults.
        path: path of the spec.
    """
    for field in _CONTAINERS:
        if len(spec.get(field) or ()) != len(old.get(field) or ()):
            yield forbidden(f"{path}.{field}", "pod updates may not add or remove containers")
            return
    yield from _check_deadline(spec, old, f"{path}.activeDeadlineSeconds")
    tolerations = spec.get("tolerations") or []
    if any(
        _without_seconds(held) not in map(_without_seconds, tolerations)
        for held in old.get("tolerations") or ()
    ):
        yield forbidden(
            f"{path}.tolerations",
            "existing tolerations can not be modified except their tolerationSeconds",
        )
    gates = {gate["name"] for gate in old.get("schedulingGates") or ()}
    for index, gate in enumerate(spec.get("schedulingGates") or ()):
        if gate["name"] not in gates:
            yield forbidden(f"{path}.schedulingGates[{index}]", "only deletion is allowed")
    if _without_changes(spec, old) != old:
        yield forbidden(
            path,
            "pod updates may change images, activeDeadlineSeconds, tolerations (added ones) "
            "and schedulingGates only",
        )


def _check_deadline(spec: Object, old: Object, path: str) -> Causes:
    seconds, before = spec.get("activeDeadlineSeconds"), old.get("activeDeadlineSeconds")
    if before is not None and seconds is None:
        yield invalid(path, None, "must not be taken away")
    elif before is not None and seconds is not None and seconds > before:
        yield invalid(path, seconds, "must be less than or equal to previous value")


def _without_changes(spec: Object, old: Object) -> Object:
    """Return the new spec with the old values of fields that may change."""
    found = dict(spec)
    for field in ("activeDeadlineSeconds", "tolerations", "schedulingGates"):
        found.pop(field, None)
        found |= {field: old[field]} if field in old else {}
    for field in _CONTAINERS:
        if field in old:
            pairs = zip(spec[field], old[field], strict=True)
            found[field] = [
                after | ({"image": before["image"]} if "image" in before else {})
                for after, before in pairs
            ]
    # The scheduler of this cluster binds pods by a patch, a real one by a subresource.
    if "nodeName" not in old:
        found.pop("nodeName", None)
    if (
        old.get("terminationGracePeriodSeconds", 0) < 0
        and found["terminationGracePeriodSeconds"] == 1
    ):
        found["terminationGracePeriodSeconds"] = old["terminationGracePeriodSeconds"]
    return found


def _without_seconds(toleration: Object) -> Object:
    return {key: value for key, value in toleration.items() if key != "tolerationSeconds"}
