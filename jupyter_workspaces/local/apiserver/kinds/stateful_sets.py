"""StatefulSets."""

from __future__ import annotations

from typing import Any

from ....resources.causes import Cause, forbidden, invalid, required
from ..strategies import Strategy
from .pod_defaults import default_pod_spec
from .pod_rules import check_pod_spec

Object = dict[str, Any]


class StatefulSetStrategy(Strategy):
    has_generation = True

    def default(self, obj: Object) -> None:
        spec = obj["spec"]
        spec.setdefault("replicas", 1)
        spec.setdefault("podManagementPolicy", "OrderedReady")
        spec.setdefault("revisionHistoryLimit", 10)
        _default_updates(spec["updateStrategy"])
        retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
        for event in ("whenDeleted", "whenScaled"):
            retention.setdefault(event, "Retain")
        for template in spec.get("volumeClaimTemplates") or ():
            template |= {"kind": "PersistentVolumeClaim", "apiVersion": "v1"}
            template["spec"].setdefault("volumeMode", "Filesystem")
            template["status"].setdefault("phase", "Pending")
        default_pod_spec(spec["template"]["spec"])

    def prepare(self, obj: Object, old: Object | None) -> None:
        if old is None:
            obj["status"] = {"replicas": 0, "availableReplicas": 0}

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        spec = obj["spec"]
        causes = list(check_pod_spec(spec["template"]["spec"], "spec.template.spec"))
        wanted = (spec.get("selector") or {}).get("matchLabels") or {}
        held = spec["template"]["metadata"].get("labels") or {}
        if not spec.get("selector"):
            causes.append(required("spec.selector"))
        elif any(held.get(key) != value for key, value in wanted.items()):
            causes.append(invalid("spec.template.metadata.labels", held, "`selector` does not match template `labels`"))
        if not isinstance(spec.get("replicas"), int) or spec["replicas"] < 0:
            causes.append(invalid("spec.replicas", spec.get("replicas"), "must be greater than or equal to 0"))
        if old is not None:
            for field in ("selector", "serviceName", "volumeClaimTemplates", "podManagementPolicy"):
                if spec.get(field) != old["spec"].get(field):
                    causes.append(forbidden("spec", f"updates to {field} of a statefulset are forbidden"))
        return causes


def _default_updates(strategy: Object) -> None:
    if "type" not in strategy:
        strategy["type"] = "RollingUpdate"
        strategy.setdefault("rollingUpdate", {})
    if strategy["type"] == "RollingUpdate" and "rollingUpdate" in strategy:
        strategy["rollingUpdate"].setdefault("partition", 0)
