"""Label and field selectors, parsed once and then asked many times (Kubernetes docs, “Labels and Selectors”)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from jupyter_workspaces.localkube.apiserver.http.status import bad_request
from jupyter_workspaces.localkube.apiserver.store.store import Stored

Predicate = Callable[[Stored], bool]
Labels = Callable[[dict[str, str]], bool]
_KEY = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?(?:/[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")

# Of one requirement without white space around it: two expressions in a row that may both match white space take quadratic time.
_SET = re.compile(rf"({_KEY})\s+(in|notin)\s*\(([^()]*)\)")
_EQUALS = re.compile(rf"({_KEY})\s*(==|=|!=)\s*([^=!,()\s]*)")
_COMPARES = re.compile(rf"({_KEY})\s*([<>])\s*([-+]?[0-9]{{1,18}})")
_NUMBER = re.compile(r"[-+]?[0-9]{1,18}")
_EXISTS = re.compile(rf"(?:(!)\s*)?({_KEY})")
_FIELD = re.compile(r"([A-Za-z.]+)\s*(==|=|!=)")

SELECTABLE = {
    "pods": {"spec.nodeName", "spec.restartPolicy", "spec.serviceAccountName", "status.phase", "status.podIP"},
    "events": {
        "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid", "involvedObject.apiVersion",
        "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason", "reportingComponent", "source", "type",
    },
    "namespaces": {"status.phase"},
    "secrets": {"type"},
    "nodes": {"spec.unschedulable"},
}  # fmt: skip
"""Fields that may be selected beside `metadata.name` and `metadata.namespace`, by plural."""


def split(selector: str) -> list[str]:
    """Cut at commas outside parentheses."""
    parts, depth, current = [], 0, ""
    for letter in selector:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append(current)
            current = ""
        else:
            current += letter
    return [*parts, current]


def labels(selector: str | None) -> Labels | None:
    """What a label selector asks of labels; None when it asks nothing. Raises `Refusal` 400."""
    if not selector or not selector.strip():
        return None
    tests = [_label_test(part) for part in split(selector)]
    return lambda held: all(test(held) for test in tests)


def _label_test(part: str) -> Labels:
    part = part.strip()
    if found := _SET.fullmatch(part):
        key, wanted, negated = (
            found[1],
            frozenset(value.strip() for value in found[3].split(",")),
            found[2] == "notin",
        )
        return lambda held: (held.get(key) in wanted) is not negated
    if (found := _EQUALS.fullmatch(part)) and _VALUE.fullmatch(found[3]):
        key, value, negated = found[1], found[3], found[2] == "!="
        return lambda held: (held.get(key) == value) is not negated
    if found := _COMPARES.fullmatch(part):
        return _comparison(found[1], found[2] == ">", int(found[3]))
    if found := _EXISTS.fullmatch(part):
        key, absent = found[2], bool(found[1])
        return lambda held: (key in held) is not absent
    raise bad_request(f"unable to parse requirement: {part!r} is not a label requirement")


def _comparison(key: str, greater: bool, bound: int) -> Labels:
    """A label that is no number is neither greater nor less."""

    def test(held: dict[str, str]) -> bool:
        text = held.get(key, "")
        return _NUMBER.fullmatch(text) is not None and (
            int(text) > bound if greater else int(text) < bound
        )

    return test


def read(obj: dict[str, Any], path: str) -> str:
    """A selectable field as text; absent is empty."""
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if path == "source":
        return (
            (value or {}).get("component", "")
            if isinstance(value, dict) or value is None
            else str(value)
        )
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def fields(selector: str | None, plural: str) -> Predicate | None:
    """What a field selector asks of an object; None when it asks nothing. Raises `Refusal` 400 for a field that cannot be selected.

    Empty parts are none, as with Kubernetes: kr8s sends `metadata.name=x,`.
    """
    tests = [_field_test(part, plural) for part in (selector or "").split(",") if part.strip()]
    if not tests:
        return None
    return lambda held: all(test(held) for test in tests)


def _field_test(part: str, plural: str) -> Predicate:
    found = _FIELD.match(part := part.strip())
    if found is None:
        raise bad_request(f"invalid selector: {part!r}; can't understand it")
    name, negated, value = found[1], found[2] == "!=", part[found.end() :].strip()
    if name == "metadata.name":
        return lambda held: (held.name == value) is not negated
    if name == "metadata.namespace":
        return lambda held: (held.namespace == value) is not negated
    if name in SELECTABLE.get(plural, ()):
        return lambda held: (read(held.decode(), name) == value) is not negated
    raise bad_request(f"field label not supported: {name}")


def as_text(selector: Any) -> str:
    """A label selector in the form of a query: `app=lab,tier in (a,b),!old`."""
    if not isinstance(selector, dict):
        return ""
    parts = [(key, f"{key}={value}") for key, value in (selector.get("matchLabels") or {}).items()]
    for one in selector.get("matchExpressions") or ():
        key, values = one["key"], ",".join(sorted(one.get("values") or ()))
        forms = {
            "In": f"{key} in ({values})",
            "NotIn": f"{key} notin ({values})",
            "Exists": key,
            "DoesNotExist": f"!{key}",
        }
        parts.append((key, forms[one["operator"]]))
    return ",".join(text for _, text in sorted(parts))


def both(label_selector: str | None, field_selector: str | None, plural: str) -> Predicate | None:
    """One predicate for both selectors, the cheap test first; None when neither asks anything."""
    by_label, by_field = labels(label_selector), fields(field_selector, plural)
    if by_label is None:
        return by_field
    if by_field is None:
        return lambda held: by_label(held.labels)
    return lambda held: by_label(held.labels) and by_field(held)


def exact_name(selector: str | None) -> str | None:
    """The one name that a field selector asks for, if it does."""
    for part in (selector or "").split(","):
        part = part.strip()
        found = _FIELD.match(part)
        if found is not None and found[1] == "metadata.name" and found[2] != "!=":
            return part[found.end() :].strip()
    return None
