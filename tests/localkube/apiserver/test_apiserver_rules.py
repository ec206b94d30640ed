"""CEL rules of CRDs: results are those of a real API server (`rule_exchanges`).

Without the library, CRDs with rules get a warning.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from rule_cases import GROUP, OBJECTS, REFUSED, definition, judgement, text
from rule_exchanges import DEFINITIONS, RECORDED, RuleServer

from jupyter_workspaces.kube.causes import Cause
from jupyter_workspaces.kube.schemas import expressions
from jupyter_workspaces.kube.schemas.structural import validate
from jupyter_workspaces.kube.types import Object

DEAR = ("too dear", "quite dear", "dear by its place")
"""Refused by an estimate of their cost, which there is none of here: docs/differences.md."""
OWN_WORDS = " evaluating rule: "
"""Where an evaluation failed, the words before this are the library's."""

needs_library = pytest.mark.skipif(
    not expressions.is_installed(), reason=f"{expressions.EXTRA} is not installed"
)


@pytest.fixture(scope="module")
def recorded() -> Object:
    found: Object = json.loads(RECORDED.read_text(encoding="utf-8"))
    return found


@pytest.fixture
def without_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    expressions.is_installed.cache_clear()
    monkeypatch.setattr(expressions, "find_spec", lambda name: None)
    yield
    monkeypatch.undo()
    expressions.is_installed.cache_clear()


@needs_library
def test_definitions_are_rejected_for_the_recorded_reasons(api: Any, recorded: Object) -> None:
    async def ask() -> Object:
        async with api.session() as session:
            server = RuleServer("", session)
            return {name: await server.define(name) for name in REFUSED if name not in DEAR}

    answers = api.call(ask())

    assert {name: _reasons(answer) for name, answer in answers.items()} == {
        name: _reasons(answer)
        for name, answer in recorded["definitions"].items()
        if name not in DEAR
    }


@needs_library
def test_objects_are_validated_as_recorded(api: Any, recorded: Object) -> None:
    async def ask() -> Object:
        async with api.session() as session:
            server = RuleServer("", session)
            await server.prepare()
            return {
                name: await server.judge(name, field, value, before)
                for name, field, value, before in OBJECTS
            }

    answers = api.call(ask())

    assert {name: _judgement(answer) for name, answer in answers.items()} == {
        name: _judgement(answer) for name, answer in recorded["objects"].items()
    }


def test_without_the_library_a_definition_gets_a_warning_with_the_extra(
    api: Any, without_library: None
) -> None:
    bad = judgement("bad", "field", "b")

    async def ask() -> tuple[Any, Any, Any]:
        async with api.session() as session:
            server = RuleServer("", session)
            made = await server.send(
                "POST",
                DEFINITIONS,
                definition({"type": "object", "properties": {"field": text("self == 'a'")}}),
            )
            changed = dict(made[1]["spec"], preserveUnknownFields=False)
            body = {
                **made[1],
                "spec": changed,
                "metadata": {**made[1]["metadata"], "labels": {"a": "b"}},
            }
            updated = await server.send("PUT", f"{DEFINITIONS}/judgements.{GROUP}", body)
            return (
                made,
                updated,
                await server.send("POST", f"/apis/{GROUP}/v1/namespaces/default/judgements", bad),
            )

    made, updated, judged = api.call(ask())

    assert made[0] == 201
    assert updated[0] == 200
    for warnings in (made[2], updated[2]):
        assert len(warnings) == 1
        assert warnings[0].startswith("299 ")
        assert expressions.EXTRA in warnings[0]
        assert "self == 'a'" in warnings[0]
    assert judged[0] == 201
    assert judged[2] == []


def test_without_the_library_malformed_rules_are_rejected(
    api: Any, without_library: None, recorded: Object
) -> None:
    told_by_text = (
        "no text",
        "message of lines",
        "lines without a message",
        "reason",
        "path of nothing",
        "old value of an item",
    )

    async def ask() -> Object:
        async with api.session() as session:
            server = RuleServer("", session)
            return {name: await server.define(name) for name in told_by_text}

    answers = api.call(ask())

    assert {name: _reasons(answer) for name, answer in answers.items()} == {
        name: _reasons(recorded["definitions"][name]) for name in told_by_text
    }


def test_a_rule_known_by_its_text_needs_no_library(without_library: None) -> None:
    schema = {"type": "object", "properties": {"field": text("self == oldSelf")}}

    assert validate(schema, {"field": "b"}, old={"field": "a"}) == [
        Cause("FieldValueInvalid", 'Invalid value: "b": failed rule: self == oldSelf', "field")
    ]


def test_a_start_with_our_own_definitions_does_not_import_the_library() -> None:
    script = (
        "import sys; from jupyter_workspaces.resources import bundled\n"
        "from jupyter_workspaces.localkube.apiserver.definitions.definitions import "
        "DefinitionStrategy\n"
        "for crd in bundled.crds():\n"
        "    assert not DefinitionStrategy().check(crd, None) and not "
        "DefinitionStrategy().warnings(crd, None)\n"
        "print([name for name in sys.modules if name.startswith(('cel_expr', 'google.protobuf'))])"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
    )

    assert done.stdout.strip() == "[]"


@needs_library
@pytest.mark.parametrize(
    ("rule", "value"),
    [
        pytest.param(
            "self.all(a, self.all(b, a + b + a + b != b))",
            ["x" * 100_000] * 99,
            id="loops over long texts",
        ),
        pytest.param(
            "self.all(a, self.all(b, self.all(c, a != b || b != c)))",
            [str(number) for number in range(300)],
            id="loops in loops",
        ),
        pytest.param(
            "self" + ".map(a, a + a)" * 20 + ".size() > 0", ["x"], id="values that double"
        ),
        pytest.param(
            "self[0].findAll('(a|a)*b').size() > 0", ["a" * 100_000], id="a pattern that backtracks"
        ),
    ],
)
def test_a_long_running_rule_is_stopped(rule: str, value: list[str]) -> None:
    schema = {
        "type": "array",
        "items": {"type": "string"},
        "x-kubernetes-validations": [{"rule": rule}],
    }
    began = time.monotonic()

    causes = validate(schema, value, "spec")

    assert [cause.field for cause in causes] == ["spec"]
    assert time.monotonic() - began < 5


@needs_library
def test_unchanged_values_may_break_a_new_rule() -> None:
    schema = {
        "type": "object",
        "properties": {"field": text("self == 'a'"), "other": {"type": "string"}},
    }

    assert validate(schema, {"field": "b", "other": "y"}, old={"field": "b", "other": "x"}) == []
    assert (
        len(validate(schema, {"field": "c", "other": "y"}, old={"field": "b", "other": "x"})) == 1
    )


@needs_library
def test_a_large_integer_is_a_float_in_rules() -> None:
    schema = {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": {"field": {"type": "string"}},
        "x-kubernetes-validations": [{"rule": "self.field == 'a'"}],
    }

    assert validate(schema, {"field": "a", "free": 2**70}, "spec") == []


def _reasons(answer: Object) -> Object:
    return {
        "status": answer["status"],
        "causes": [(cause["field"], cause["reason"]) for cause in answer.get("causes", ())],
    }


def _judgement(answer: Object) -> Object:
    causes = [
        (cause["field"], cause["reason"], _words(cause["message"]))
        for cause in answer.get("causes", ())
    ]
    return {"status": answer["status"], "causes": causes}


def _words(message: str) -> str:
    before, mark, rule = message.partition(OWN_WORDS)
    return before.partition(": ")[0] + mark + rule if mark else message
