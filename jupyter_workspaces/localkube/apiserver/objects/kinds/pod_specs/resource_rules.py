"""Rules of resources: names and amounts of requests and limits."""

from __future__ import annotations

from decimal import Decimal

from jupyter_workspaces.common.quantities import parse
from jupyter_workspaces.kube.causes import forbidden, invalid, required
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects import name_rules
from jupyter_workspaces.localkube.apiserver.objects.kinds.values import Causes

_STANDARD = ("cpu", "memory", "ephemeral-storage")
_HUGE_PAGES = "hugepages-"


def check_resources(resources: Object, path: str) -> Causes:
    """Check the ResourceRequirements of a container."""
    limits, requests = _amounts(resources, "limits"), _amounts(resources, "requests")
    for section, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            yield from _check_name(name, f"{path}.{section}[{name}]")
            yield from check_amount(name, amount, f"{path}.{section}[{name}]")
    for name, amount in requests.items():
        if name in limits:
            if amount != limits[name] and not _may_exceed(name):
                yield invalid(
                    f"{path}.requests",
                    resources["requests"][name],
                    f"must be equal to the limit of {name}",
                )
            elif amount > limits[name]:
                yield invalid(
                    f"{path}.requests",
                    resources["requests"][name],
                    f"must be less than or equal to the limit of {name}",
                )
        elif not _may_exceed(name):
            yield required(
                f"{path}.limits",
                f"must be set for {name}, which cannot be overcommitted",
            )
    given = limits.keys() | requests.keys()
    if any(name.startswith(_HUGE_PAGES) for name in given) and not given & {"cpu", "memory"}:
        yield forbidden(path, "huge pages require cpu or memory")


def check_amount(name: str, amount: Decimal, path: str) -> Causes:
    """Check the amount of a resource."""
    if amount < 0:
        yield invalid(path, str(amount), "must be greater than or equal to 0")
    elif _is_extended(name) and amount != amount.to_integral_value():
        yield invalid(path, str(amount), "must be an integer")


def _amounts(resources: Object, section: str) -> dict[str, Decimal]:
    return {name: parse(amount) for name, amount in (resources.get(section) or {}).items()}


def _check_name(name: str, path: str) -> Causes:
    if problem := name_rules.qualified(name):
        yield invalid(path, name, problem)
    elif name not in _STANDARD and not name.startswith(_HUGE_PAGES) and not _is_extended(name):
        yield invalid(
            path,
            name,
            "must be a resource that containers have: a standard one, or one with a domain",
        )


def _is_extended(name: str) -> bool:
    """Return whether it is an extended resource: integers, with a domain in the name."""
    return "/" in name and "kubernetes.io/" not in name and not name.startswith("requests.")


def _may_exceed(name: str) -> bool:
    """Return whether a node may overcommit the resource."""
    return ("/" not in name and not name.startswith(_HUGE_PAGES)) or "kubernetes.io/" in name
