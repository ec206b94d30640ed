"""Rules of single values. Each yields what is invalid about the value at a path."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from jupyter_workspaces.kube.causes import (
    Cause,
    duplicate,
    invalid,
    not_supported,
    required,
)
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects import name_rules

Causes = Iterator[Cause]

PROTOCOLS = ["SCTP", "TCP", "UDP"]
MOST_IDENTITY = 2**31 - 1


def one_of(path: str, value: str | None, allowed: Sequence[str]) -> Causes:
    """Require one of the allowed values; absent is valid, empty is not."""
    if value == "":
        yield required(path)
    elif value is not None and value not in allowed:
        yield not_supported(path, value, list(allowed))


def at_least(path: str, value: int | None, least: int = 0) -> Causes:
    """Require a minimum; absent is valid."""
    if value is not None and value < least:
        yield invalid(path, value, f"must be greater than or equal to {least}")


def required_name(path: str, name: str, problem: Callable[[str], str | None]) -> Causes:
    """Require a name that `problem` accepts."""
    if not name:
        yield required(path)
    else:
        yield from valid_name(path, name, problem)


def valid_name(path: str, name: str | None, problem: Callable[[str], str | None]) -> Causes:
    """Require that `problem` accepts the name, if there is one."""
    if name and (found := problem(name)):
        yield invalid(path, name, found)


def required_value(path: str, value: Any) -> Causes:
    """Require a value that is not empty."""
    if not value:
        yield required(path)


def unique(path: str, field: str, items: Iterable[Object]) -> Causes:
    """Require different values of a field in all items."""
    seen: set[Any] = set()
    for index, item in enumerate(items):
        if (value := item.get(field)) and value in seen:
            yield duplicate(f"{path}[{index}].{field}", value)
        seen.add(value)


def port(path: str, number: int) -> Causes:
    """Require a port number."""
    if not 1 <= number <= 65535:
        yield invalid(path, number, "must be between 1 and 65535, inclusive")


def port_or_name(path: str, value: int | str) -> Causes:
    """Require a port number or the name of a port."""
    if isinstance(value, int):
        yield from port(path, value)
    elif problem := name_rules.port(value):
        yield invalid(path, value, problem)


def address(path: str, text: str) -> Causes:
    """Require an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        yield invalid(path, text, "must be an IP address, such as 10.9.8.7 or 2001:db8::ffff")


def identity(path: str, number: int | None) -> Causes:
    """Require a user or group id; absent is valid."""
    if number is not None and not 0 <= number <= MOST_IDENTITY:
        yield invalid(path, number, f"must be between 0 and {MOST_IDENTITY}, inclusive")


def no_parent_reference(path: str, text: str) -> Causes:
    """Reject a path with `..`."""
    if ".." in text.split("/"):
        yield invalid(path, text, "must not contain '..'")


def relative_path(path: str, text: str) -> Causes:
    """Require a relative path without `..`."""
    if text.startswith("/"):
        yield invalid(path, text, "must be a relative path")
    yield from no_parent_reference(path, text)


def mode(path: str, number: int | None) -> Causes:
    """Require the permission bits of a file; absent is valid."""
    if number is not None and not 0 <= number <= 0o777:
        yield invalid(path, number, "must be a number between 0 and 0777 (octal), both inclusive")
