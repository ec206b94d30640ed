"""Pods: what they are given at their making, and what may change of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ....resources.causes import Cause, forbidden
from ....resources.quantities import parse
from ..strategies import Strategy
from .pod_defaults import containers_of, default_pod
from .pod_rules import check_pod_spec

Object = dict[str, Any]


class PodStrategy(Strategy):
    returns_deleted = True
    has_generation = True

    def default(self, obj: Object) -> None:
        default_pod(obj["spec"])

    def prepare(self, obj: Object, old: Object | None) -> None:
        if old is None:
            obj["status"] = {"phase": "Pending", "qosClass": quality(obj["spec"])}

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        spec = obj["spec"]
        if old is not None:
            before, after = _without_images(old["spec"]), _without_images(spec)
            allowed = ("nodeName", "tolerations", "activeDeadlineSeconds", "terminationGracePeriodSeconds", "schedulingGates")
            changed = [key for key in after.keys() | before.keys() if after.get(key) != before.get(key)]
            if any(key not in allowed for key in changed) or ("nodeName" in changed and before.get("nodeName")):
                return [forbidden("spec", "pod updates may not change fields other than container images and tolerations")]
        return list(check_pod_spec(spec, "spec"))


def _without_images(spec: Object) -> Object:
    def bare(containers: Any) -> list[Any]:
        return [{key: value for key, value in one.items() if key != "image"} for one in containers or ()]

    return spec | {key: bare(spec[key]) for key in ("containers", "initContainers") if key in spec}


def quality(spec: Object) -> str:
    """Its class by what its containers ask for and may take (Kubernetes docs, “Pod Quality of Service Classes”)."""
    containers = list(containers_of(spec))
    requests = [_amounts(container, "requests") for container in containers]
    limits = [_amounts(container, "limits") for container in containers]
    if not any(requests) and not any(limits):
        return "BestEffort"
    return "Guaranteed" if requests == limits and all(held.keys() == {"cpu", "memory"} for held in limits) else "Burstable"


def _amounts(container: Object, section: str) -> dict[str, Decimal]:
    held = container["resources"].get(section) or {}
    found = {name: parse(held[name]) for name in ("cpu", "memory") if name in held}
    return {name: amount for name, amount in found.items() if amount > 0}
