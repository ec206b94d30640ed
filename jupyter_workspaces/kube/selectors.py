"""Kubernetes' LabelSelector as it stands in our kinds (Kubernetes API reference). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .labels import check_selector

Object = Mapping[str, Any]


def matches(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether all of it holds; an empty selector fits everything."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions") or ():
        key, operator, values = (
            expression["key"],
            expression["operator"],
            expression.get("values") or (),
        )
        held = labels.get(key)
        fits = {
            "In": held in values,
            "NotIn": held not in values,
            "Exists": held is not None,
            "DoesNotExist": held is None,
        }
        if not fits.get(operator, False):
            return False
    return True


def is_usable(selector: Object) -> bool:
    """Whether Kubernetes could read it."""
    return next(check_selector(selector, ""), None) is None
