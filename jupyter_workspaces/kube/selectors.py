"""Label selectors, in both forms that the Kubernetes API has.

An object holds a LabelSelector (`matchLabels` and `matchExpressions`); a query holds a text
(`app=lab,tier in (a,b),!old`). Source: Kubernetes docs, "Labels and Selectors".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from .labels import check_selector
from .names import is_label_value
from .types import ObjectView

Labels = Mapping[str, str]
LabelPredicate = Callable[[Labels], bool]

# Each pattern matches one requirement without white space around it: two expressions in a row that
# can both match white space take quadratic time.
_PART = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?"
_KEY = rf"{_PART}(?:/{_PART})?"
_SET = re.compile(rf"({_KEY})\s+(in|notin)\s*\(([^()]*)\)")
_EQUALS = re.compile(rf"({_KEY})\s*(==|=|!=)\s*([^=!,()\s]*)")
_COMPARES = re.compile(rf"({_KEY})\s*([<>])\s*([-+]?[0-9]{{1,18}})")
_NUMBER = re.compile(r"[-+]?[0-9]{1,18}")
_EXISTS = re.compile(rf"(?:(!)\s*)?({_KEY})")


class InvalidSelector(ValueError):
    """A text that is not a label selector. The message is that of the Kubernetes API."""


def matches(selector: ObjectView, labels: Labels) -> bool:
    """Return whether a LabelSelector matches labels. An empty selector matches everything.

    An expression with an unknown operator matches nothing.
    """
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(
        _expression_matches(expression, labels)
        for expression in selector.get("matchExpressions") or ()
    )


def _expression_matches(expression: ObjectView, labels: Labels) -> bool:
    held, values = labels.get(expression.get("key", "")), expression.get("values") or ()
    match expression.get("operator"):
        case "In":
            return held in values
        case "NotIn":
            return held not in values
        case "Exists":
            return held is not None
        case "DoesNotExist":
            return held is None
    return False


def is_valid(selector: ObjectView) -> bool:
    """Return whether the Kubernetes API would accept a LabelSelector."""
    return next(check_selector(selector, ""), None) is None


def as_text(selector: ObjectView) -> str:
    """Return a LabelSelector in the form of a query: `app=lab,tier in (a,b),!old`."""
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


def parse(selector: str | None) -> LabelPredicate | None:
    """Return a predicate for a selector in the form of a query; None if it selects everything.

    Raises:
        InvalidSelector: the text is not a label selector.
    """
    if not selector or not selector.strip():
        return None
    tests = [_parse_requirement(part) for part in _split(selector)]
    return lambda held: all(test(held) for test in tests)


def _split(selector: str) -> list[str]:
    """Split at the commas that are not in parentheses."""
    parts, depth, current = [], 0, ""
    for letter in selector:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append(current)
            current = ""
        else:
            current += letter
    return [*parts, current]


def _parse_requirement(part: str) -> LabelPredicate:
    part = part.strip()
    if found := _SET.fullmatch(part):
        key, negated = found[1], found[2] == "notin"
        wanted = frozenset(value.strip() for value in found[3].split(","))
        return lambda held: (held.get(key) in wanted) is not negated
    if (found := _EQUALS.fullmatch(part)) and is_label_value(found[3]):
        key, value, negated = found[1], found[3], found[2] == "!="
        return lambda held: (held.get(key) == value) is not negated
    if found := _COMPARES.fullmatch(part):
        return _comparison(found[1], found[2] == ">", int(found[3]))
    if found := _EXISTS.fullmatch(part):
        key, absent = found[2], bool(found[1])
        return lambda held: (key in held) is not absent
    raise InvalidSelector(f"unable to parse requirement: {part!r} is not a label requirement")


def _comparison(key: str, greater: bool, bound: int) -> LabelPredicate:
    """Compare a label with a number. A label that is not a number is neither greater nor less."""

    def test(held: Labels) -> bool:
        text = held.get(key, "")
        return _NUMBER.fullmatch(text) is not None and (
            int(text) > bound if greater else int(text) < bound
        )

    return test
