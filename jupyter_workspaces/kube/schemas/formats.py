"""Checks of the formats that structural schemas may name (`format: date-time`).

jsonschema's checks differ: Kubernetes uses those of go-openapi/strfmt. Sources: Kubernetes docs,
"Extend the Kubernetes API with CustomResourceDefinitions", Validation; RFC 3339; RFC 1123.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import uuid
from collections.abc import Callable
from datetime import date, datetime
from urllib.parse import urlsplit

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DURATION = re.compile(
    r"[+-]?((\d+(\.\d*)?|\.\d+)\s*"
    r"(ns|us|µs|ms|s|m|h|d|w|nanos?|micros?|millis?|seconds?|minutes?|hours?|days?|weeks?)\s*)+|0"
)
_HOST_LABEL = r"[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"{_HOST_LABEL}(\.{_HOST_LABEL})*")
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")
_HARDWARE = re.compile(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}([:-][0-9A-Fa-f]{2}){0,2}")
_COLOR = re.compile(r"#?([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})")


def fits(name: str, text: str) -> bool:
    """Return whether a text has a format. An unknown format accepts every text."""
    check = _FORMATS.get(name)
    if check is None:
        return True
    try:
        return check(text)
    except ValueError:
        return False


def _moment(text: str) -> bool:
    if (found := _MOMENT.fullmatch(text)) is None:
        return False
    datetime.fromisoformat(f"{found[1]}T{found[2]}")
    return True


def _day(text: str) -> bool:
    return _DAY.fullmatch(text) is not None and date.fromisoformat(text) is not None


def _bytes(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error:
        return False
    return True


def _address(version: int) -> Callable[[str], bool]:
    return lambda text: ipaddress.ip_address(text).version == version


def _identifier(version: int | None) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        found = uuid.UUID(text)
        return version is None or found.version == version

    return check


_FORMATS: dict[str, Callable[[str], bool]] = {
    "byte": _bytes,
    "cidr": lambda text: "/" in text and bool(ipaddress.ip_network(text, strict=False)),
    "date": _day,
    "date-time": _moment,
    "datetime": _moment,
    "duration": lambda text: _DURATION.fullmatch(text) is not None,
    "email": lambda text: _ADDRESS.fullmatch(text) is not None,
    "hexcolor": lambda text: _COLOR.fullmatch(text) is not None,
    "hostname": lambda text: len(text) <= 255 and _HOST.fullmatch(text) is not None,
    "ipv4": _address(4),
    "ipv6": _address(6),
    "mac": lambda text: _HARDWARE.fullmatch(text) is not None,
    "uri": lambda text: bool(urlsplit(text).scheme) or text.startswith("/"),
    "uuid": _identifier(None),
    "uuid3": _identifier(3),
    "uuid4": _identifier(4),
    "uuid5": _identifier(5),
}
