"""Rules for DNS names, as Kubernetes applies them to the names of objects.

Source: Kubernetes docs, "Object Names and IDs" (after RFC 1123 and RFC 1035).
"""

from __future__ import annotations

import re

LABEL_LENGTH = 63
SUBDOMAIN_LENGTH = 253

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"{_LABEL.pattern}(\.{_LABEL.pattern})*")
_DNS1035_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


def is_label(text: str) -> bool:
    """Return whether a text is a DNS label (RFC 1123): `my-name`, `7zip`."""
    return len(text) <= LABEL_LENGTH and _LABEL.fullmatch(text) is not None


def is_dns1035_label(text: str) -> bool:
    """Return whether a text is a DNS label that begins with a letter (RFC 1035): `my-name`."""
    return len(text) <= LABEL_LENGTH and _DNS1035_LABEL.fullmatch(text) is not None


def is_subdomain(text: str) -> bool:
    """Return whether a text is a DNS subdomain (RFC 1123), labels joined by dots: `example.org`.

    As in Kubernetes, only the whole name has a length limit, not each label.
    """
    return len(text) <= SUBDOMAIN_LENGTH and has_subdomain_characters(text)


def has_subdomain_characters(text: str) -> bool:
    """Return whether a text of any length is written as a DNS subdomain."""
    return _SUBDOMAIN.fullmatch(text) is not None
