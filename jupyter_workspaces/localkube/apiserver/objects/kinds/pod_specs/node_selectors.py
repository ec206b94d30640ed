"""Rules of node selectors, in the affinity of pods and volumes."""

from __future__ import annotations

from collections.abc import Iterable

from jupyter_workspaces.kube.causes import forbidden, invalid, required
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects import name_rules
from jupyter_workspaces.localkube.apiserver.objects.kinds.values import Causes

_LISTED, _BARE, _COMPARED = ("In", "NotIn"), ("Exists", "DoesNotExist"), ("Gt", "Lt")


def check_node_terms(terms: Iterable[Object] | None, path: str) -> Causes:
    """Check `nodeSelectorTerms`, which needs at least one term."""
    if not terms:
        yield required(path, "must have at least one node selector term")
    for index, term in enumerate(terms or ()):
        yield from check_node_term(term, f"{path}[{index}]")


def check_node_term(term: Object, path: str) -> Causes:
    """Check one term."""
    for field in ("matchExpressions", "matchFields"):
        for index, expression in enumerate(term.get(field) or ()):
            at = f"{path}.{field}[{index}]"
            yield from _check_expression(expression, at)
            if expression["operator"] in _COMPARED and len(expression.get("values") or ()) != 1:
                yield required(f"{at}.values", "must be one value")
            elif expression["operator"] not in (*_LISTED, *_BARE, *_COMPARED):
                yield invalid(
                    f"{at}.operator",
                    expression["operator"],
                    "is not an operator of a node selector",
                )
            if field == "matchExpressions" and (problem := name_rules.qualified(expression["key"])):
                yield invalid(f"{at}.key", expression["key"], problem)


def _check_expression(expression: Object, path: str) -> Causes:
    values = expression.get("values")
    if expression["operator"] in _LISTED and not values:
        yield required(f"{path}.values", "must be given for the operators In and NotIn")
    if expression["operator"] in _BARE and values:
        yield forbidden(
            f"{path}.values", "may not be given for the operators Exists and DoesNotExist"
        )
