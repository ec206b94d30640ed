"""Texts of clients that need a lot of time or memory without linear-time engines and bounds."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from api_objects import WIDGETS, widget, widget_definition

from jupyter_workspaces.kube import catalog, errors
from jupyter_workspaces.kube.schemas.expressions import is_installed, texts
from jupyter_workspaces.localkube.apiserver.http.status import Refusal
from jupyter_workspaces.localkube.apiserver.objects import field_selectors, name_rules
from jupyter_workspaces.localkube.apiserver.tables import jsonpath

SOON = 3.0
"""Seconds that a loaded machine may take for what used to take minutes, or never ended."""

needs_library = pytest.mark.skipif(not is_installed(), reason="needs the extra `cel`")


def seconds(does: Callable[[], object]) -> float:
    start = time.perf_counter()
    does()
    return time.perf_counter() - start


def refused(does: Callable[[], object]) -> Callable[[], object]:
    def call() -> None:
        with pytest.raises((Refusal, jsonpath.PathError)):
            does()

    return call


def definition(pattern: str, **more: Any) -> dict[str, Any]:
    made = widget_definition()
    note = made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"][
        "properties"
    ]["note"]
    note.clear()
    note.update(type="string", pattern=pattern, **more)
    return made


async def test_a_pattern_of_a_definition_is_matched_in_linear_time(api: Any) -> None:
    async with api.cluster() as cluster:
        held = await cluster.get(catalog.CUSTOM_RESOURCE_DEFINITIONS, "widgets.example.org")
        held["spec"] = definition("^(a+)+$")["spec"]
        await cluster.replace(catalog.CUSTOM_RESOURCE_DEFINITIONS, held)
        start = time.perf_counter()
        with pytest.raises(errors.Invalid, match="must match"):
            await cluster.create(WIDGETS, widget("a", note="a" * 10_000 + "!"), "default")
        assert time.perf_counter() - start < SOON


@pytest.mark.parametrize("pattern", ["a(?=b)", r"(a)\1", r"(\pL\pN){500}"])
async def test_a_definition_with_a_pattern_that_kubernetes_rejects_is_rejected(
    api: Any, pattern: str
) -> None:
    async with api.cluster() as cluster:
        wrong = definition(pattern)
        wrong["metadata"]["name"] = "gadgets.example.org"
        wrong["spec"]["names"] = {"kind": "Gadget", "plural": "gadgets"}
        with pytest.raises(errors.Invalid, match="must be a valid regular expression, but isn't"):
            await cluster.create(catalog.CUSTOM_RESOURCE_DEFINITIONS, wrong)


def test_the_patterns_of_a_definition_are_bounded_together() -> None:
    from jupyter_workspaces.localkube.apiserver.definitions.schemas import check_schemas

    properties = {
        f"p{number}": {"type": "string", "pattern": rf"^\pL{{1,{number % 50 + 1}}}{number}$"}
        for number in range(2000)
    }
    root = {"openAPIV3Schema": {"type": "object", "properties": properties}}
    causes: list[Any] = []
    took = seconds(lambda: causes.extend(check_schemas([root], frozenset())))
    assert "too large together" in causes[-1].message
    assert took < 2 * SOON


@pytest.mark.parametrize(
    "does",
    [
        pytest.param(
            refused(lambda: field_selectors.predicate(" " * 60_000 + "?", None, "pods")),
            id="label selector: white space",
        ),
        pytest.param(
            refused(lambda: field_selectors.predicate("a =" + " " * 60_000 + "!", None, "pods")),
            id="label selector: white space after =",
        ),
        pytest.param(
            refused(lambda: field_selectors.predicate("a" * 60_000 + "?", None, "pods")),
            id="label selector: a long key",
        ),
        pytest.param(
            refused(lambda: field_selectors.fields("a =" + " " * 8_000 + "\nx", "pods")),
            id="field selector: white space",
        ),
        pytest.param(
            lambda: field_selectors.exact_name("metadata.name=" + " " * 8_000 + "\nx"),
            id="a name's selector: white space",
        ),
        pytest.param(
            refused(lambda: jsonpath.compile_path(".a" * 500_000)), id="a path of many steps"
        ),
        pytest.param(lambda: name_rules.port("a" * 60_000 + "!"), id="a port's name"),
        pytest.param(lambda: texts.shape("(" * 60_000), id="rule: parentheses"),
        pytest.param(
            lambda: texts.rewritten("format.uuid().validate(" * 3_000),
            id="rule: calls that are not closed",
        ),
        pytest.param(
            lambda: texts.without_literals("'\\" * 30_000), id="rule: texts that are not closed"
        ),
        pytest.param(
            lambda: list(texts.patterns("matches('''a'''x" * 3_000)),
            id="rule: patterns that are not closed",
        ),
    ],
)
def test_texts_of_clients_are_parsed_in_linear_time(does: Callable[[], object]) -> None:
    assert seconds(does) < SOON


BOMBS = {
    "a text in a text": ("self.replace('a', self).replace('a', self).size() > 0", "a" * 1000),
    "a text between all letters": ("self.replace('', self).size() > 0", "a" * 10_000),
    "letters": ("self.split('').size() > 0", "a" * 1_000_000),
    "formatted": (f"'{'%s' * 9}'.format([{', '.join(['self'] * 9)}]).size() > 0", "a" * 1_000_000),
    "joined": ("self.join(self[0]).size() > 0", ["a" * 20_000, *["b"] * 2000]),
    "a list of lists": ("self.map(x, self.map(y, x)).size() > 0", ["a"] * 3000),
    "a list that grows": ("self.map(x, x).size() > 0", ["a"] * 9000),
    "a list that is filtered": ("self.filter(x, true).size() > 0", ["a"] * 9000),
    "lists added": ("self.all(x, (self + self + self + self)[3] == 'a')", ["a"] * 3000),
    "texts added": ("self.map(x, self[0] + x).size() > 0", ["a" * 100_000, *["b"] * 1000]),
    "a pattern from the value": ("self.matches(self)", "(a?){1000}" * 3 + "a" * 50_000),
    "a pattern that takes long": ("!self.matches('[^b]*.{500}.{500}c')", "a" * 1_000_000),
    "a pattern that is looked for": ("self.find('[^b]*.{500}.{500}c') == ''", "a" * 1_000_000),
}

PROBE = """
import json, resource, sys, time
from jupyter_workspaces.kube.schemas.structural import validate
rule, value = json.load(sys.stdin)
text = {"type": "string"}
of = {"type": "array", "items": text} if isinstance(value, list) else text
validate(of | {"x-kubernetes-validations": [{"rule": "size(self) >= 0"}]}, value, "spec")
before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
causes = validate(of | {"x-kubernetes-validations": [{"rule": rule}]}, value, "spec")
took = time.perf_counter() - start
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
json.dump([len(causes), took, used], sys.stdout)
"""


@needs_library
@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_rule_with_a_large_result_is_rejected_before_it_takes_memory(
    bomb: tuple[str, Any],
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        input=json.dumps(bomb),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    causes, took, kilobytes = json.loads(done.stdout)

    assert causes == 1
    assert took < SOON
    assert kilobytes < 100_000


@needs_library
@pytest.mark.parametrize(
    ("rule", "value"),
    [
        pytest.param(
            "self.matches('^[a-z]+$') && matches(self, 'b')", "abc", id="both forms of matches"
        ),
        pytest.param(
            "self.matches(r'^a\\.b$') && !self.matches('''x''')", "a.b", id="raw and long texts"
        ),
        pytest.param(
            "self == 'it matches(' && self.matches('[(]$')",
            "it matches(",
            id="matches within a text",
        ),
        pytest.param(
            "self.replace('a', 'bb') == 'bbcbb' && self.split('c').size() == 2",
            "aca",
            id="replace and split",
        ),
        pytest.param(
            "self.replace('a', 'b', 1) == 'bca' && self.split('', 2) == ['a', 'ca']",
            "aca",
            id="bounded replace and split",
        ),
    ],
)
def test_bounds_do_not_change_the_result_of_small_rules(rule: str, value: str) -> None:
    from jupyter_workspaces.kube.schemas.structural import validate

    assert (
        validate({"type": "string", "x-kubernetes-validations": [{"rule": rule}]}, value, "spec")
        == []
    )


@needs_library
def test_rules_cannot_call_internal_functions() -> None:
    from jupyter_workspaces.kube.schemas.expressions.checking import check

    schema = {"type": "string", "x-kubernetes-validations": [{"rule": "self.boundedMatches('a')"}]}
    assert [cause.reason for cause in check(schema, "spec")] == ["FieldValueInvalid"]
