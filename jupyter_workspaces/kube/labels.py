"""Checks labels, annotations and label selectors, and returns one cause for each error.

Sources: Kubernetes docs, "Labels and Selectors" and "Annotations"; API reference, LabelSelector.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from jupyter_workspaces.common import dns_names

from .causes import (
    Cause,
    forbidden,
    invalid,
    required,
    too_long,
)
from .names import NAME_LENGTH, has_name_characters
from .types import ObjectView

ANNOTATION_BYTES = 256 * 2**10

_PLAIN = "use letters, digits, '-', '_' and '.', with a letter or digit at both ends"
_LISTED, _BARE = ("In", "NotIn"), ("Exists", "DoesNotExist")


def key_problems(key: str) -> Iterator[str]:
    """Yield what is wrong with the key of a label or annotation: `name`, or `domain/name`."""
    prefix, slash, name = key.partition("/")
    if not slash:
        prefix, name = "", key
    elif "/" in name:
        yield "use at most one '/', after a domain"
        return
    elif not prefix:
        yield "the part before '/' may not be empty"
    else:
        if len(prefix) > dns_names.SUBDOMAIN_LENGTH:
            yield f"the part before '/' has at most {dns_names.SUBDOMAIN_LENGTH} characters"
        if not dns_names.has_subdomain_characters(prefix):
            yield "the part before '/' must be a domain of lower-case letters, digits, '-' and '.'"
    if not name:
        yield "the name may not be empty"
    elif len(name) > NAME_LENGTH:
        yield f"the name has at most {NAME_LENGTH} characters"
    if not has_name_characters(name):
        yield _PLAIN


def value_problems(value: str) -> Iterator[str]:
    """Yield what is wrong with the value of a label, which may be empty."""
    if len(value) > NAME_LENGTH:
        yield f"a label's value has at most {NAME_LENGTH} characters"
    if value and not has_name_characters(value):
        yield _PLAIN


def check_labels(labels: Mapping[str, str] | None, path: str) -> Iterator[Cause]:
    """Check the keys and values of labels."""
    for key, value in (labels or {}).items():
        for problem in key_problems(key):
            yield invalid(path, key, problem)
        for problem in value_problems(value):
            yield invalid(path, value, problem)


def check_annotations(annotations: Mapping[str, str] | None, path: str) -> Iterator[Cause]:
    """Check the keys of annotations, in any case, and the size of all keys and values together."""
    size = 0
    for key, value in (annotations or {}).items():
        size += len(key.encode()) + len(value.encode())
        for problem in key_problems(key.lower()):
            yield invalid(path, key, problem)
    if size > ANNOTATION_BYTES:
        yield too_long(path, ANNOTATION_BYTES)


def check_selector(selector: ObjectView | None, path: str) -> Iterator[Cause]:
    """Check a LabelSelector. None is valid and selects nothing."""
    if selector is None:
        return
    yield from check_labels(selector.get("matchLabels"), f"{path}.matchLabels")
    for index, expression in enumerate(selector.get("matchExpressions") or ()):
        at = f"{path}.matchExpressions[{index}]"
        operator, values = expression.get("operator"), expression.get("values") or ()
        if operator in _LISTED and not values:
            yield required(f"{at}.values", "must be given for the operators In and NotIn")
        if operator in _BARE and values:
            yield forbidden(
                f"{at}.values", "may not be given for the operators Exists and DoesNotExist"
            )
        if operator not in (*_LISTED, *_BARE):
            yield invalid(f"{at}.operator", operator, "is not an operator of a label selector")
        for problem in key_problems(expression.get("key") or ""):
            yield invalid(f"{at}.key", expression.get("key"), problem)
        for number, value in enumerate(values):
            for problem in value_problems(value):
                yield invalid(f"{at}.values[{number}]", value, problem)
