"""Services."""

from __future__ import annotations

from typing import Any

from ....resources.causes import Cause, invalid
from .. import names
from ..strategies import Strategy

Object = dict[str, Any]


class ServiceStrategy(Strategy):
    returns_deleted = True

    def name_problem(self, name: str) -> str | None:
        return names.service(name)

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("type", "ClusterIP")
        spec.setdefault("sessionAffinity", "None")
        spec.setdefault("internalTrafficPolicy", "Cluster")
        for port in spec.get("ports") or ():
            port.setdefault("protocol", "TCP")
            if "port" in port:
                port["targetPort"] = port.get("targetPort") or port["port"]

    def prepare(self, obj: Object, old: Object | None) -> None:
        spec = obj["spec"]
        # No proxy of services runs on one machine: a service tells which port leads where, and has no address of its own.
        spec.setdefault("clusterIP", "None")
        spec.setdefault("clusterIPs", [spec["clusterIP"]])
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        obj.setdefault("status", {"loadBalancer": {}})

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        causes = []
        for index, port in enumerate(obj["spec"].get("ports") or ()):
            number = port.get("port")
            if not isinstance(number, int) or not 1 <= number <= 65535:
                causes.append(invalid(f"spec.ports[{index}].port", number, "must be between 1 and 65535, inclusive"))
        return causes
