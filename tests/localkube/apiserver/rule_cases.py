"""CRDs with CEL rules, and objects for them. `rule_exchanges.py` sends them to API servers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jupyter_workspaces.kube.types import Object

GROUP = "rules.example.org"
_UNSET: Any = object()


def text(rule: str | Object, **more: Any) -> Object:
    return _ruled({"type": "string", "maxLength": 64, **more}, rule)


def texts(rule: str | Object, **more: Any) -> Object:
    return _ruled(
        {"type": "array", "maxItems": 8, "items": {"type": "string", "maxLength": 32}, **more}, rule
    )


def integers(rule: str | Object, **more: Any) -> Object:
    return _ruled({"type": "array", "maxItems": 8, "items": {"type": "integer"}, **more}, rule)


def struct(rule: str | Object | list[Any], properties: Object, **more: Any) -> Object:
    return _ruled({"type": "object", "properties": properties, **more}, rule)


def _ruled(schema: Object, rule: str | Object | list[Any]) -> Object:
    rules = rule if isinstance(rule, list) else [rule]
    return schema | {
        "x-kubernetes-validations": [
            one if isinstance(one, dict) else {"rule": one} for one in rules
        ]
    }


INTEGER, STRING = {"type": "integer"}, {"type": "string", "maxLength": 64}
PART = {"type": "object", "required": ["name"], "properties": {"name": STRING, "count": INTEGER}}
_KEYED = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
_PAIR = {"low": INTEGER, "high": INTEGER}

FIELDS: Mapping[str, Object] = {
    # Rules, messages, reasons, paths
    "plain": struct("self.low <= self.high", _PAIR),
    "optional": struct("!has(self.low) || self.low > 0", _PAIR),
    "several": struct(
        ["self.low > 0", {"rule": "self.high > 0", "message": "high must be positive"}], _PAIR
    ),
    "message": struct(
        {"rule": "self.low <= self.high", "message": "low may not be above high"}, _PAIR
    ),
    "spoken": struct(
        {
            "rule": "self.low <= self.high",
            "message": "never",
            "messageExpression": "self.name + ' is above'",
        },
        {**_PAIR, "name": STRING},
    ),
    "spokenBadly": struct(
        {
            "rule": "self.low > 0",
            "message": "the message",
            "messageExpression": "string(1 / self.low)",
        },
        _PAIR,
    ),
    "spokenEmpty": struct({"rule": "self.low > 0", "messageExpression": "''"}, _PAIR),
    "spokenLines": struct(
        {"rule": "self.low > 0", "message": "m", "messageExpression": "'a\\nb'"}, _PAIR
    ),
    "reasoned": struct(
        {
            "rule": "self.low > 0",
            "reason": "FieldValueForbidden",
            "fieldPath": ".low",
            "message": "no",
        },
        _PAIR,
    ),
    "duplicate": struct(
        {"rule": "self.low > 0", "reason": "FieldValueDuplicate", "message": "twice"}, _PAIR
    ),
    "required": struct(
        {
            "rule": "has(self.low)",
            "reason": "FieldValueRequired",
            "fieldPath": ".low",
            "message": "give one",
        },
        _PAIR,
    ),
    "pathInMap": _ruled(
        {"type": "object", "maxProperties": 4, "additionalProperties": INTEGER},
        {"rule": "!('a.b' in self)", "fieldPath": "['a.b']", "message": "no dots"},
    ),
    "lines": text({"rule": "self ==\n  'a'", "message": "not a"}),
    # Types
    "integer": _ruled({"type": "integer"}, "self % 2 == 0"),
    "number": _ruled({"type": "number"}, "self > 1.5"),
    "numberAsInteger": _ruled({"type": "number"}, "self > 1"),
    "boolean": _ruled({"type": "boolean"}, "self"),
    "text": text("self.startsWith('a')"),
    "moment": text("self > timestamp('2020-01-01T00:00:00Z')", format="date-time"),
    "day": text("self.getFullYear() == 2024", format="date"),
    "span": text("self > duration('1h')", format="duration"),
    "bytes": text("size(self) == 3", format="byte"),
    "share": _ruled(
        {"x-kubernetes-int-or-string": True}, "type(self) == int ? self > 0 : self.endsWith('%')"
    ),
    "map": _ruled(
        {"type": "object", "maxProperties": 4, "additionalProperties": STRING},
        "self.all(key, key.startsWith('a') && self[key] != '')",
    ),
    "mapField": _ruled(
        {"type": "object", "maxProperties": 4, "additionalProperties": STRING}, "self.a == 'x'"
    ),
    "list": texts("self.all(one, one != '')"),
    "exists": texts("self.exists_one(one, one == 'x')"),
    "mapped": integers("self.map(one, one * 2).filter(one, one > 4).size() > 0"),
    "nullable": _ruled({"type": "string", "nullable": True, "maxLength": 9}, "self != 'x'"),
    "nullableField": struct(
        "!has(self.note) || self.note != 'x'", {"note": STRING | {"nullable": True}}
    ),
    "escaped": struct(
        "self.__dash__ed > 0 && self.a__dot__b == 'x' && self.a__slash__b == 'x' && "
        "self.__namespace__ == 'x' && self.a__underscores__b == 'x'".replace(
            "__dash__ed", "dash__dash__ed"
        ),
        {"dash-ed": INTEGER, "a.b": STRING, "a/b": STRING, "namespace": STRING, "a__b": STRING},
    ),
    "open": struct(
        "has(self.known)", {"known": STRING}, **{"x-kubernetes-preserve-unknown-fields": True}
    ),
    "embedded": _ruled(
        {
            "type": "object",
            "x-kubernetes-embedded-resource": True,
            "x-kubernetes-preserve-unknown-fields": True,
        },
        "self.kind == 'Pod' && self.metadata.name == 'x'",
    ),
    "defaulted": struct("self.low > 1", {"low": INTEGER | {"default": 1}}),
    "items": {"type": "array", "maxItems": 4, "items": struct("self.low <= self.high", _PAIR)},
    "values": {
        "type": "object",
        "maxProperties": 4,
        "additionalProperties": struct("self.low <= self.high", _PAIR),
    },
    "unicode": text("size(self) == 1"),
    # Evaluation that fails
    "divided": struct("1 / self.low > 0", _PAIR),
    "missing": struct("self.low > 0", _PAIR),
    "beyond": integers("self[2] > 0"),
    "overflow": _ruled({"type": "integer"}, "self * self > 0"),
    "badNumber": text("int(self) > 0"),
    "either": struct("self.low > 0 || self.high > 0", _PAIR),
    # Transitions
    "fixed": text("self == oldSelf"),
    "growing": integers("self.size() >= oldSelf.size()"),
    "fixedPart": struct(
        "true", {"inner": text({"rule": "self == oldSelf", "message": "may not change"})}
    ),
    "parts": {
        "type": "array",
        "maxItems": 4,
        **_KEYED,
        "items": _ruled(PART, {"rule": "self.count >= oldSelf.count", "message": "no fewer"}),
    },
    "entries": {
        "type": "object",
        "maxProperties": 4,
        "additionalProperties": text("self == oldSelf"),
    },
    "maybe": text(
        {"rule": "!oldSelf.hasValue() || oldSelf.value() == self", "optionalOldSelf": True}
    ),
    "maybeNew": text({"rule": "oldSelf.orValue('begin') != self", "optionalOldSelf": True}),
    "kept": texts("self == oldSelf", **{"x-kubernetes-list-type": "set"}),
    "keptParts": _ruled(
        {"type": "array", "maxItems": 4, **_KEYED, "items": PART}, "self == oldSelf"
    ),
    # What Kubernetes adds to the language
    "sorted": integers("self.isSorted()"),
    "sortedTexts": texts("self.isSorted()"),
    "sum": integers("self.sum() == 6"),
    "least": integers("self.min() == 1 && self.max() == 3"),
    "indexOf": texts("self.indexOf('b') == 1 && self.lastIndexOf('b') == 2"),
    "find": text("self.find('[0-9]+') == '12'"),
    "findAll": text("self.findAll('[0-9]+') == ['1', '2'] && self.findAll('[0-9]+', 1) == ['1']"),
    "isURL": text("isURL(self)"),
    "url": text(
        "url(self).getScheme() == 'https' && url(self).getHost() == 'a:80' && "
        "url(self).getHostname() == 'a' && url(self).getPort() == '80'"
    ),
    "urlParts": text(
        "url(self).getEscapedPath() == '/x%20y' && url(self).getQuery() == {'k': ['1', '2']}"
    ),
    "isQuantity": text("isQuantity(self)"),
    "quantity": text(
        "quantity(self).isGreaterThan(quantity('1Gi')) && "
        "quantity(self).compareTo(quantity('2048Mi')) == 0"
    ),
    "quantitySum": text(
        "quantity(self).add(quantity('1k')).sub(1000) == quantity('50M') && "
        "quantity(self).isInteger() && quantity(self).asInteger() == 50000000"
    ),
    "quantityFloat": text(
        "quantity(self).asApproximateFloat() == 0.5 && sign(quantity(self)) == 1 && "
        "!quantity(self).isLessThan(quantity('100m'))"
    ),
    "isIP": text("isIP(self)"),
    "ip": text("ip(self).family() == 4 && ip(self).isLoopback()"),
    "ipCanonical": text("ip.isCanonical(self) && string(ip(self)) == self"),
    "isCIDR": text("isCIDR(self)"),
    "cidr": text(
        "cidr(self).containsIP('10.0.0.1') && cidr(self).containsCIDR('10.1.0.0/16') && "
        "cidr(self).prefixLength() == 8 && cidr(self).ip().family() == 4"
    ),
    "cidrMasked": text(
        "cidr(self).masked() == cidr('10.0.0.0/8') && string(cidr(self).ip()) == '10.1.2.3'"
    ),
    "format": text("!format.dns1123Label().validate(self).hasValue()"),
    "formatNamed": text(
        "format.named('dns1123Subdomain').hasValue() && "
        "!format.named('dns1123Subdomain').value().validate(self).hasValue()"
    ),
    "isSemver": text("isSemver(self)"),
    "semver": text("semver(self).isGreaterThan(semver('1.2.3')) && semver(self).major() == 1"),
    "strings": text(
        "self.lowerAscii() == 'a b' && self.split(' ') == ['A', 'B'] && self.indexOf('B') == 2"
    ),
    "joined": texts("self.join('-') == 'a-b'"),
    "replaced": text("self.replace(' ', '') == 'AB'"),
    "substring": text(
        "self.substring(1, 2) == 'b' && self.trim().charAt(0) == 'a' && self.upperAscii() == "
        "'ABC' && self.lastIndexOf('c') == 2"
    ),
    "formatted": text("'%s-%d'.format([self, 1]) == 'a-1'"),
    "matches": text("self.matches('^a+$')"),
    "sets": texts(
        "sets.contains(['a', 'b'], self) && sets.intersects(self, ['a']) && sets.equivalent(self, "
        "['a', 'a'])"
    ),
    "optionalField": struct(
        "self.?low.orValue(5) == 5 && self.?low.optMap(low, low + 1).orValue(6) == 6", _PAIR
    ),
    "numbersAcross": struct("self.low < 2.5 && double(self.low) < 2.5", _PAIR),
    "two": texts("self.all(index, one, index < 2 && one != '')"),
    "transform": texts("self.transformList(index, one, index > 0 ? one : 'x') == ['x', 'b']"),
}
"""Properties of `spec`, each with its rules; an object sets one of them."""

# Name, property, value, and the value before where it is an update (`None` stands for null).
OBJECTS: list[tuple[str, str, Any, Any]] = [
    (name, name.split("-")[0], value, before)
    for name, value, before in [
        ("plain-good", {"low": 1, "high": 2}, _UNSET),
        ("plain-bad", {"low": 2, "high": 1}, _UNSET),
        ("optional-good", {}, _UNSET),
        ("optional-bad", {"low": 0}, _UNSET),
        ("several-bad", {"low": 0, "high": 0}, _UNSET),
        ("several-second", {"low": 1, "high": 0}, _UNSET),
        ("message-bad", {"low": 2, "high": 1}, _UNSET),
        ("spoken-bad", {"low": 2, "high": 1, "name": "low"}, _UNSET),
        ("spokenBadly-bad", {"low": 0}, _UNSET),
        ("spokenEmpty-bad", {"low": 0}, _UNSET),
        ("spokenLines-bad", {"low": 0}, _UNSET),
        ("reasoned-bad", {"low": 0}, _UNSET),
        ("duplicate-bad", {"low": 0}, _UNSET),
        ("required-bad", {"high": 0}, _UNSET),
        ("pathInMap-bad", {"a.b": 1}, _UNSET),
        ("lines-bad", "b", _UNSET),
        ("integer-good", 4, _UNSET),
        ("integer-bad", 3, _UNSET),
        ("number-good", 2, _UNSET),
        ("number-bad", 1, _UNSET),
        ("numberAsInteger-good", 2, _UNSET),
        ("numberAsInteger-bad", 0.5, _UNSET),
        ("boolean-good", True, _UNSET),
        ("boolean-bad", False, _UNSET),
        ("text-good", "abc", _UNSET),
        ("text-bad", "xyz", _UNSET),
        ("moment-good", "2024-01-01T00:00:00Z", _UNSET),
        ("moment-bad", "2019-01-01T00:00:00.5+02:00", _UNSET),
        ("day-good", "2024-05-01", _UNSET),
        ("day-bad", "2023-05-01", _UNSET),
        ("span-good", "2h", _UNSET),
        ("span-bad", "30m", _UNSET),
        ("bytes-good", "YWJj", _UNSET),
        ("bytes-bad", "YQ==", _UNSET),
        ("share-good", 3, _UNSET),
        ("share-text", "5%", _UNSET),
        ("share-bad", "5", _UNSET),
        ("map-good", {"a": "x", "ab": "y"}, _UNSET),
        ("map-bad", {"b": "x"}, _UNSET),
        ("mapField-good", {"a": "x"}, _UNSET),
        ("mapField-absent", {"b": "x"}, _UNSET),
        ("list-good", ["x"], _UNSET),
        ("list-bad", ["x", ""], _UNSET),
        ("exists-good", ["x", "y"], _UNSET),
        ("exists-bad", ["x", "x"], _UNSET),
        ("mapped-good", [1, 3], _UNSET),
        ("mapped-bad", [1, 2], _UNSET),
        ("nullable-null", None, _UNSET),
        ("nullable-bad", "x", _UNSET),
        ("nullableField-null", {"note": None}, _UNSET),
        ("nullableField-bad", {"note": "x"}, _UNSET),
        (
            "escaped-good",
            {"dash-ed": 1, "a.b": "x", "a/b": "x", "namespace": "x", "a__b": "x"},
            _UNSET,
        ),
        (
            "escaped-bad",
            {"dash-ed": 0, "a.b": "x", "a/b": "x", "namespace": "x", "a__b": "x"},
            _UNSET,
        ),
        ("open-good", {"known": "x", "more": [1]}, _UNSET),
        ("open-bad", {"more": {"a": 1}}, _UNSET),
        (
            "embedded-good",
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {}},
            _UNSET,
        ),
        (
            "embedded-bad",
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "y"}, "spec": {}},
            _UNSET,
        ),
        ("defaulted-bad", {}, _UNSET),
        ("items-bad", [{"low": 1, "high": 2}, {"low": 2, "high": 1}], _UNSET),
        ("values-bad", {"a.b": {"low": 2, "high": 1}, "c": {"low": 2, "high": 1}}, _UNSET),
        ("unicode-good", "é", _UNSET),
        ("divided-bad", {"low": 0}, _UNSET),
        ("missing-bad", {}, _UNSET),
        ("beyond-bad", [1], _UNSET),
        ("overflow-bad", 9007199254740993000, _UNSET),
        ("badNumber-bad", "x", _UNSET),
        ("either-good", {"high": 1}, _UNSET),
        ("either-bad", {"high": 0}, _UNSET),
        ("fixed-new", "a", _UNSET),
        ("fixed-same", "a", "a"),
        ("fixed-changed", "b", "a"),
        ("growing-bad", [1], [1, 2]),
        ("fixedPart-changed", {"inner": "b"}, {"inner": "a"}),
        ("fixedPart-added", {"inner": "b"}, {}),
        (
            "parts-fewer",
            [{"name": "b", "count": 1}, {"name": "a", "count": 1}],
            [{"name": "a", "count": 2}, {"name": "b", "count": 1}],
        ),
        (
            "parts-added",
            [{"name": "a", "count": 2}, {"name": "c", "count": 0}],
            [{"name": "a", "count": 2}],
        ),
        ("entries-changed", {"a": "y", "b": "z"}, {"a": "x"}),
        ("maybe-new", "a", _UNSET),
        ("maybe-changed", "b", "a"),
        ("maybeNew-bad", "begin", _UNSET),
        ("maybeNew-good", "begin", "a"),
        ("kept-reordered", ["b", "a"], ["a", "b"]),
        ("kept-changed", ["a", "c"], ["a", "b"]),
        (
            "keptParts-reordered",
            [{"name": "b"}, {"name": "a", "count": 1}],
            [{"name": "a", "count": 1}, {"name": "b"}],
        ),
        (
            "keptParts-changed",
            [{"name": "a", "count": 1}, {"name": "b"}],
            [{"name": "a"}, {"name": "b"}],
        ),
        ("sorted-good", [1, 1, 2], _UNSET),
        ("sorted-bad", [2, 1], _UNSET),
        ("sortedTexts-good", ["a", "b"], _UNSET),
        ("sortedTexts-bad", ["b", "a"], _UNSET),
        ("sum-good", [1, 2, 3], _UNSET),
        ("sum-empty", [], _UNSET),
        ("least-good", [2, 1, 3], _UNSET),
        ("least-empty", [], _UNSET),
        ("indexOf-good", ["a", "b", "b"], _UNSET),
        ("indexOf-bad", ["a"], _UNSET),
        ("find-good", "a12b3", _UNSET),
        ("find-bad", "a", _UNSET),
        ("findAll-good", "a1b2", _UNSET),
        ("findAll-bad", "a1b2c3", _UNSET),
        ("isURL-good", "https://a/b", _UNSET),
        ("isURL-path", "/a/b", _UNSET),
        ("isURL-bad", "a b", _UNSET),
        ("url-good", "https://a:80/x?y=1", _UNSET),
        ("url-bad", "nothing", _UNSET),
        ("urlParts-good", "https://a/x%20y?k=1&k=2", _UNSET),
        ("urlParts-bad", "https://a/x", _UNSET),
        ("isQuantity-good", "1.5Gi", _UNSET),
        ("isQuantity-bad", "1.5 Gi", _UNSET),
        ("quantity-good", "2Gi", _UNSET),
        ("quantity-bad", "1Mi", _UNSET),
        ("quantity-none", "x", _UNSET),
        ("quantitySum-good", "50M", _UNSET),
        ("quantitySum-bad", "51M", _UNSET),
        ("quantityFloat-good", "500m", _UNSET),
        ("isIP-good", "::1", _UNSET),
        ("isIP-zone", "fe80::1%eth0", _UNSET),
        ("isIP-zeros", "127.0.0.01", _UNSET),
        ("isIP-mapped", "::ffff:1.2.3.4", _UNSET),
        ("ip-good", "127.0.0.1", _UNSET),
        ("ip-bad", "10.0.0.1", _UNSET),
        ("ip-none", "x", _UNSET),
        ("ipCanonical-good", "2001:db8::1", _UNSET),
        ("ipCanonical-bad", "2001:DB8::1", _UNSET),
        ("isCIDR-good", "10.0.0.1/8", _UNSET),
        ("isCIDR-bad", "10.0.0.0", _UNSET),
        ("cidr-good", "10.0.0.0/8", _UNSET),
        ("cidr-bad", "11.0.0.0/8", _UNSET),
        ("cidrMasked-good", "10.1.2.3/8", _UNSET),
        ("format-good", "a-b", _UNSET),
        ("format-bad", "A", _UNSET),
        ("formatNamed-good", "a.b", _UNSET),
        ("formatNamed-bad", "a..b", _UNSET),
        ("isSemver-good", "1.2.3-rc.1", _UNSET),
        ("isSemver-bad", "v1.2.3", _UNSET),
        ("semver-good", "1.10.0", _UNSET),
        ("semver-bad", "1.2.3-rc.1", _UNSET),
        ("strings-good", "A B", _UNSET),
        ("joined-good", ["a", "b"], _UNSET),
        ("replaced-good", "A B", _UNSET),
        ("substring-good", "abc", _UNSET),
        ("substring-bad", "a", _UNSET),
        ("formatted-good", "a", _UNSET),
        ("matches-good", "aaa", _UNSET),
        ("matches-bad", "aab", _UNSET),
        ("sets-good", ["a"], _UNSET),
        ("sets-bad", ["a", "c"], _UNSET),
        ("optionalField-good", {}, _UNSET),
        ("optionalField-bad", {"low": 4}, _UNSET),
        ("numbersAcross-good", {"low": 2}, _UNSET),
        ("numbersAcross-bad", {"low": 3}, _UNSET),
        ("two-good", ["a", "b"], _UNSET),
        ("two-bad", ["a", "b", "c"], _UNSET),
        ("transform-good", ["a", "b"], _UNSET),
    ]
]

REFUSED: Mapping[str, Object] = {
    "syntax": text("self =="),
    "no text": text(""),
    "blank": text("  "),
    "not bool": text("self"),
    "undeclared": text("other == 'x'"),
    "unknown field": struct("self.nothing > 0", _PAIR),
    "unknown field of an item": _ruled(
        {"type": "array", "maxItems": 4, "items": PART}, "self.all(one, one.nothing == 1)"
    ),
    "unknown field of an open object": struct(
        "self.other == 'x'", {"known": STRING}, **{"x-kubernetes-preserve-unknown-fields": True}
    ),
    "unknown function": text("self.nothing()"),
    "overload": text("self > 1"),
    "overload of a field": struct("self.low == 'x'", _PAIR),
    "binding": struct("cel.bind(sum, self.low + self.high, sum > 2)", _PAIR),
    "mathematics": struct("math.greatest(self.low, self.high) > 2", _PAIR),
    "encoding": text("base64.encode(b'x') == self"),
    "wrong argument": text("self.matches(1)"),
    "value of another type": _ruled(
        {"type": "object", "maxProperties": 4, "additionalProperties": INTEGER}, "self['a'] == 'x'"
    ),
    "select of a scalar": text("self.x == 'x'"),
    "bad regular expression": text("self.matches('(')"),
    "bad quantity literal": text("quantity('x').isInteger()"),
    "null": text("self == null"),
    "quantity and text": text("quantity(self) == '1'"),
    "list of another type": texts("self.sum() == 1"),
    "message of lines": text({"rule": "self == 'a'", "message": "a\nb"}),
    "empty message": text({"rule": "self == 'a'", "message": ""}),
    "lines without a message": text({"rule": "self ==\n'a'"}),
    "message is blank": text({"rule": "self == 'a'", "message": "  "}),
    "message expression of a number": text({"rule": "self == 'a'", "messageExpression": "1"}),
    "message expression that is none": text({"rule": "self == 'a'", "messageExpression": "self +"}),
    "message expression is blank": text({"rule": "self == 'a'", "messageExpression": " "}),
    "reason": text({"rule": "self == 'a'", "reason": "Nothing"}),
    "path of nothing": struct({"rule": "self.low > 0", "fieldPath": ".nothing"}, _PAIR),
    "path without a dot": struct({"rule": "self.low > 0", "fieldPath": "low"}, _PAIR),
    "path into a list": struct(
        {"rule": "true", "fieldPath": ".list[0]"}, {"list": {"type": "array", "items": STRING}}
    ),
    "path is empty": struct({"rule": "self.low > 0", "fieldPath": ""}, _PAIR),
    "old value of an item": {"type": "array", "maxItems": 4, "items": text("self == oldSelf")},
    "old value of an item of a set": {
        "type": "array",
        "maxItems": 4,
        "x-kubernetes-list-type": "set",
        "items": text("self == oldSelf"),
    },
    "old value of an atomic map": {
        "type": "object",
        "maxProperties": 4,
        "x-kubernetes-map-type": "atomic",
        "additionalProperties": text("self == oldSelf"),
    },
    "optional without an old value": text({"rule": "self == 'a'", "optionalOldSelf": True}),
    "optional as a value": text({"rule": "self == oldSelf", "optionalOldSelf": True}),
    "rules in a branch": {
        "type": "string",
        "allOf": [{"x-kubernetes-validations": [{"rule": "self == 'a'"}]}],
    },
    "rules are no list": {"type": "string", "x-kubernetes-validations": {"rule": "true"}},
    "a rule without text": {"type": "string", "x-kubernetes-validations": [{"message": "x"}]},
    "the same rule twice": {
        "type": "string",
        "maxLength": 5,
        "x-kubernetes-validations": [{"rule": "self == 'a'"}, {"rule": "self == 'a'"}],
    },
    "without a type": {
        "x-kubernetes-preserve-unknown-fields": True,
        "x-kubernetes-validations": [{"rule": "self.a == 1"}],
    },
    "default that breaks it": text("self == 'a'", default="b"),
    "too dear": {
        "type": "array",
        "items": {"type": "string"},
        "x-kubernetes-validations": [
            {"rule": "self.all(a, self.all(b, self.all(c, a != b || b != c)))"}
        ],
    },
    "quite dear": _ruled(
        {"type": "array", "items": {"type": "string"}}, "self.all(one, one.matches('a.*b.*c'))"
    ),
    "dear by its place": {
        "type": "array",
        "items": _ruled(
            {"type": "array", "items": {"type": "string"}}, "self.all(a, a.contains('x'))"
        ),
    },
    "good": text("self == 'a'"),
    "metadata": struct("self.metadata.labels.size() > 0", {}),
}
"""Schemas of the only property of `spec`, each in a definition of its own; most are refused."""


def definition(
    spec: Object, plural: str = "judgements", kind: str = "Judgement", **root: Any
) -> Object:
    """Return a CRD whose objects have this `spec`."""
    schema = {"type": "object", "properties": {"spec": spec}, **root}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind},
            "versions": [version],
        },
    }


def judged() -> Object:
    """Return the CRD of all of `FIELDS`."""
    return definition({"type": "object", "properties": dict(FIELDS)})


def refused(name: str) -> Object:
    """Return the CRD of one of `REFUSED`."""
    return definition(
        {"type": "object", "properties": {"field": REFUSED[name]}}, "attempts", "Attempt"
    )


def judgement(name: str, field: str, value: Any) -> Object:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Judgement",
        "metadata": {"name": name.lower()},
        "spec": {field: value},
    }


def is_new(before: Any) -> bool:
    return before is _UNSET
