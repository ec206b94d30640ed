"""Kubernetes' LabelSelector as it stands in our kinds (Kubernetes API reference). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .causes import Cause, forbidden, invalid, required

Object = Mapping[str, Any]

_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


_OPERATORS = {"In", "NotIn", "Exists", "DoesNotExist"}
_KEY_RULE = "a label's name has at most 63 letters, digits, '-', '_' or '.', and may have a domain before it"
_VALUE_RULE = "a label's value has at most 63 letters, digits, '-', '_' or '.'"


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


def check(selector: Object, at: str) -> list[Cause]:
    """Causes against a selector at the field `at`, as the API server has them against those of its own kinds."""
    causes = check_labels(selector.get("matchLabels") or {}, f"{at}.matchLabels")
    for index, expression in enumerate(selector.get("matchExpressions") or ()):
        causes += _check_expression(expression, f"{at}.matchExpressions[{index}]")
    return causes


def check_labels(labels: Mapping[str, str], at: str) -> list[Cause]:
    """Causes against keys and values of labels, all of them at the field `at`."""
    causes = []
    for key, value in labels.items():
        if not _KEY.fullmatch(key):
            causes.append(invalid(at, key, _KEY_RULE))
        if not _VALUE.fullmatch(value):
            causes.append(invalid(at, value, _VALUE_RULE))
    return causes


def _check_expression(expression: Object, at: str) -> list[Cause]:
    operator, values = expression["operator"], expression.get("values") or []
    causes = []
    if operator not in _OPERATORS:
        causes.append(invalid(f"{at}.operator", operator, "not a valid selector operator"))
    elif operator in ("In", "NotIn") and not values:
        causes.append(required(f"{at}.values", "must be given when `operator` is In or NotIn"))
    elif operator in ("Exists", "DoesNotExist") and values:
        causes.append(forbidden(f"{at}.values", "may not be given when `operator` is Exists or DoesNotExist"))
    if not _KEY.fullmatch(expression["key"]):
        causes.append(invalid(f"{at}.key", expression["key"], _KEY_RULE))
    causes += [invalid(f"{at}.values[{index}]", value, _VALUE_RULE) for index, value in enumerate(values) if not _VALUE.fullmatch(value)]
    return causes


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
