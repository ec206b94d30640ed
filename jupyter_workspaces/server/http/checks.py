"""Checks of values in requests. Each returns, or yields, what is wrong with a value."""

from __future__ import annotations

from collections.abc import Iterator

from jupyter_workspaces.common import dns_names
from jupyter_workspaces.kube.causes import Cause, invalid, required

TRUE = ("1", "t", "T", "TRUE", "true", "True")
FALSE = ("0", "f", "F", "FALSE", "false", "False")


def dns_label(value: str) -> str | None:
    """Check a DNS label (RFC 1123)."""
    if dns_names.is_label(value):
        return None
    return (
        "use at most 63 lower-case letters, digits and '-', beginning and ending with a letter "
        "or digit"
    )


def dns_subdomain(value: str) -> str | None:
    """Check a DNS subdomain: labels with dots between them (RFC 1123)."""
    if dns_names.is_subdomain(value):
        return None
    return (
        "use at most 253 lower-case letters, digits, '-' and '.', each part beginning and ending "
        "with a letter or digit"
    )


def boolean(value: str) -> str | None:
    """Check a boolean query parameter, with the values that Go accepts."""
    return None if value in TRUE + FALSE else "must be true or false"


def name(field: str, value: str) -> Iterator[Cause]:
    """Check a required name that is a DNS subdomain."""
    if not value:
        yield required(field)
    elif problem := dns_subdomain(value):
        yield invalid(field, value, problem)


def label(field: str, value: str) -> Iterator[Cause]:
    """Check a required name that is a DNS label."""
    if not value:
        yield required(field)
    elif problem := dns_label(value):
        yield invalid(field, value, problem)


def present(field: str, value: str) -> Iterator[Cause]:
    """Check that a value is not empty."""
    if not value:
        yield required(field)
