"""Named formats that rules check by `format.dns1123Label().validate(…)`.

Source: Kubernetes docs, "Common Expression Language in Kubernetes", and the API conventions for
names.
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime

from jupyter_workspaces.common import dns_names
from jupyter_workspaces.kube import names

from . import library

_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _prefix_of(is_name: Callable[[str], bool]) -> Callable[[str], bool]:
    """Return a check for the beginning of a name: its last label may also end with "-"."""

    def check(text: str) -> bool:
        if not text.endswith("-"):
            return is_name(text)
        return is_name(text[:-1] + "a") and not f".{text}".endswith(".-")

    return check


def _readable(read: Callable[[str], object]) -> Callable[[str], bool]:
    def fits(text: str) -> bool:
        try:
            read(text)
        except (ValueError, binascii.Error):
            return False
        return True

    return fits


_FORMATS: Mapping[str, Callable[[str], bool]] = {
    "dns1123Label": dns_names.is_label,
    "dns1123Subdomain": dns_names.is_subdomain,
    "dns1035Label": dns_names.is_dns1035_label,
    "dns1123LabelPrefix": _prefix_of(dns_names.is_label),
    "dns1123SubdomainPrefix": _prefix_of(dns_names.is_subdomain),
    "dns1035LabelPrefix": _prefix_of(dns_names.is_dns1035_label),
    "qualifiedName": names.is_qualified_name,
    "labelValue": names.is_label_value,
    "uri": _readable(library.url),
    "uuid": _readable(uuid.UUID),
    "byte": _readable(lambda text: base64.b64decode(text, validate=True)),
    "date": _readable(lambda text: datetime.strptime(text, "%Y-%m-%d")),
    "datetime": lambda text: bool(_DATE_TIME.fullmatch(text)),
}
FORMATS = frozenset(_FORMATS)


def validate(name: str, text: str) -> list[str]:
    """Return what is wrong with a text of a format; an empty list if it is valid."""
    return [] if _FORMATS[name](text) else [f"must be a {name}"]
