"""Evaluates the validation rules of CRDs (`x-kubernetes-validations`).

A rule is evaluated by the Python function that is registered for its text, else by a CEL library,
which is an optional dependency (`expressions`). Without the library such a rule is not evaluated,
and a warning says so when the CRD is written. Source: Kubernetes docs, "Extend the Kubernetes API
with CustomResourceDefinitions", Validation rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from jupyter_workspaces.kube.causes import (
    Cause,
    duplicate,
    forbidden,
    invalid,
    required,
)

from .expressions import EXTRA, is_installed, texts
from .expressions.checking import VALIDATIONS, all_rules
from .expressions.values import aligned

Rule = Callable[[Any, Any], bool]
"""Returns whether a value is valid; the arguments are the value and the old value or None."""


_RULES: dict[str, Rule] = {}
_GROUPS: dict[str, frozenset[str]] = {}


def register(group: str, rules: Mapping[str, Rule]) -> None:
    """Register Python functions for the validation rules of the CRDs of an API group.

    Args:
        group: the API group, such as `example.org`.
        rules: functions of the value and the old value, by the text of the rule. A rule whose
            text contains `oldSelf` is evaluated only if there is an old value.
    """
    _RULES.update(rules)
    _GROUPS[group] = registered(group) | rules.keys()


def registered(group: str) -> frozenset[str]:
    """Return the texts of the rules that are registered for an API group."""
    return _GROUPS.get(group, frozenset())


class ValueWithRules(NamedTuple):
    """A value whose schema has rules; `unchanged` is true if an update does not change it."""

    schema: dict[str, Any]
    value: Any
    old: Any
    path: str
    unchanged: bool


def check_rules(found: Iterable[ValueWithRules], *, tolerated: bool = False) -> Iterator[Cause]:
    """Yield the causes of the rules that the values of one object break.

    Values that an update does not change must only keep transition rules (those with `oldSelf`).

    Args:
        found: the values with rules.
        tolerated: yield instead the causes of the other rules for values that an update does not
            change.
    """
    evaluating = None
    for schema, value, before, path, unchanged in found:
        old = aligned(schema, value, before)
        for rule in schema[VALIDATIONS]:
            text, optional = rule.get("rule", ""), bool(rule.get("optionalOldSelf"))
            transition = texts.uses_old(text)
            if (transition and old is None and not optional) or tolerated is not (
                unchanged and not transition
            ):
                continue
            known = None if optional else _RULES.get(text)
            if known is not None:
                if not known(value, old):
                    yield _broken(rule, value, path, rule.get("message") or f"failed rule: {text}")
            elif is_installed():
                from .expressions import evaluation
                from .expressions.environments import EvaluationError

                evaluating = evaluating or evaluation.RuleEvaluator()
                try:
                    failure = evaluating.failure(rule, schema, value, old, root=path == "")
                except EvaluationError as error:
                    what = f"{error} evaluating rule: {rule.get('message') or text}"
                    yield invalid(path, schema.get("type", "value"), what)
                else:
                    if failure is not None:
                        yield _broken(rule, value, path, failure)


def unchecked(schema: dict[str, Any]) -> list[str]:
    """Return the rules of a schema that are not evaluated here, as they are written."""
    found = [
        rule["rule"]
        for rule in all_rules(schema)
        if rule.get("optionalOldSelf") or rule["rule"] not in _RULES
    ]
    if not is_installed():
        return found
    if not found:
        return []
    from .expressions import evaluation

    return [rule for rule in found if not evaluation.can_run(rule)]


def unchecked_warning(rules: list[str]) -> str:
    """Return a warning, in one sentence, about the rules that `unchecked` returned."""
    first = " ".join(rules[0].split())
    shown = first if len(first) <= 120 else first[:120] + "…"
    many = f"{len(rules)} validation rules are" if len(rules) > 1 else "1 validation rule is"
    why = (
        "the CEL library does not support them"
        if is_installed()
        else f"install {EXTRA} to have them checked"
    )
    return (
        f"{many} not checked on this local cluster ({why}); "
        f"objects that break them are accepted: {shown}"
    )


def _broken(rule: Mapping[str, Any], value: Any, path: str, message: str) -> Cause:
    where, shown = _at(path, rule.get("fieldPath") or ""), not isinstance(value, (dict, list))
    match rule.get("reason"):
        case "FieldValueForbidden":
            return forbidden(where, message)
        case "FieldValueRequired":
            return required(where, message)
        case "FieldValueDuplicate":
            return (
                duplicate(where, value)
                if shown
                else Cause("FieldValueDuplicate", "Duplicate value", where)
            )
    return (
        invalid(where, value, message)
        if shown
        else Cause("FieldValueInvalid", f"Invalid value: {message}", where)
    )


def _at(path: str, more: str) -> str:
    for index, (name, is_key) in enumerate(texts.steps(more) or ()):
        step = f"[{name}]" if is_key else name
        path = f"{path}{step}" if is_key and index else f"{path}.{step}" if path else step
    return path
