"""Checks the rules of a CRD, with the messages of a real API server.

Without the library only errors that the text of a rule shows are found. Source: Kubernetes docs,
"Validation rules"; the causes were compared with a real API server.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jupyter_workspaces.kube.causes import (
    Cause,
    forbidden,
    invalid,
    not_supported,
    required,
)

from . import is_installed, texts
from .values import Schema

VALIDATIONS = "x-kubernetes-validations"
_REASONS = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"]
_TOO_DEEP = "recursion"


def check(schema: Schema, path: str, known: frozenset[str] = frozenset()) -> Iterator[Cause]:
    """Yield the causes of the rules in a structural schema.

    Args:
        schema: the structural schema.
        path: its path in the CRD.
        known: texts of rules with a registered Python function; the library does not check these.
    """
    yield from _check(schema, path, known, root=True, uncorrelatable=None)


def all_rules(schema: Schema) -> Iterator[dict[str, Any]]:
    """Yield the rules of a schema and of all schemas within it."""
    yield from schema.get(VALIDATIONS) or ()
    for child, _, _ in _children(schema):
        yield from all_rules(child)


def _children(schema: Schema) -> Iterator[tuple[Schema, str, bool]]:
    """Yield the schemas within a schema, their path, and whether old values can be matched."""
    for name, child in (schema.get("properties") or {}).items():
        yield child, f".properties[{name}]", True
    if isinstance(additional := schema.get("additionalProperties"), dict):
        yield additional, ".additionalProperties", True
    if isinstance(items := schema.get("items"), dict):
        yield items, ".items", schema.get("x-kubernetes-list-type") == "map"


def _check(
    schema: Schema, path: str, known: frozenset[str], *, root: bool, uncorrelatable: str | None
) -> Iterator[Cause]:
    checked = _Level(schema, path, known, root)
    for index, rule in enumerate(schema.get(VALIDATIONS) or ()):
        yield from checked.check(rule, f"{path}.{VALIDATIONS}[{index}]", uncorrelatable)
    for branch in ("allOf", "anyOf", "oneOf"):
        for index, child in enumerate(schema.get(branch) or ()):
            if VALIDATIONS in child:
                yield forbidden(
                    f"{path}.{branch}[{index}].{VALIDATIONS}", "must be empty to be structural"
                )
    if VALIDATIONS in (schema.get("not") or {}):
        yield forbidden(f"{path}.not.{VALIDATIONS}", "must be empty to be structural")
    for child, end, correlatable in _children(schema):
        lost = uncorrelatable if correlatable else uncorrelatable or path
        yield from _check(child, path + end, known, root=False, uncorrelatable=lost)


class _Level:
    """One schema that has rules."""

    def __init__(self, schema: Schema, path: str, known: frozenset[str], root: bool) -> None:
        self._schema, self._path, self._known, self._root = schema, path, known, root
        self._environments: dict[bool, Any] = {}

    def check(self, rule: dict[str, Any], at: str, uncorrelatable: str | None) -> Iterator[Cause]:
        text, message = rule.get("rule") or "", rule.get("message") or ""
        if not text.strip():
            yield required(f"{at}.rule", "rule is not specified")
            return
        problem = self._problem(text, "BOOL", rule)
        if problem is _NO_TYPE:
            why = "Internal error: rules need a schema that has a type"
            yield Cause("InternalError", why, f"{self._path}.{VALIDATIONS}")
            return
        if problem is not None:
            yield invalid(f"{at}.rule", text, problem)
        if uncorrelatable is not None and texts.uses_old(text):
            yield invalid(
                f"{at}.rule",
                text,
                "oldSelf cannot be used on the uncorrelatable portion of the schema within "
                f"{uncorrelatable}",
            )
        if rule.get("optionalOldSelf") is not None and (
            problem is not None or not texts.uses_old(text)
        ):
            yield invalid(
                f"{at}.optionalOldSelf",
                rule["optionalOldSelf"],
                "may not be set if oldSelf is not used in rule",
            )
        yield from self._check_words(rule, text, message, at)

    def _check_words(
        self, rule: dict[str, Any], text: str, message: str, at: str
    ) -> Iterator[Cause]:
        if message and not message.strip():
            yield invalid(f"{at}.message", message, "must be non-empty if specified")
        elif "\n" in message.strip():
            yield invalid(f"{at}.message", message, "must not contain line breaks")
        elif not message and "\n" in text.strip():
            yield required(
                f"{at}.message", "message must be specified if rule contains line breaks"
            )
        spoken = rule.get("messageExpression") or ""
        if spoken and not spoken.strip():
            yield required(
                f"{at}.messageExpression", "messageExpression must be non-empty if specified"
            )
        elif spoken and (problem := self._problem(spoken, "STRING", rule)) is not None:
            yield invalid(f"{at}.messageExpression", spoken, problem)
        if rule.get("reason") is not None and rule["reason"] not in _REASONS:
            yield not_supported(f"{at}.reason", rule["reason"], list(_REASONS))
        if rule.get("fieldPath") and not self._has(rule["fieldPath"]):
            yield invalid(f"{at}.fieldPath", rule["fieldPath"], "must be a valid path")

    def _has(self, path: str) -> bool:
        schema: Schema = self._schema
        for name, _ in texts.steps(path) or [("", False)]:
            child = (schema.get("properties") or {}).get(name, schema.get("additionalProperties"))
            if not isinstance(child, dict):
                return False
            schema = child
        return True

    def _problem(self, text: str, wanted: str, rule: dict[str, Any]) -> str | None:
        """Return what the library's checker reports, None without the library."""
        if text in self._known or not is_installed() or texts.is_beyond(text):
            return None
        from . import environments

        optional = bool(rule.get("optionalOldSelf"))
        if optional not in self._environments:
            self._environments[optional] = environments.checker(
                self._schema, root=self._root, optional_old=optional
            )
        if self._environments[optional] is None:
            return _NO_TYPE
        problem, found = environments.compile_problem(
            self._environments[optional], texts.rewritten(text)
        )
        if problem is not None:
            return None if _TOO_DEEP in problem else f"compilation failed: {problem}"
        if found not in (wanted, "DYN"):
            return (
                "cel expression must evaluate to a bool"
                if wanted == "BOOL"
                else "messageExpression must evaluate to a string"
            )
        if any(not environments.is_pattern(pattern) for pattern in texts.patterns(text)):
            return "compilation failed: invalid matches argument"
        return None


_NO_TYPE = "no type"
