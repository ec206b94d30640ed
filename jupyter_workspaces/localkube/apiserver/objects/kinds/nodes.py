"""Nodes, events and leases: objects that programs write about themselves."""

from __future__ import annotations

import ipaddress

from jupyter_workspaces.common.quantities import parse
from jupyter_workspaces.kube.causes import Cause, invalid
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects.strategies import Strategy

from .pod_specs.resource_rules import check_amount
from .pod_specs.scheduling_rules import check_taints
from .values import Causes, at_least


class NodeStrategy(Strategy):
    """Rules of nodes. A node sets its own status when it joins."""

    status_at_creation = True

    def default(self, obj: Object) -> None:
        """Fill in defaults, in place."""
        status = obj.get("status") or {}
        if "capacity" in status:
            status.setdefault("allocatable", dict(status["capacity"]))

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Return what is invalid."""
        causes = list(check_taints(obj["spec"].get("taints"), "metadata.taints"))
        causes += _check_ranges(obj["spec"].get("podCIDRs") or [])
        for section in ("capacity", "allocatable"):
            for name, amount in ((obj.get("status") or {}).get(section) or {}).items():
                causes += check_amount(name, parse(amount), f"status.{section}.{name}")
        return causes


def _check_ranges(ranges: list[str]) -> Causes:
    for index, text in enumerate(ranges):
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            yield invalid(
                f"spec.podCIDRs[{index}]", text, "must be a range of addresses, such as 10.9.8.0/24"
            )


class EventStrategy(Strategy):
    """Rules of events."""

    def name_problem(self, name: str) -> str | None:
        """Return why a name is invalid, or None."""
        return None

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Return what is invalid."""
        about, own = obj["involvedObject"].get("namespace", ""), obj["metadata"]["namespace"]
        # Events of objects without a namespace are in the default namespace.
        if about == own or (not about and own == "default"):
            return []
        return [invalid("involvedObject.namespace", about, "does not match event.namespace")]


class LeaseStrategy(Strategy):
    """Rules of leases."""

    finalizers_have_domains = False

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Return what is invalid."""
        seconds = obj["spec"].get("leaseDurationSeconds")
        causes = (
            []
            if seconds is None or seconds > 0
            else [invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0")]
        )
        return causes + list(at_least("spec.leaseTransitions", obj["spec"].get("leaseTransitions")))
