"""Formats of names and values that rules check by `format.dns1123Label().validate(…)`.

Source: Kubernetes docs, “Common Expression Language in Kubernetes”, and the API conventions for names.
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime

from . import library

_LABEL, _OLD_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", r"[a-z]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_NAME = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _named(pattern: str, longest: int, *, prefix: bool = False) -> Callable[[str], bool]:
    """Of a prefix, what is appended to it may end it."""
    compiled = re.compile(pattern, re.ASCII)
    return lambda text: (
        len(text) <= longest
        and bool(compiled.fullmatch(text + "a" if prefix and text.endswith("-") else text))
    )


def _qualified(text: str) -> bool:
    before, slash, name = text.rpartition("/")
    return _named(_NAME, 63)(name) and (not slash or _named(_SUBDOMAIN, 253)(before))


def _readable(read: Callable[[str], object]) -> Callable[[str], bool]:
    def fits(text: str) -> bool:
        try:
            read(text)
        except (ValueError, binascii.Error):
            return False
        return True

    return fits


_FORMATS: Mapping[str, Callable[[str], bool]] = {
    "dns1123Label": _named(_LABEL, 63),
    "dns1123Subdomain": _named(_SUBDOMAIN, 253),
    "dns1035Label": _named(_OLD_LABEL, 63),
    "dns1123LabelPrefix": _named(_LABEL, 63, prefix=True),
    "dns1123SubdomainPrefix": _named(_SUBDOMAIN, 253, prefix=True),
    "dns1035LabelPrefix": _named(_OLD_LABEL, 63, prefix=True),
    "qualifiedName": _qualified,
    "labelValue": lambda text: not text or _named(_NAME, 63)(text),
    "uri": _readable(library.url),
    "uuid": _readable(uuid.UUID),
    "byte": _readable(lambda text: base64.b64decode(text, validate=True)),
    "date": _readable(lambda text: datetime.strptime(text, "%Y-%m-%d")),
    "datetime": lambda text: bool(_DATE_TIME.fullmatch(text)),
}
FORMATS = frozenset(_FORMATS)


def validate(name: str, text: str) -> list[str]:
    """What is wrong with a text of this format."""
    return [] if _FORMATS[name](text) else [f"must be a {name}"]
