"""Field selectors, and both selectors of a request as one predicate.

Source: Kubernetes docs, "Field Selectors". Label selectors are in `kube/selectors.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from jupyter_workspaces.kube import selectors
from jupyter_workspaces.localkube.apiserver.http.status import bad_request
from jupyter_workspaces.localkube.apiserver.store.store import Stored

Predicate = Callable[[Stored], bool]
_FIELD = re.compile(r"([A-Za-z.]+)\s*(==|=|!=)")

SELECTABLE = {
    "pods": {
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.serviceAccountName",
        "status.phase",
        "status.podIP",
    },
    "events": {
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    },
    "namespaces": {"status.phase"},
    "secrets": {"type"},
    "nodes": {"spec.unschedulable"},
}
"""Selectable fields besides name and namespace, by plural of the resource."""


def read(obj: dict[str, Any], path: str) -> str:
    """Return a selectable field as text; empty if it is absent."""
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
    """Return a predicate for a field selector; None if it selects everything.

    Empty parts are ignored, as by Kubernetes: kr8s sends `metadata.name=x,`.

    Raises:
        Refusal: 400 for a field that cannot be selected.
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


def predicate(
    label_selector: str | None, field_selector: str | None, plural: str
) -> Predicate | None:
    """Return a predicate for both selectors, label selector first; None without selectors.

    Raises:
        Refusal: 400 if one is malformed.
    """
    try:
        by_label = selectors.parse(label_selector)
    except selectors.InvalidSelector as error:
        raise bad_request(str(error)) from None
    by_field = fields(field_selector, plural)
    if by_label is None:
        return by_field
    if by_field is None:
        return lambda held: by_label(held.labels)
    return lambda held: by_label(held.labels) and by_field(held)


def exact_name(selector: str | None) -> str | None:
    """Return the name that a field selector requires, or None."""
    for part in (selector or "").split(","):
        part = part.strip()
        found = _FIELD.match(part)
        if found is not None and found[1] == "metadata.name" and found[2] != "!=":
            return part[found.end() :].strip()
    return None
