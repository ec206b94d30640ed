"""Validation rules with registered Python functions."""

from __future__ import annotations

from typing import Any

from jupyter_workspaces.kube.schemas import rules, structural


def schema(rule: str) -> dict[str, Any]:
    return {"type": "string", "x-kubernetes-validations": [{"rule": rule, "message": "too big"}]}


def test_a_registered_function_decides() -> None:
    rule = "self.is('a')"  # no CEL library would accept this
    rules.register("rules.example.org", {rule: lambda value, old: value == "a"})
    assert structural.validate(schema(rule), "a", "spec.x") == []
    (cause,) = structural.validate(schema(rule), "b", "spec.x")
    assert (cause.field, cause.message) == ("spec.x", 'Invalid value: "b": too big')


def test_registered_rules_are_known_by_their_group() -> None:
    rules.register("first.example.org", {"self.first()": lambda value, old: True})
    rules.register("first.example.org", {"self.second()": lambda value, old: True})
    assert rules.registered("first.example.org") == {"self.first()", "self.second()"}
    assert rules.registered("second.example.org") == frozenset()
    assert rules.unchecked(schema("self.first()")) == []
    assert rules.unchecked(schema("self.third()")) == ["self.third()"]
