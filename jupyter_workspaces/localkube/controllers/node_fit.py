"""Whether a pod fits on a node: node selector, affinity, taints and resources. Pure.

The reasons are for users: they become the message of the pod's condition `PodScheduled`. The
workspace controller (`controller/workspaces/states.py`) recognizes some of them by their wording.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from jupyter_workspaces.common.quantities import QuantityError, parse
from jupyter_workspaces.kube.types import Object

SHARED = ("cpu", "memory", "ephemeral-storage")
"""Resources that pods may overcommit, because idle processes use none of them.

Anything else, such as a GPU, belongs to one pod.
"""

_LABELS = {"cpu": "CPU", "memory": "memory", "ephemeral-storage": "disk space"}


def unschedulable_reason(pod: Object, node: Object, others: Iterable[Object]) -> str | None:
    """Return why a pod does not fit on a node; None if it fits.

    Args:
        pod: The pod to place.
        node: The node.
        others: Pods on the node that have not ended.
    """
    for reason in (_selector(pod, node), _affinity(pod, node), _taints(pod, node)):
        if reason:
            return reason
    return _resources(pod, node, list(others))


def requests(pod: Object) -> dict[str, Decimal]:
    """Return what a pod requests of each resource.

    That is the sum of its containers or the maximum of its init containers, whichever is larger.
    """
    total: dict[str, Decimal] = {}
    for container in pod["spec"].get("containers") or ():
        for name, amount in _container_requests(container).items():
            total[name] = total.get(name, Decimal(0)) + amount
    for container in pod["spec"].get("initContainers") or ():
        for name, amount in _container_requests(container).items():
            total[name] = max(total.get(name, Decimal(0)), amount)
    return total


def _container_requests(container: Object) -> dict[str, Decimal]:
    resources = container.get("resources") or {}
    found: dict[str, Decimal] = {}
    for name, amount in {
        **(resources.get("limits") or {}),
        **(resources.get("requests") or {}),
    }.items():
        try:
            found[name] = parse(str(amount))
        except QuantityError:
            continue  # one malformed pod must not stop the scheduling of others
    return found


def _resources(pod: Object, node: Object, others: list[Object]) -> str | None:
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    if "pods" in allocatable and len(others) + 1 > parse(str(allocatable["pods"])):
        return (
            f"this computer already runs {len(others)} pods, the maximum; "
            "pause or delete a workspace"
        )
    for name, amount in requests(pod).items():
        if amount <= 0:
            continue
        held = parse(str(allocatable.get(name, "0")))
        if amount > held:
            if held == 0:
                return (
                    f"it requests {amount.normalize():f} {name}, and this computer has none; "
                    "choose a size without it"
                )
            return (
                f"it requests {_human(name, amount)}, and this computer has {_human(name, held)}; "
                "choose a smaller size"
            )
        if name not in SHARED:
            taken = sum((requests(other).get(name, Decimal(0)) for other in others), Decimal(0))
            if taken + amount > held:
                return (
                    f"all {held.normalize():f} {name} of this computer are in use; pause the "
                    "workspace that uses them, or choose a size without"
                )
    return None


def _human(name: str, amount: Decimal) -> str:
    if name == "cpu":
        return f"{amount.normalize():f} {_LABELS[name]}"
    if name in _LABELS:
        return f"{float(amount) / 2**30:.3g} GiB of {_LABELS[name]}"
    return f"{amount.normalize():f} {name}"


def _selector(pod: Object, node: Object) -> str | None:
    labels = node["metadata"].get("labels") or {}
    for key, value in (pod["spec"].get("nodeSelector") or {}).items():
        if labels.get(key) != value:
            return (
                f"it requires a computer labelled {key}={value}, and this one is not; choose "
                "another size"
            )
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
        if all(_matches(found, labels) for found in expressions) and all(
            _matches(found, fields) for found in by_field
        ):
            return None
    return "its node affinity asks for a computer unlike this one; choose another size"


def _matches(expression: Object, labels: dict[str, str]) -> bool:
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
            return f"it does not tolerate the taint {taint['key']} of this computer"
    return None


def _tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return toleration.get("key") == taint["key"] and (toleration.get("value") or "") == (
        taint.get("value") or ""
    )
