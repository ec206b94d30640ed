"""Exchanges about CEL rules of CRDs: invalid CRDs and objects, rules for existing objects."""

from __future__ import annotations

from typing import Any

from exchange_objects import definition
from exchange_recorder import Recorder, scenario

from jupyter_workspaces.kube.types import Object

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
GROUP = "judging.example.org"
_TEXT = {"type": "string", "maxLength": 20}


def _rule(rule: str, **more: Any) -> Object:
    return {"x-kubernetes-validations": [{"rule": rule, **more}]}


def _definition(properties: Object, plural: str = "verdicts", kind: str = "Verdict") -> Object:
    made = definition(plural, kind, GROUP)
    made["spec"]["versions"][0]["schema"] = {
        "openAPIV3Schema": {
            "type": "object",
            "properties": {"spec": {"type": "object", "properties": properties}},
        }
    }
    return made


def _verdict(name: str, **spec: Any) -> Object:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Verdict",
        "metadata": {"name": name},
        "spec": spec,
    }


@scenario
async def rules_of_definitions(ask: Recorder) -> None:
    async def define(name: str, schema: Object) -> None:
        await ask.ask(
            name,
            "POST",
            f"{DEFINITIONS}?dryRun=All",
            _definition({"field": schema}, "attempts", "Attempt"),
            view=_refusal,
        )

    await define("good", _TEXT | _rule("self == 'a'"))
    await define("syntax", _TEXT | _rule("self =="))
    await define("no bool", _TEXT | _rule("self"))
    await define(
        "unknown field", {"type": "object", "properties": {"a": _TEXT}, **_rule("self.b == 'x'")}
    )
    await define(
        "wrong type", {"type": "object", "properties": {"a": _TEXT}, **_rule("self.a > 1")}
    )
    await define("message of lines", _TEXT | _rule("self == 'a'", message="a\nb"))
    await define("message expression", _TEXT | _rule("self == 'a'", messageExpression="1"))
    await define("reason", _TEXT | _rule("self == 'a'", reason="Strange"))
    await define(
        "field path",
        {"type": "object", "properties": {"a": _TEXT}, **_rule("self.a == 'x'", fieldPath=".b")},
    )
    await define(
        "old value of an item",
        {"type": "array", "maxItems": 3, "items": _TEXT | _rule("self == oldSelf")},
    )
    await define(
        "optional without an old value", _TEXT | _rule("self == 'a'", optionalOldSelf=True)
    )
    await define("in a branch", {"type": "string", "allOf": [_rule("self == 'a'")]})
    await define("no list", {"type": "string", "x-kubernetes-validations": {"rule": "true"}})
    await define("broken by its default", _TEXT | _rule("self == 'a'") | {"default": "b"})
    await define(
        "too dear",
        {
            "type": "array",
            "items": {"type": "string"},
            **_rule("self.all(a, self.all(b, self.all(c, a != b || b != c)))"),
        },
    )


@scenario
async def rules_of_objects(ask: Recorder) -> None:
    pair = {
        "type": "object",
        "properties": {"low": {"type": "integer"}, "high": {"type": "integer"}},
    }
    keyed = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    part = {
        "type": "object",
        "required": ["name"],
        "properties": {"name": _TEXT, "count": {"type": "integer"}},
    }
    properties = {
        "pair": pair | _rule("self.low <= self.high", message="low may not be above high"),
        "required": pair
        | _rule("has(self.low)", reason="FieldValueRequired", fieldPath=".low", message="give one"),
        "fixed": _TEXT | _rule("self == oldSelf"),
        "pairs": {"type": "array", "maxItems": 3, "items": pair | _rule("self.low <= self.high")},
        "parts": {
            "type": "array",
            "maxItems": 3,
            **keyed,
            "items": part | _rule("self.count >= oldSelf.count"),
        },
        "values": {
            "type": "object",
            "maxProperties": 3,
            "additionalProperties": _TEXT | _rule("self.startsWith('a')"),
        },
        "size": {"type": "integer"},
        "free": _TEXT,
    }
    await ask.send("POST", DEFINITIONS, _definition(properties))
    verdicts = ask.group(f"{GROUP}/v1", "verdicts")
    await ask.until(verdicts, lambda answer: answer.status == 200, "a list of verdicts")
    await ask.ask(
        "good",
        "POST",
        verdicts,
        _verdict("good", pair={"low": 1, "high": 2}, fixed="a", parts=[{"name": "a", "count": 2}]),
    )
    await ask.ask("bad", "POST", verdicts, _verdict("bad", pair={"low": 2, "high": 1}))
    await ask.ask("no such key", "POST", verdicts, _verdict("key", pair={"low": 2}))
    await ask.ask("required", "POST", verdicts, _verdict("required", required={"high": 1}))
    await ask.ask(
        "item",
        "POST",
        verdicts,
        _verdict("item", pairs=[{"low": 1, "high": 2}, {"low": 2, "high": 1}]),
    )
    await ask.ask(
        "value of a map", "POST", verdicts, _verdict("value", values={"a.b": "x", "c": "a"})
    )
    await ask.ask(
        "with a wrong type",
        "POST",
        verdicts,
        _verdict("type", pair={"low": 2, "high": 1}, size="x"),
    )
    revision = (await ask.send("GET", f"{verdicts}/good")).at("metadata", "resourceVersion")

    async def put(name: str, **spec: Any) -> None:
        body = _verdict(
            "good",
            **{"pair": {"low": 1, "high": 2}, "fixed": "a", "parts": [{"name": "a", "count": 2}]}
            | spec,
        )
        body["metadata"]["resourceVersion"] = revision
        await ask.ask(name, "PUT", f"{verdicts}/good?dryRun=All", body)

    await put("unchanged")
    await put("changed what is fixed", fixed="b")
    await put("fewer of a part", parts=[{"name": "b", "count": 0}, {"name": "a", "count": 1}])
    # Rules that are added to existing objects: unchanged values may violate them.
    for name, spec in (
        ("text", {"free": "x"}),
        ("map", {"values": {"k": "a"}}),
        ("items", {"pairs": [{"low": 1, "high": 2}]}),
    ):
        await ask.send("POST", verdicts, _verdict(name, **spec))
    current = (await ask.send("GET", f"{DEFINITIONS}/verdicts.{GROUP}")).body
    stricter = properties | {
        "free": _TEXT | _rule("self == 'y'"),
        "pairs": {"type": "array", "maxItems": 3, "items": pair | _rule("self.low > 5")},
        "values": {
            "type": "object",
            "maxProperties": 3,
            "additionalProperties": _TEXT | _rule("self == 'z'"),
        },
    }
    current["spec"]["versions"] = _definition(stricter)["spec"]["versions"]
    await ask.send("PUT", f"{DEFINITIONS}/verdicts.{GROUP}", current)
    await ask.until(
        f"{verdicts}?dryRun=All",
        lambda answer: answer.status == 422,
        "the new rule",
        method="POST",
        body=_verdict("probe", free="x"),
    )

    async def change(exchange: str, name: str, **spec: Any) -> None:
        old = (await ask.send("GET", f"{verdicts}/{name}")).body
        await ask.ask(
            exchange, "PUT", f"{verdicts}/{name}?dryRun=All", old | {"spec": old["spec"] | spec}
        )

    await change("beside a text that breaks a new rule", "text", size=1)
    await change("beside a map that breaks a new rule", "map", size=1)
    await change("beside items that break a new rule", "items", size=1)
    await change("a text that breaks a new rule", "text", free="z")
    await change("all values of a map", "map", values={"k": "y", "l": "b"})
    await change("another item", "items", pairs=[{"low": 1, "high": 2}, {"low": 2, "high": 3}])
    await ask.send("DELETE", f"{DEFINITIONS}/verdicts.{GROUP}")


def _refusal(body: Any) -> Any:
    """Return the errors. Accepted definitions are compared elsewhere."""
    return body if body.get("kind") == "Status" else body["kind"]
