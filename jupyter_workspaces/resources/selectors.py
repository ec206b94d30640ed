"""Kubernetes' LabelSelector as it stands in our kinds (Kubernetes API reference). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Object = Mapping[str, Any]

_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


def matches(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether all of it holds; an empty selector fits everything."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions") or ():
        key, operator, values = expression["key"], expression["operator"], expression.get("values") or ()
        held = labels.get(key)
        fits = {"In": held in values, "NotIn": held not in values, "Exists": held is not None, "DoesNotExist": held is None}
        if not fits.get(operator, False):
            return False
    return True


def is_usable(selector: Object) -> bool:
    """Whether Kubernetes could read it."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if not _KEY.fullmatch(key) or not _VALUE.fullmatch(value):
            return False
    for expression in selector.get("matchExpressions") or ():
        values = expression.get("values") or []
        wants_values = {"In": True, "NotIn": True, "Exists": False, "DoesNotExist": False}.get(expression["operator"])
        if wants_values is None or wants_values is not bool(values) or not _KEY.fullmatch(expression["key"]):
            return False
        if not all(_VALUE.fullmatch(value) for value in values):
            return False
    return True
