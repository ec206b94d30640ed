"""Services. Each gets a cluster IP as on any cluster, though no service proxy runs here.

Clients read it: kubectl's port-forward follows `targetPort` only if there is one.
"""

from __future__ import annotations

import secrets

from jupyter_workspaces.kube.causes import (
    Cause,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)
from jupyter_workspaces.kube.labels import check_labels
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects import name_rules
from jupyter_workspaces.localkube.apiserver.objects.strategies import Strategy

from .values import (
    PROTOCOLS,
    Causes,
    address,
    one_of,
    port,
    port_or_name,
    required_name,
    unique,
    valid_name,
)

_EXTERNAL = ("NodePort", "LoadBalancer")
_TYPES = ["ClusterIP", "ExternalName", *sorted(_EXTERNAL)]
_ADDRESSES, _FAMILIES = ("clusterIP", "clusterIPs"), ("ipFamilies", "ipFamilyPolicy")
_AFFINITY_SECONDS, _MOST_AFFINITY_SECONDS = 10800, 86400


class ServiceStrategy(Strategy):
    """Rules of Services."""

    returns_deleted = True

    def name_problem(self, name: str) -> str | None:
        """Return why a name is invalid, or None."""
        return name_rules.label(name)

    def default(self, obj: Object) -> None:
        """Fill in defaults, in place."""
        spec = obj["spec"]
        kind = spec.setdefault("type", "ClusterIP")
        if spec.setdefault("sessionAffinity", "None") == "None":
            spec.pop("sessionAffinityConfig", None)
        elif spec["sessionAffinity"] == "ClientIP":
            spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {}).setdefault(
                "timeoutSeconds", _AFFINITY_SECONDS
            )
        if kind in ("ClusterIP", *_EXTERNAL):
            spec.setdefault("internalTrafficPolicy", "Cluster")
        if kind in _EXTERNAL:
            spec.setdefault("externalTrafficPolicy", "Cluster")
        if kind == "LoadBalancer":
            spec.setdefault("allocateLoadBalancerNodePorts", True)
        for held in spec.get("ports") or ():
            held.setdefault("protocol", "TCP")
            held["targetPort"] = held["targetPort"] or held["port"]

    def prepare(self, obj: Object, old: Object | None) -> None:
        """Set the fields that only the server may set, in place."""
        spec = obj["spec"]
        if old is None:
            obj["status"] = {"loadBalancer": {}}
            if "clusterIP" in spec:
                spec.setdefault("clusterIPs", [spec["clusterIP"]])
        else:
            _merge_addresses(spec, old["spec"])

    def complete(self, obj: Object) -> None:
        """Set the addresses of a valid Service, in place."""
        spec = obj["spec"]
        if spec["type"] != "ExternalName":
            spec.setdefault("clusterIP", (spec.get("clusterIPs") or [_free_address()])[0])
            spec.setdefault("clusterIPs", [spec["clusterIP"]])
            spec.setdefault("ipFamilies", ["IPv4"])
            spec.setdefault("ipFamilyPolicy", "SingleStack")

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Return what is invalid."""
        spec = obj["spec"]
        headless = spec.get("clusterIPs") == ["None"]
        causes: list[Cause] = []
        if not spec.get("ports") and not headless and spec["type"] != "ExternalName":
            causes.append(required("spec.ports"))
        if (
            headless
            and spec["type"] in _EXTERNAL
            and (old is None or old["spec"]["type"] != spec["type"])
        ):
            causes.append(
                invalid(
                    "spec.clusterIPs[0]",
                    "None",
                    f"may not be set to None for {spec['type']} services",
                )
            )
        if old is not None:
            causes += _check_same_address(spec, old["spec"])
        causes += _check_type(spec)
        causes += _check_ports(spec.get("ports") or [], spec["type"])
        causes += check_labels(spec.get("selector"), "spec.selector")
        causes += _check_addresses(spec)
        causes += _check_traffic(spec)
        return causes


def _free_address() -> str:
    """Return a random loopback address outside of the range of pods.

    Nothing that is sent there leaves the machine.
    """
    first, second, third = secrets.token_bytes(3)
    return f"127.{128 + first % 126}.{second}.{1 + third % 254}"


def _merge_addresses(spec: Object, old: Object) -> None:
    """Make `clusterIP` and `clusterIPs` agree, and keep what an update leaves out."""
    first, given = (spec.get(field) != old.get(field) for field in _ADDRESSES)
    if first and not given:
        spec.pop("clusterIPs", None)
        spec |= {"clusterIPs": [spec["clusterIP"]]} if "clusterIP" in spec else {}
    elif given and not first:
        spec.pop("clusterIP", None)
        spec |= {"clusterIP": spec["clusterIPs"][0]} if spec.get("clusterIPs") else {}
    for field in (*_ADDRESSES, *_FAMILIES):
        if spec["type"] != "ExternalName" and field in old:
            spec.setdefault(field, old[field])
        elif (
            spec["type"] == "ExternalName"
            and old["type"] != "ExternalName"
            and spec.get(field) == old.get(field)
        ):
            spec.pop(field, None)  # it needs none, and the update has none


def _check_same_address(spec: Object, old: Object) -> Causes:
    held, before = spec.get("clusterIPs") or [], old.get("clusterIPs") or []
    if "ExternalName" not in (spec["type"], old["type"]) and held[:1] != before[:1]:
        yield invalid("spec.clusterIPs[0]", held, "may not change once set")


def _check_type(spec: Object) -> Causes:
    yield from one_of("spec.type", spec["type"], _TYPES)
    if spec["type"] == "ExternalName":
        yield from (
            forbidden(f"spec.{field}", "may not be set for ExternalName services")
            for field in ("clusterIPs", *_FAMILIES)
            if spec.get(field)
        )
        yield from required_name(
            "spec.externalName",
            spec.get("externalName", "").removesuffix("."),
            name_rules.subdomain,
        )


def _check_ports(ports: list[Object], kind: str) -> Causes:
    seen, nodes = set(), set()
    for index, held in enumerate(ports):
        at = f"spec.ports[{index}]"
        if len(ports) > 1 and not held.get("name"):
            yield required(f"{at}.name")
        yield from valid_name(f"{at}.name", held.get("name"), name_rules.label)
        yield from port(f"{at}.port", held["port"])
        yield from one_of(f"{at}.protocol", held["protocol"], PROTOCOLS)
        yield from port_or_name(f"{at}.targetPort", held["targetPort"])
        yield from valid_name(f"{at}.appProtocol", held.get("appProtocol"), name_rules.qualified)
        if held.get("nodePort") and kind == "ClusterIP":
            yield forbidden(f"{at}.nodePort", "may not be used when type is ClusterIP")
        if (pair := (held["protocol"], held["port"])) in seen:
            yield duplicate(at, held)
        seen.add(pair)
        if held.get("nodePort") and (taken := (held["protocol"], held["nodePort"])) in nodes:
            yield duplicate(f"{at}.nodePort", held["nodePort"])
        elif held.get("nodePort"):
            nodes.add(taken)
    yield from unique("spec.ports", "name", ports)


def _check_addresses(spec: Object) -> Causes:
    for index, family in enumerate(spec.get("ipFamilies") or ()):
        if family not in ("IPv4", "IPv6"):
            yield not_supported(f"spec.ipFamilies[{index}]", family, ["IPv4", "IPv6"])
    yield from one_of(
        "spec.ipFamilyPolicy",
        spec.get("ipFamilyPolicy"),
        ["PreferDualStack", "RequireDualStack", "SingleStack"],
    )
    if spec["type"] != "ExternalName":
        first, given = spec.get("clusterIP"), spec.get("clusterIPs") or []
        if given and first != given[0]:
            yield invalid("spec.clusterIPs", given, "first value must be clusterIP")
        for index, text in enumerate(given):
            if text == "None" and index == 0 and len(given) == 1:
                continue
            yield from address(f"spec.clusterIPs[{index}]", text)
    for index, text in enumerate(spec.get("externalIPs") or ()):
        yield from address(f"spec.externalIPs[{index}]", text)


def _check_traffic(spec: Object) -> Causes:
    yield from one_of("spec.sessionAffinity", spec["sessionAffinity"], ["ClientIP", "None"])
    if spec["sessionAffinity"] == "ClientIP":
        seconds = spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"]
        if not 0 < seconds <= _MOST_AFFINITY_SECONDS:
            at = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
            yield invalid(
                at, seconds, f"must be greater than 0 and at most {_MOST_AFFINITY_SECONDS}"
            )
    yield from one_of(
        "spec.internalTrafficPolicy", spec.get("internalTrafficPolicy"), ["Cluster", "Local"]
    )
    if (policy := spec.get("externalTrafficPolicy")) is not None:
        if spec["type"] in _EXTERNAL or (spec["type"] == "ClusterIP" and spec.get("externalIPs")):
            yield from one_of("spec.externalTrafficPolicy", policy, ["Cluster", "Local"])
        else:
            yield invalid(
                "spec.externalTrafficPolicy",
                policy,
                "may only be set for services with external traffic",
            )
