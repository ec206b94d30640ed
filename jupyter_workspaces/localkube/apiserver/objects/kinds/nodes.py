"""What is told rather than wished for: nodes, events, leases."""

from __future__ import annotations

import ipaddress
from typing import Any

from jupyter_workspaces.common.quantities import parse
from jupyter_workspaces.kube.causes import Cause, invalid
from jupyter_workspaces.localkube.apiserver.objects.strategies import Strategy

from .resource_rules import check_amount
from .scheduling_rules import check_taints
from .values import Causes, at_least

Object = dict[str, Any]


class NodeStrategy(Strategy):
    """A node tells of itself when it joins."""

    status_at_creation = True

    def default(self, obj: Object) -> None:
        status = obj.get("status") or {}
        if "capacity" in status:
            status.setdefault("allocatable", dict(status["capacity"]))

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
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
    def name_problem(self, name: str) -> str | None:
        return None

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        about, own = obj["involvedObject"].get("namespace", ""), obj["metadata"]["namespace"]
        if about == own or (
            not about and own == "default"
        ):  # what happens to things without a namespace is told there
            return []
        return [invalid("involvedObject.namespace", about, "does not match event.namespace")]


class LeaseStrategy(Strategy):
    finalizers_have_domains = False

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        seconds = obj["spec"].get("leaseDurationSeconds")
        causes = (
            []
            if seconds is None or seconds > 0
            else [invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0")]
        )
        return causes + list(at_least("spec.leaseTransitions", obj["spec"].get("leaseTransitions")))
