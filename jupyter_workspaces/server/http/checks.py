"""Rules for names, labels and quantities in requests; each gives what is wrong as a text, or None."""

from __future__ import annotations

import re
from collections.abc import Iterator

from jupyter_workspaces.kube.causes import Cause, invalid, required

TRUE, FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def dns_label(value: str) -> str | None:
    """RFC 1123."""
    if len(value) <= 63 and _LABEL.fullmatch(value):
        return None
    return "use at most 63 lower-case letters, digits and '-', beginning and ending with a letter or digit"


def dns_subdomain(value: str) -> str | None:
    """RFC 1123, several labels with dots between."""
    if len(value) <= 253 and _SUBDOMAIN.fullmatch(value):
        return None
    return "use at most 253 lower-case letters, digits, '-' and '.', each part beginning and ending with a letter or digit"


def boolean(value: str) -> str | None:
    """As Go reads one in a query."""
    return None if value in TRUE + FALSE else "must be true or false"


def name(field: str, value: str) -> Iterator[Cause]:
    """A name that must be there and be a subdomain."""
    if not value:
        yield required(field)
    elif problem := dns_subdomain(value):
        yield invalid(field, value, problem)


def label(field: str, value: str) -> Iterator[Cause]:
    """A name that must be there and be a label."""
    if not value:
        yield required(field)
    elif problem := dns_label(value):
        yield invalid(field, value, problem)


def present(field: str, value: str) -> Iterator[Cause]:
    if not value:
        yield required(field)
