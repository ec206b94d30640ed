"""Rules of scheduling: node selectors, tolerations, affinity, topology spread, gates."""

from __future__ import annotations

from jupyter_workspaces.kube.causes import (
    duplicate,
    invalid,
    not_supported,
    required,
)
from jupyter_workspaces.kube.labels import check_labels, check_selector
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects import name_rules
from jupyter_workspaces.localkube.apiserver.objects.kinds.values import (
    Causes,
    one_of,
    required_name,
    valid_name,
)

from .node_selectors import check_node_term, check_node_terms

EFFECTS = ["NoExecute", "NoSchedule", "PreferNoSchedule"]
_REQUIRED, _PREFERRED = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)


def check_scheduling(spec: Object, path: str) -> Causes:
    """Check all fields of a PodSpec about scheduling."""
    yield from check_labels(spec.get("nodeSelector"), f"{path}.nodeSelector")
    yield from valid_name(f"{path}.nodeName", spec.get("nodeName"), name_rules.subdomain)
    for index, toleration in enumerate(spec.get("tolerations") or ()):
        yield from _check_toleration(toleration, f"{path}.tolerations[{index}]")
    yield from _check_affinity(spec.get("affinity") or {}, f"{path}.affinity")
    for index, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        yield from _check_spreading(constraint, f"{path}.topologySpreadConstraints[{index}]")
    for index, gate in enumerate(spec.get("readinessGates") or ()):
        if problem := name_rules.qualified(gate["conditionType"]):
            yield invalid(
                f"{path}.readinessGates[{index}].conditionType", gate["conditionType"], problem
            )
    seen = set()
    for index, gate in enumerate(spec.get("schedulingGates") or ()):
        at = f"{path}.schedulingGates[{index}]"
        if problem := name_rules.qualified(gate["name"]):
            yield invalid(at, gate["name"], problem)
        if gate["name"] in seen:
            yield duplicate(at, gate["name"])
        seen.add(gate["name"])


def _check_toleration(toleration: Object, path: str) -> Causes:
    key, operator, value = (toleration.get(field, "") for field in ("key", "operator", "value"))
    effect = toleration.get("effect", "")
    yield from valid_name(f"{path}.key", key, name_rules.qualified)
    if not key and operator != "Exists":
        yield invalid(
            f"{path}.operator",
            operator,
            "must be Exists when no key is given, which means all keys",
        )
    if "tolerationSeconds" in toleration and effect != "NoExecute":
        yield invalid(f"{path}.effect", effect, "must be NoExecute when tolerationSeconds is given")
    match operator:
        case "" | "Equal":
            yield from valid_name(f"{path}.operator", value, name_rules.label_value)
        case "Exists":
            if value:
                yield invalid(f"{path}.operator", value, "no value may be given for Exists")
        case _:
            yield not_supported(f"{path}.operator", operator, ["Equal", "Exists"])
    if effect:
        yield from one_of(f"{path}.effect", effect, EFFECTS)


def _check_affinity(affinity: Object, path: str) -> Causes:
    if (nodes := affinity.get("nodeAffinity")) is not None:
        at = f"{path}.nodeAffinity"
        if _REQUIRED in nodes:
            yield from check_node_terms(
                nodes[_REQUIRED].get("nodeSelectorTerms"), f"{at}.{_REQUIRED}.nodeSelectorTerms"
            )
        for index, preferred in enumerate(nodes.get(_PREFERRED) or ()):
            yield from _check_weight(preferred, f"{at}.{_PREFERRED}[{index}]")
            yield from check_node_term(
                preferred["preference"], f"{at}.{_PREFERRED}[{index}].preference"
            )
    for field in ("podAffinity", "podAntiAffinity"):
        held = affinity.get(field) or {}
        for index, term in enumerate(held.get(_REQUIRED) or ()):
            yield from _check_pod_term(term, f"{path}.{field}.{_REQUIRED}[{index}]")
        for index, preferred in enumerate(held.get(_PREFERRED) or ()):
            at = f"{path}.{field}.{_PREFERRED}[{index}]"
            yield from _check_weight(preferred, at)
            yield from _check_pod_term(preferred["podAffinityTerm"], f"{at}.podAffinityTerm")


def _check_weight(preferred: Object, path: str) -> Causes:
    if not 1 <= preferred["weight"] <= 100:
        yield invalid(f"{path}.weight", preferred["weight"], "must be in the range 1-100")


def _check_pod_term(term: Object, path: str) -> Causes:
    yield from check_selector(term.get("labelSelector"), f"{path}.labelSelector")
    yield from check_selector(term.get("namespaceSelector"), f"{path}.namespaceSelector")
    for name in term.get("namespaces") or ():
        yield from required_name(f"{path}.namespace", name, name_rules.label)
    yield from required_name(f"{path}.topologyKey", term["topologyKey"], name_rules.qualified)


def _check_spreading(constraint: Object, path: str) -> Causes:
    if constraint["maxSkew"] <= 0:
        yield invalid(f"{path}.maxSkew", constraint["maxSkew"], "must be greater than zero")
    if not constraint["topologyKey"]:
        yield required(f"{path}.topologyKey", "can not be empty")
    yield from one_of(
        f"{path}.whenUnsatisfiable",
        constraint["whenUnsatisfiable"] or None,
        ["DoNotSchedule", "ScheduleAnyway"],
    )
    if not constraint["whenUnsatisfiable"]:
        yield not_supported(f"{path}.whenUnsatisfiable", "", ["DoNotSchedule", "ScheduleAnyway"])
    if (least := constraint.get("minDomains")) is not None and least <= 0:
        yield invalid(f"{path}.minDomains", least, "must be greater than zero")
    yield from check_selector(constraint.get("labelSelector"), f"{path}.labelSelector")


def check_taints(taints: list[Object] | None, path: str) -> Causes:
    """Check the taints of a node; each pair of key and effect must be unique."""
    seen = set()
    for index, taint in enumerate(taints or ()):
        at, pair = f"{path}[{index}]", (taint["key"], taint["effect"])
        if problem := name_rules.qualified(taint["key"]):
            yield invalid(f"{at}.key", taint["key"], problem)
        yield from valid_name(f"{at}.value", taint.get("value"), name_rules.label_value)
        yield from one_of(f"{at}.effect", taint["effect"], EFFECTS)
        if pair in seen:
            yield duplicate(at, taint)
        seen.add(pair)
