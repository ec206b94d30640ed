"""Implementations of the functions that Kubernetes adds to CEL.

An opaque value is a dict with one key, the name of its type, and the value as text. All functions
raise `ValueError` for an invalid argument. Source: Kubernetes docs, "Common Expression Language in
Kubernetes".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_interface
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, urlsplit

from jupyter_workspaces.common.quantities import QuantityError, parse

from .bounds import PARTS

Opaque = dict[str, str]
Address = IPv4Address | IPv6Address

_QUANTITY, _URL, _IP, _CIDR, _SEMVER = (
    "kubernetes.Quantity",
    "kubernetes.URL",
    "net.IP",
    "net.CIDR",
    "kubernetes.Semver",
)
_VERSION = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][\da-zA-Z-]*)"
    r"(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][\da-zA-Z-]*))*))?"
    r"(?:\+[\da-zA-Z-]+(?:\.[\da-zA-Z-]+)*)?",
    re.ASCII,
)
_URL_LETTERS = re.compile(r"[^\s\x00-\x20\x7f<>\"{}|\\^`]+")
_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def _is(convert: Callable[..., Any]) -> Callable[..., bool]:
    def works(*arguments: Any) -> bool:
        try:
            convert(*arguments)
        except ValueError:
            return False
        return True

    return works


# Lists


def is_sorted(items: list[Any]) -> bool:
    """Return whether a list is sorted."""
    return all(one <= other for one, other in pairwise(items))


def least(items: list[Any]) -> Any:
    """Return the least item."""
    if not items:
        raise ValueError("min called on empty list")
    return min(items)


def greatest(items: list[Any]) -> Any:
    """Return the greatest item."""
    if not items:
        raise ValueError("max called on empty list")
    return max(items)


def index_of(items: list[Any], wanted: Any) -> int:
    """Return the index of the first equal item, -1 without one."""
    return next((index for index, item in enumerate(items) if item == wanted), -1)


def last_index_of(items: list[Any], wanted: Any) -> int:
    """Return the index of the last equal item, -1 without one."""
    return next((index for index in reversed(range(len(items))) if items[index] == wanted), -1)


# Quantities


def quantity(text: str) -> Opaque:
    """Parse a quantity."""
    try:
        return _quantity(parse(text))
    except QuantityError as error:
        raise ValueError(f"{text!r} is not a quantity") from error


def _quantity(value: Decimal) -> Opaque:
    return {_QUANTITY: f"{value.normalize():f}"}


def _amount(value: Opaque | int) -> Decimal:
    return Decimal(value) if isinstance(value, int) else Decimal(value[_QUANTITY])


def _whole(value: Opaque) -> int:
    amount = _amount(value)
    if amount != amount.to_integral_value() or not -(2**63) <= amount < 2**63:
        raise ValueError("cannot convert value to integer")
    return int(amount)


def sign(value: Opaque) -> int:
    """Return the sign of a quantity: -1, 0 or 1."""
    amount = _amount(value)
    return (amount > 0) - (amount < 0)


# URLs


def url(text: str) -> Opaque:
    """Parse a URL."""
    if (
        not _URL_LETTERS.fullmatch(text)
        or _PERCENT.search(text)
        or not (text.startswith("/") or urlsplit(text).scheme)
    ):
        raise ValueError(
            "URL parse error during conversion from string: "
            f"parse {text!r}: invalid URI for request"
        )
    parts = urlsplit(text)
    # Reading `port` raises ValueError if it is not a number.
    if parts.port is not None and parts.port > 65535:
        raise ValueError(f"invalid port in {text!r}")
    return {_URL: text}


def _host(value: Opaque) -> str:
    return urlsplit(value[_URL]).netloc.rpartition("@")[2]


def _hostname(value: Opaque) -> str:
    host = _host(value)
    return host[1 : host.index("]")] if host.startswith("[") else host.partition(":")[0]


def _port(value: Opaque) -> str:
    port = urlsplit(value[_URL]).port
    return "" if port is None else str(port)


def _query(value: Opaque) -> dict[str, list[str]]:
    return parse_qs(urlsplit(value[_URL]).query, keep_blank_values=True, max_num_fields=PARTS)


# Addresses


def ip(text: str) -> Opaque:
    """Parse an IP address."""
    return {_IP: str(_address(text))}


def _address(text: str) -> Address:
    found = ip_address(text)
    if isinstance(found, IPv6Address) and (
        found.scope_id is not None or found.ipv4_mapped is not None
    ):
        raise ValueError(
            f"IP Address {text!r} with a zone or an IPv4 address within is not allowed"
        )
    return found


def _is_canonical(text: str) -> bool:
    return str(_address(text)) == text


def _of_ip(value: Opaque) -> Address:
    return ip_address(value[_IP])


def _is_global_unicast(value: Opaque) -> bool:
    address = _of_ip(value)
    broadcast = address.version == 4 and int(address) == 2**32 - 1
    return not (
        address.is_unspecified
        or address.is_loopback
        or address.is_multicast
        or address.is_link_local
        or broadcast
    )


def cidr(text: str) -> Opaque:
    """Parse a network in CIDR notation."""
    host, slash, length = text.partition("/")
    if not slash or not length.isdecimal() or (len(length) > 1 and length.startswith("0")):
        raise ValueError(f"network address parse error during conversion from string: {text!r}")
    return {_CIDR: f"{_address(host)}/{ip_interface(text).network.prefixlen}"}


def _network(value: Opaque | str) -> IPv4Network | IPv6Network:
    return ip_interface((cidr(value) if isinstance(value, str) else value)[_CIDR]).network


def _contains_ip(value: Opaque, address: Opaque | str) -> bool:
    return (_address(address) if isinstance(address, str) else _of_ip(address)) in _network(value)


def _contains_cidr(value: Opaque, other: Opaque | str) -> bool:
    outer, inner = _network(value), _network(other)
    return (
        outer.version == inner.version
        and outer.prefixlen <= inner.prefixlen
        and inner.network_address in outer
    )


# Versions


def semver(text: str, normalize: bool = False) -> Opaque:
    """Parse a semantic version (semver.org); `normalize` accepts `v1.2` and leading zeros."""
    if normalize:
        found = re.fullmatch(r"v?([^-+]*)([-+]?)(.*)", text, re.DOTALL)
        assert found is not None  # every part may be empty
        core, mark, rest = found.groups()
        numbers = [
            number.lstrip("0") or "0" if number.isdecimal() else number
            for number in core.split(".")
        ]
        text = ".".join([*numbers, "0", "0"][: max(3, len(numbers))]) + mark + rest
    if not _VERSION.fullmatch(text):
        raise ValueError(f"{text!r} is not a semantic version")
    return {_SEMVER: text.partition("+")[0]}


def _parts(value: Opaque) -> tuple[list[int], bool, list[tuple[bool, int, str]]]:
    """Return a sort key: numbers, then pre-releases before releases, numbers before words."""
    core, dash, before = value[_SEMVER].partition("-")
    words = (
        [
            (not word.isdecimal(), int(word) if word.isdecimal() else 0, word)
            for word in before.split(".")
        ]
        if dash
        else []
    )
    return [int(number) for number in core.split(".")], not dash, words


# Quantities, versions, addresses


def _compare(one: Opaque, other: Opaque) -> int:
    if _QUANTITY in one:
        return sign(_quantity(_amount(one) - _amount(other)))
    first, second = _parts(one), _parts(other)
    return (first > second) - (first < second)


def _text(value: Opaque) -> str:
    return value[_IP] if _IP in value else value[_CIDR]


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "isSorted": is_sorted,
    "sum": lambda items: sum(items[1:], items[0]) if items else 0,
    "min": least,
    "max": greatest,
    "indexOf": index_of,
    "lastIndexOf": last_index_of,
    "isURL": _is(url),
    "url": url,
    "getScheme": lambda value: urlsplit(value[_URL]).scheme,
    "getHost": _host,
    "getHostname": _hostname,
    "getPort": _port,
    "getEscapedPath": lambda value: urlsplit(value[_URL]).path,
    "getQuery": _query,
    "isQuantity": _is(quantity),
    "quantity": quantity,
    "sign": sign,
    "isInteger": lambda value: _is(_whole)(value),
    "asInteger": _whole,
    "asApproximateFloat": lambda value: float(_amount(value)),
    "add": lambda one, other: _quantity(_amount(one) + _amount(other)),
    "sub": lambda one, other: _quantity(_amount(one) - _amount(other)),
    "isGreaterThan": lambda one, other: _compare(one, other) > 0,
    "isLessThan": lambda one, other: _compare(one, other) < 0,
    "compareTo": _compare,
    "isIP": _is(ip),
    "ip": lambda value: ip(value) if isinstance(value, str) else ip(value[_CIDR].partition("/")[0]),
    "ip.isCanonical": _is_canonical,
    "family": lambda value: _of_ip(value).version,
    "isUnspecified": lambda value: _of_ip(value).is_unspecified,
    "isLoopback": lambda value: _of_ip(value).is_loopback,
    "isLinkLocalMulticast": lambda value: (
        _of_ip(value) in ip_interface("224.0.0.0/24").network
        or _of_ip(value) in ip_interface("ff02::/16").network
    ),
    "isLinkLocalUnicast": lambda value: _of_ip(value).is_link_local,
    "isGlobalUnicast": _is_global_unicast,
    "isCIDR": _is(cidr),
    "cidr": cidr,
    "containsIP": _contains_ip,
    "containsCIDR": _contains_cidr,
    "masked": lambda value: {_CIDR: str(_network(value))},
    "prefixLength": lambda value: _network(value).prefixlen,
    "string": _text,
    "isSemver": _is(semver),
    "semver": semver,
    "major": lambda value: _parts(value)[0][0],
    "minor": lambda value: _parts(value)[0][1],
    "patch": lambda value: _parts(value)[0][2],
}
"""The functions by name; the first argument of a member function is its receiver."""
