"""Signatures of the functions that Kubernetes adds to CEL; `library.py` implements them.

`UNKNOWN` lists the functions of Kubernetes that are missing here. `format.validate` is ours: our
functions cannot return an optional value, so `texts.rewritten` puts `optional` around calls of it.
Source: Kubernetes docs, "Common Expression Language in Kubernetes".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

UNKNOWN = re.compile(r"\bformat\s*\.(?!validate\()|\bjsonpatch\s*\.")
"""Rules that use these functions are accepted and not evaluated."""

MATCHES = "boundedMatches"
"""Name of our `matches` at run time: the library's own can be neither limited nor removed."""

_OPAQUE = {
    "quantity": "kubernetes.Quantity",
    "url": "kubernetes.URL",
    "ip": "net.IP",
    "cidr": "net.CIDR",
    "semver": "kubernetes.Semver",
}
_COMPARED = ("int", "uint", "double", "bool", "string", "bytes", "duration", "timestamp")
_SIGNATURES = """
string.boundedMatches(string) bool
boundedMatches(string,string) bool
string.find(string) string
string.findAll(string) list(string)
string.findAll(string,int) list(string)
list(dyn).indexOf(dyn) int
list(dyn).lastIndexOf(dyn) int
string.charAt(int) string
string.indexOf(string) int
string.indexOf(string,int) int
string.lastIndexOf(string) int
string.lastIndexOf(string,int) int
list(string).join() string
list(string).join(string) string
string.lowerAscii() string
string.upperAscii() string
string.replace(string,string) string
string.replace(string,string,int) string
string.split(string) list(string)
string.split(string,int) list(string)
string.substring(int) string
string.substring(int,int) string
string.trim() string
string.format(list(dyn)) string
isURL(string) bool
url(string) url
url.getScheme() string
url.getHost() string
url.getHostname() string
url.getPort() string
url.getEscapedPath() string
url.getQuery() map(string,list(string))
isQuantity(string) bool
quantity(string) quantity
sign(quantity) int
quantity.isInteger() bool
quantity.asInteger() int
quantity.asApproximateFloat() double
quantity.add(quantity) quantity
quantity.add(int) quantity
quantity.sub(quantity) quantity
quantity.sub(int) quantity
quantity.isGreaterThan(quantity) bool
quantity.isLessThan(quantity) bool
quantity.compareTo(quantity) int
isIP(string) bool
ip(string) ip
ip::isCanonical(string) bool
ip.family() int
ip.isUnspecified() bool
ip.isLoopback() bool
ip.isLinkLocalMulticast() bool
ip.isLinkLocalUnicast() bool
ip.isGlobalUnicast() bool
isCIDR(string) bool
cidr(string) cidr
cidr.containsIP(string) bool
cidr.containsIP(ip) bool
cidr.containsCIDR(string) bool
cidr.containsCIDR(cidr) bool
cidr.ip() ip
cidr.masked() cidr
cidr.prefixLength() int
string(ip) string
string(cidr) string
isSemver(string) bool
isSemver(string,bool) bool
semver(string) semver
semver(string,bool) semver
semver.major() int
semver.minor() int
semver.patch() int
semver.isGreaterThan(semver) bool
semver.isLessThan(semver) bool
semver.compareTo(semver) int
format::validate(string,string) list(string)
"""
_LINE = re.compile(
    r"(?:(?P<receiver>\w+(?:\(\w+\))?)\.)?(?P<name>[\w:]+)\((?P<parameters>.*)\) (?P<result>\S+)"
)


@dataclass(frozen=True)
class Signature:
    """Signature of a function. `parameters` begin with the receiver of a member function.

    Types are `int`, `list(string)`, `quantity` and others; an opaque type has its full name.
    """

    name: str
    member: bool
    parameters: tuple[str, ...]
    result: str

    @property
    def id(self) -> str:
        """Return a unique name of the signature."""
        return f"{'member ' if self.member else ''}{self.name}({', '.join(self.parameters)})"


def signatures() -> Iterator[Signature]:
    """Yield all signatures. Opaque types are `kubernetes.Quantity`, `net.IP` and others."""
    for line in _SIGNATURES.split("\n"):
        if found := _LINE.fullmatch(line):
            receiver = found["receiver"]
            parameters = ([receiver] if receiver else []) + [
                one for one in found["parameters"].split(",") if one
            ]
            yield Signature(
                found["name"].replace("::", "."),
                bool(receiver),
                tuple(map(_full, parameters)),
                _full(found["result"]),
            )
    for kind in _COMPARED:
        yield Signature("isSorted", True, (f"list({kind})",), "bool")
        yield Signature("min", True, (f"list({kind})",), kind)
        yield Signature("max", True, (f"list({kind})",), kind)
    for kind in ("int", "uint", "double", "duration"):
        yield Signature("sum", True, (f"list({kind})",), kind)


def comparisons() -> Iterator[Signature]:
    """Yield comparisons of numbers of different types.

    Kubernetes allows them, the library's checker does not. Includes those of equal types.
    """
    numbers = ("int", "uint", "double")
    pairs = [(one, other) for one in numbers for other in numbers]
    pairs += [(kind, kind) for kind in ("bool", "string", "bytes", "duration", "timestamp")]
    for operator in ("_<_", "_<=_", "_>_", "_>=_"):
        for pair in pairs:
            yield Signature(operator, False, pair, "bool")


def conversions() -> Iterator[Signature]:
    """Yield `string()` of the types that CEL itself converts.

    They must be declared again where `string()` is declared for addresses.
    """
    for kind in ("int", "uint", "double", "bool", "string", "bytes", "duration", "timestamp"):
        yield Signature("string", False, (kind,), "string")


def _full(kind: str) -> str:
    return _OPAQUE.get(kind, kind)
