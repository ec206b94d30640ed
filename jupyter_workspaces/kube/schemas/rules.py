"""Validation rules: those of our two CRDs are Python here, found by their text; for other CRDs' an extra brings a CEL library.

Without it those are not evaluated, which a warning says when such a CRD is written (`unchecked`). Source: Kubernetes docs, “Validation rules”.
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


def _only_one(*names: str) -> Rule:
    return lambda value, old: sum(name in value for name in names) == 1


RULES: Mapping[str, Rule] = {
    "self": lambda value, old: bool(value),
    "self == oldSelf": lambda value, old: bool(value == old),
    "has(self.url) != has(self.configMap)": _only_one("url", "configMap"),
    "has(self.podExec) != has(self.jupyter)": _only_one("podExec", "jupyter"),
    "self.minProbeIntervalSeconds <= self.probeIntervalSeconds": (
        lambda value, old: bool(value["minProbeIntervalSeconds"] <= value["probeIntervalSeconds"])
    ),
    "has(self.pauseWorkspace)": lambda value, old: "pauseWorkspace" in value,
    "(has(self.matchNamespace) ? 1 : 0) + (has(self.matchImageConfig) ? 1 : 0) + (has(self.matchPodConfig) ? 1 : 0) == 1": (
        _only_one("matchNamespace", "matchImageConfig", "matchPodConfig")
    ),
    "has(self.ui) || has(self.api)": lambda value, old: "ui" in value or "api" in value,
    "!has(self.denyMessage) || (has(self.deny) && self.deny)": lambda value, old: (
        "denyMessage" not in value or bool(value.get("deny"))
    ),
}
"""By its text, a function of the value and the old value. `oldSelf` in the text: only asked where there is an old value."""


class Judged(NamedTuple):
    """A value whose schema has rules; `unchanged` is what an update left as it was."""

    schema: dict[str, Any]
    value: Any
    old: Any
    path: str
    unchanged: bool


def judge(found: Iterable[Judged], *, tolerated: bool = False) -> Iterator[Cause]:
    """What the rules hold against the values of one object. What an update leaves as it was is held to transition rules only.

    `tolerated` is the rest: what the other rules hold against what an update leaves as it was.
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
            known = None if optional else RULES.get(text)
            if known is not None:
                if not known(value, old):
                    yield _broken(rule, value, path, rule.get("message") or f"failed rule: {text}")
            elif is_installed():
                from .expressions import evaluation
                from .expressions.environments import EvaluationError

                evaluating = evaluating or evaluation.Judge()
                try:
                    failure = evaluating.failure(rule, schema, value, old, root=path == "")
                except EvaluationError as error:
                    what = f"{error} evaluating rule: {rule.get('message') or text}"
                    yield invalid(path, schema.get("type", "value"), what)
                else:
                    if failure is not None:
                        yield _broken(rule, value, path, failure)


def unchecked(schema: dict[str, Any]) -> list[str]:
    """Rules of a schema that objects are not held to here, as they are written."""
    found = [
        rule["rule"]
        for rule in all_rules(schema)
        if rule.get("optionalOldSelf") or rule["rule"] not in RULES
    ]
    if not is_installed():
        return found
    if not found:
        return []
    from .expressions import evaluation

    return [rule for rule in found if not evaluation.can_run(rule)]


def unchecked_warning(rules: list[str]) -> str:
    """One sentence about what `unchecked` found."""
    first = " ".join(rules[0].split())
    shown = first if len(first) <= 120 else first[:120] + "…"
    many = f"{len(rules)} validation rules are" if len(rules) > 1 else "1 validation rule is"
    why = (
        "they use what the CEL library here does not know"
        if is_installed()
        else f"install {EXTRA} to have them checked"
    )
    return f"{many} not checked on this local cluster ({why}); objects that break them are accepted: {shown}"


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
