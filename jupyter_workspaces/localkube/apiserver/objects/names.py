"""What things may be called: each function tells what is wrong with a name, None when nothing is (Kubernetes docs, “Object Names and IDs”)."""

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
    if dns_names.is_label(name):
        return None
    return "must be a DNS-1123 label: at most 63 lower-case letters, digits and '-', beginning and ending with a letter or digit"


def subdomain(name: str) -> str | None:
    if dns_names.is_subdomain(name):
        return None
    return "must be a DNS-1123 subdomain: at most 253 lower-case letters, digits, '-' and '.', each part beginning and ending with a letter or digit"


def service(name: str) -> str | None:
    if dns_names.is_dns1035_label(name):
        return None
    return "must be a DNS-1035 label: at most 63 lower-case letters, digits and '-', beginning with a letter"


def path_segment(name: str) -> str | None:
    return (
        None
        if name not in (".", "..") and "/" not in name and "%" not in name
        else "may not be '.', '..' or contain '/' or '%'"
    )


def port(name: str) -> str | None:
    if (
        len(name) <= 15
        and _PORT.fullmatch(name)
        and "--" not in name
        and name[0] != "-"
        and name[-1] != "-"
    ):
        return None
    return "must be at most 15 lower-case letters, digits and single '-', with a letter among them, beginning and ending with a letter or digit"


def qualified(name: str) -> str | None:
    """A label's key, a finalizer, a resource: `example.org/name` or `name`."""
    prefix, slash, plain = name.rpartition("/")
    if slash and (problem := subdomain(prefix)):
        return f"its part before '/' {problem}"
    if is_name_part(plain):
        return None
    return "must be at most 63 letters, digits, '-', '_' or '.', beginning and ending with a letter or digit, after a domain and '/' if any"


def label_value(value: str) -> str | None:
    if is_label_value(value):
        return None
    return "must be at most 63 letters, digits, '-', '_' or '.', beginning and ending with a letter or digit"


def data_key(key: str) -> str | None:
    """A key of a ConfigMap or Secret: it becomes the name of a file."""
    if len(key) > 253 or not _KEY.fullmatch(key):
        return "must be at most 253 letters, digits, '-', '_' or '.'"
    return "may not be '.' or begin with '..'" if key == "." or key.startswith("..") else None


def variable(name: str) -> str | None:
    """An environment variable."""
    return None if _VARIABLE.fullmatch(name) else "must be printable ASCII letters without '='"


def header(name: str) -> str | None:
    return None if _HEADER.fullmatch(name) else "must be letters, digits and '-'"


def driver(name: str) -> str | None:
    """A storage driver."""
    if len(name) <= 63 and _DRIVER.fullmatch(name):
        return None
    return "must be at most 63 letters, digits, '-' and '.', beginning and ending with a letter or digit"


def finalizer(name: str) -> str | None:
    """With a domain, or one of Kubernetes' own."""
    if "/" in name or name in _FINALIZERS:
        return qualified(name)
    return "must begin with a domain and '/'"
