"""Whether a pod may run on a node, as pure functions: each answers why not, in words for the person who waits."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from jupyter_workspaces.common.quantities import QuantityError, parse

Object = dict[str, Any]

SHARED = ("cpu", "memory", "ephemeral-storage")
"""What pods share: a pod is a process, and one that idles takes nothing. Everything else (a GPU) is one pod's alone."""

_WORDS = {"cpu": "CPU", "memory": "memory", "ephemeral-storage": "disk space"}


def why_not(pod: Object, node: Object, others: Iterable[Object]) -> str | None:
    """None when the pod fits beside `others`, the pods that the node has and that have not ended."""
    for reason in (_selector(pod, node), _affinity(pod, node), _taints(pod, node)):
        if reason:
            return reason
    return _room(pod, node, list(others))


def requests(pod: Object) -> dict[str, Decimal]:
    """What a pod asks for: the sum of its containers, or the largest of its init containers where that is more."""
    total: dict[str, Decimal] = {}
    for container in pod["spec"].get("containers") or ():
        for name, amount in _asked(container).items():
            total[name] = total.get(name, Decimal(0)) + amount
    for container in pod["spec"].get("initContainers") or ():
        for name, amount in _asked(container).items():
            total[name] = max(total.get(name, Decimal(0)), amount)
    return total


def _asked(container: Object) -> dict[str, Decimal]:
    resources = container.get("resources") or {}
    found: dict[str, Decimal] = {}
    for name, amount in {
        **(resources.get("limits") or {}),
        **(resources.get("requests") or {}),
    }.items():
        try:
            found[name] = parse(str(amount))
        except QuantityError:
            continue  # refused at the door for pods made by a template; a stray one must not stop the others
    return found


def _room(pod: Object, node: Object, others: list[Object]) -> str | None:
    there = (node.get("status") or {}).get("allocatable") or {}
    if "pods" in there and len(others) + 1 > parse(str(there["pods"])):
        return f"this computer runs {len(others)} pods already, as many as it may; pause or delete a workspace"
    for name, amount in requests(pod).items():
        if amount <= 0:
            continue
        held = parse(str(there.get(name, "0")))
        if amount > held:
            if held == 0:
                return f"it asks for {amount.normalize():f} {name}, and this computer has none; choose a size without it"
            return f"it asks for {_human(name, amount)}, and this computer has {_human(name, held)}; choose a smaller size"
        if name not in SHARED:
            taken = sum((requests(other).get(name, Decimal(0)) for other in others), Decimal(0))
            if taken + amount > held:
                return f"all {held.normalize():f} {name} here are in use; pause the workspace that has them, or choose a size without"
    return None


def _human(name: str, amount: Decimal) -> str:
    if name == "cpu":
        return f"{amount.normalize():f} {_WORDS[name]}"
    if name in _WORDS:
        return f"{float(amount) / 2**30:.3g} GiB of {_WORDS[name]}"
    return f"{amount.normalize():f} {name}"


def _selector(pod: Object, node: Object) -> str | None:
    labels = node["metadata"].get("labels") or {}
    for key, value in (pod["spec"].get("nodeSelector") or {}).items():
        if labels.get(key) != value:
            return f"it asks for a computer labelled {key}={value}, and this one is not; choose another size"
    return None


def _affinity(pod: Object, node: Object) -> str | None:
    required = (((pod["spec"].get("affinity") or {}).get("nodeAffinity")) or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if not required:
        return None
    labels = node["metadata"].get("labels") or {}
    fields = {"metadata.name": node["metadata"]["name"]}
    for term in required.get("nodeSelectorTerms") or ():
        expressions, by_field = term.get("matchExpressions") or (), term.get("matchFields") or ()
        if not expressions and not by_field:
            continue
        if all(_holds(found, labels) for found in expressions) and all(
            _holds(found, fields) for found in by_field
        ):
            return None
    return "its node affinity asks for a computer unlike this one; choose another size"


def _holds(expression: Object, labels: dict[str, str]) -> bool:
    held, values = labels.get(expression["key"]), expression.get("values") or []
    operator = expression["operator"]
    if operator == "In":
        return held in values
    if operator == "NotIn":
        return held not in values
    if operator == "Exists":
        return held is not None
    if operator == "DoesNotExist":
        return held is None
    try:
        return held is not None and (
            int(held) > int(values[0]) if operator == "Gt" else int(held) < int(values[0])
        )
    except (ValueError, IndexError):
        return False


def _taints(pod: Object, node: Object) -> str | None:
    for taint in (node.get("spec") or {}).get("taints") or ():
        if taint.get("effect") in ("NoSchedule", "NoExecute") and not any(
            _tolerates(found, taint) for found in pod["spec"].get("tolerations") or ()
        ):
            return f"this computer is kept free by the taint {taint['key']}"
    return None


def _tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return toleration.get("key") == taint["key"] and (toleration.get("value") or "") == (
        taint.get("value") or ""
    )
