"""Structural schemas: pruning, defaults, types, and the CEL rules of our CRDs."""

from __future__ import annotations

import time
from typing import Any

import pytest
from kind_objects import SCHEMAS, bench, workspace

from jupyter_workspaces.kube.schemas import structural

LIST = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["a", "b"],
    "items": {"type": "object"},
}


@pytest.mark.parametrize(
    ("rules", "value", "wanted"),
    [
        ({"type": "string"}, None, {"TypeInvalid"}),
        ({"type": "string", "nullable": True}, None, set()),
        ({"type": "string", "maxLength": 2}, "abc", {"TooLong"}),
        ({"type": "string", "maxLength": 2}, "äö", set()),
        ({"type": "string", "minLength": 2, "pattern": "^b"}, "a", {"Invalid"}),
        ({"type": "string", "pattern": "^a$"}, "a\n", {"Invalid"}),
        ({"type": "string", "pattern": r"^[$]\$$"}, "$$", set()),
        ({"type": "string", "enum": ["a"]}, "b", {"NotSupported"}),
        ({"type": "integer"}, 1.0, set()),
        ({"type": "integer"}, 1.5, {"TypeInvalid"}),
        ({"type": "integer"}, True, {"TypeInvalid"}),
        ({"type": "integer", "format": "int32"}, 2**31, {"Invalid"}),
        ({"type": "integer"}, 2**63, {"Invalid"}),
        ({"type": "number", "minimum": 0, "exclusiveMinimum": True}, 0, {"Invalid"}),
        ({"type": "number", "multipleOf": 3}, 4, {"Invalid"}),
        ({"type": "array", "maxItems": 1}, [1, 2], {"TooMany"}),
        ({"type": "array", "x-kubernetes-list-type": "set"}, ["a", "a"], {"Duplicate"}),
        (LIST, [{"a": 1, "b": 1}, {"a": 1, "b": 2}], set()),
        (LIST, [{"a": 1, "b": 1}, {"b": 1, "a": 1}], {"Duplicate"}),
        ({"type": "object", "maxProperties": 1}, {"a": 1, "b": 2}, {"TooMany"}),
        ({"type": "object", "required": ["a"]}, {}, {"Required"}),
        ({"type": "object", "additionalProperties": {"type": "string"}}, {"a": 1}, {"TypeInvalid"}),
        ({"x-kubernetes-int-or-string": True}, 1, set()),
        ({"x-kubernetes-int-or-string": True}, "1", set()),
        ({"x-kubernetes-int-or-string": True}, 1.5, {"TypeInvalid"}),
        ({"x-kubernetes-int-or-string": True, "pattern": "^[0-9]+$"}, "x", {"Invalid"}),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, [], {"Invalid"}),
        ({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"a": 1}, set()),
        ({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"a": 1, "b": 1}, {"Invalid"}),
        ({"not": {"type": "string"}}, "a", {"Invalid"}),
        ({"allOf": [{"type": "string"}, {"type": "string", "minLength": 2}]}, "a", {"Invalid"}),
    ],
)
def test_a_value_is_held_against_its_schema(
    rules: dict[str, Any], value: Any, wanted: set[str]
) -> None:
    causes = structural.validate(rules, value, "spec.x")
    assert {cause.reason.removeprefix("FieldValue") for cause in causes} == wanted


@pytest.mark.parametrize(
    ("rules", "value", "blocked"),
    [
        ({"type": "integer"}, "x", True),
        ({"type": "string", "maxLength": 2}, "abc", True),
        ({"type": "string", "enum": ["a"]}, "b", True),
        ({"type": "array", "maxItems": 1}, [1, 2], True),
        ({"type": "object", "required": ["a"]}, {}, True),
        ({"type": "string", "pattern": "^b"}, "a", False),
        ({"type": "string"}, "a", False),
    ],
)
def test_a_broken_form_says_that_the_rules_were_not_looked_at_if_there_are_any(
    rules: dict[str, Any], value: Any, blocked: bool
) -> None:
    with_rules = rules | {"x-kubernetes-validations": [{"rule": "self"}]}
    assert (
        any(cause.field == "<nil>" for cause in structural.validate(rules, value, "spec.x"))
        is False
    )
    if blocked or (value == "a" and "pattern" in rules):
        assert (
            any(
                cause.field == "<nil>" for cause in structural.validate(with_rules, value, "spec.x")
            )
            is blocked
        )


def test_unknown_fields_are_named_and_dropped() -> None:
    rules = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "list": {
                        "type": "array",
                        "items": {"type": "object", "properties": {"known": {}}},
                    },
                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                    "pod": {
                        "type": "object",
                        "x-kubernetes-embedded-resource": True,
                        "properties": {"spec": {"type": "object"}},
                    },
                },
            }
        },
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"lost": 1}}
    spec = {"list": [{"known": 1, "lost": 2}], "free": {"any": {"thing": 1}}, "pod": pod, "lost": 3}
    obj = {"apiVersion": "v1", "kind": "X", "metadata": {"any": 1}, "spec": spec, "lost": 4}
    assert structural.unknown_fields(rules, obj) == [
        "spec.list[0].lost",
        "spec.pod.spec.lost",
        "spec.lost",
        "lost",
    ]
    kept = structural.prune(rules, obj)
    assert kept["spec"] == {
        "list": [{"known": 1}],
        "free": {"any": {"thing": 1}},
        "pod": pod | {"spec": {}},
    }
    assert obj["lost"] == 4, "the object itself stays as it was"
    assert structural.unknown_fields(rules, kept) == []


def test_defaults_fill_what_is_absent_and_are_never_shared() -> None:
    rules = {
        "type": "object",
        "properties": {
            "a": {
                "type": "object",
                "default": {},
                "properties": {"b": {"type": "integer", "default": 7}},
            },
            "c": {"type": "string", "nullable": True, "default": "x"},
        },
        "additionalProperties": {"type": "object", "properties": {"d": {"default": [1]}}},
    }
    first, second = (
        structural.default(rules, {"more": {}}),
        structural.default(rules, {"a": None, "c": None}),
    )
    assert first == {"a": {"b": 7}, "c": "x", "more": {"d": [1]}}
    assert second == {"a": {"b": 7}, "c": None}
    first["more"]["d"].append(2)
    assert structural.default(rules, {"more": {}})["more"]["d"] == [1]


def test_a_transition_rule_is_asked_only_on_update() -> None:
    rules = {
        "type": "object",
        "properties": {
            "a": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}
        },
    }
    assert not structural.validate(rules, {"a": "x"})
    assert not structural.validate(rules, {"a": "x"}, old={})
    assert not structural.validate(rules, {"a": "x"}, old={"a": "x"})
    assert [cause.field for cause in structural.validate(rules, {"a": "y"}, old={"a": "x"})] == [
        "a"
    ]


def test_checking_an_object_takes_microseconds() -> None:
    for obj, limit in ((workspace(), 0.002), (bench(), 0.01)):
        rules = SCHEMAS[obj["kind"]]
        taken = []
        for _ in range(30):
            start = time.perf_counter()
            structural.validate(rules, structural.default(rules, structural.prune(rules, obj)))
            taken.append(time.perf_counter() - start)
        assert min(taken) < limit
