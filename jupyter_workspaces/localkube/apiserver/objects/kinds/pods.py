"""Pods."""

from __future__ import annotations

from decimal import Decimal

from jupyter_workspaces.common.quantities import parse
from jupyter_workspaces.kube.causes import Cause
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects.strategies import Strategy

from .pod_specs.pod_changes import check_changes
from .pod_specs.pod_defaults import containers_of, default_pod
from .pod_specs.pod_rules import check_ephemeral, check_pod_spec


class PodStrategy(Strategy):
    """Rules of pods."""

    returns_deleted = True
    has_generation = True

    def default(self, obj: Object) -> None:
        """Fill in defaults, in place."""
        default_pod(obj["spec"])

    def prepare(self, obj: Object, old: Object | None) -> None:
        """Set the fields that only the server may set, in place."""
        if old is None:
            obj["status"] = {"phase": "Pending", "qosClass": quality(obj["spec"])}

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Return what is invalid."""
        causes = check_pod_spec(obj["spec"], "spec", is_pod=True)
        return causes + list(
            check_ephemeral(obj["spec"], "spec")
            if old is None
            else check_changes(obj["spec"], old["spec"], "spec")
        )


def quality(spec: Object) -> str:
    """Return the QoS class (Kubernetes docs, "Pod Quality of Service Classes")."""
    containers = list(containers_of(spec))
    requests = [_amounts(container, "requests") for container in containers]
    limits = [_amounts(container, "limits") for container in containers]
    if not any(requests) and not any(limits):
        return "BestEffort"
    return (
        "Guaranteed"
        if requests == limits and all(held.keys() == {"cpu", "memory"} for held in limits)
        else "Burstable"
    )


def _amounts(container: Object, section: str) -> dict[str, Decimal]:
    held = container["resources"].get(section) or {}
    found = {name: parse(held[name]) for name in ("cpu", "memory") if name in held}
    return {name: amount for name, amount in found.items() if amount > 0}
