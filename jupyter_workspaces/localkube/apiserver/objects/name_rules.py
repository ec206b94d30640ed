"""Rules of names. Each function returns why a name is invalid, or None.

Source: Kubernetes docs, "Object Names and IDs".
"""

from __future__ import annotations

import re

from jupyter_workspaces.common import dns_names
from jupyter_workspaces.kube.names import is_label_value, is_name_part

_PORT = re.compile(r"[-0-9]*[a-z][-a-z0-9]*")
_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_VARIABLE = re.compile(r"[ -<>-~]+")
_HEADER = re.compile(r"[-A-Za-z0-9]+")
_DRIVER = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", re.IGNORECASE)
_FINALIZERS = ("foregroundDeletion", "kubernetes", "orphan")


def label(name: str) -> str | None:
    """Check a DNS-1123 label."""
    if dns_names.is_label(name):
        return None
    return (
        "must be a DNS-1123 label: at most 63 lower-case letters, digits and '-', "
        "beginning and ending with a letter or digit"
    )


def subdomain(name: str) -> str | None:
    """Check a DNS-1123 subdomain."""
    if dns_names.is_subdomain(name):
        return None
    return (
        "must be a DNS-1123 subdomain: at most 253 lower-case letters, digits, '-' and '.', "
        "each part beginning and ending with a letter or digit"
    )


def path_segment(name: str) -> str | None:
    """Check a name that only must be a segment of a path, such as that of a role."""
    return (
        None
        if name not in (".", "..") and "/" not in name and "%" not in name
        else "may not be '.', '..' or contain '/' or '%'"
    )


def port(name: str) -> str | None:
    """Check the name of a port."""
    if (
        len(name) <= 15
        and _PORT.fullmatch(name)
        and "--" not in name
        and name[0] != "-"
        and name[-1] != "-"
    ):
        return None
    return (
        "must be at most 15 lower-case letters, digits and single '-', with a letter among them, "
        "beginning and ending with a letter or digit"
    )


def qualified(name: str) -> str | None:
    """Check a qualified name, such as a label's key: `example.org/name` or `name`."""
    prefix, slash, plain = name.rpartition("/")
    if slash and (problem := subdomain(prefix)):
        return f"its part before '/' {problem}"
    if is_name_part(plain):
        return None
    return (
        "must be at most 63 letters, digits, '-', '_' or '.', "
        "beginning and ending with a letter or digit, after a domain and '/' if any"
    )


def label_value(value: str) -> str | None:
    """Check the value of a label."""
    if is_label_value(value):
        return None
    return (
        "must be at most 63 letters, digits, '-', '_' or '.', "
        "beginning and ending with a letter or digit"
    )


def data_key(key: str) -> str | None:
    """Check a key of a ConfigMap or Secret, which can become the name of a file."""
    if len(key) > 253 or not _KEY.fullmatch(key):
        return "must be at most 253 letters, digits, '-', '_' or '.'"
    return "may not be '.' or begin with '..'" if key == "." or key.startswith("..") else None


def variable(name: str) -> str | None:
    """Check the name of an environment variable."""
    return None if _VARIABLE.fullmatch(name) else "must be printable ASCII letters without '='"


def header(name: str) -> str | None:
    """Check the name of an HTTP header."""
    return None if _HEADER.fullmatch(name) else "must be letters, digits and '-'"


def driver(name: str) -> str | None:
    """Check the name of a storage driver."""
    if len(name) <= 63 and _DRIVER.fullmatch(name):
        return None
    return (
        "must be at most 63 letters, digits, '-' and '.', "
        "beginning and ending with a letter or digit"
    )


def finalizer(name: str) -> str | None:
    """Check a finalizer: with a domain, or one of Kubernetes' own."""
    if "/" in name or name in _FINALIZERS:
        return qualified(name)
    return "must begin with a domain and '/'"
