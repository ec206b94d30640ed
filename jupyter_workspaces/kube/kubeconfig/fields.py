"""The fields of a kubeconfig and their types (k8s.io/client-go/tools/clientcmd/api/v1).

kubectl refuses a file if any entry has a value of a wrong type. It ignores unknown keys, takes null
for absent, and keys are case sensitive.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from jupyter_workspaces.kube.types import ObjectView

_EXEC = {
    "command": str,
    "args": [str],
    "env": [{"name": str, "value": str}],
    "apiVersion": str,
    "installHint": str,
    "provideClusterInfo": bool,
    "interactiveMode": str,
}
_FIELDS: dict[str, dict[str, Any]] = {
    "clusters": {
        "server": str,
        "tls-server-name": str,
        "insecure-skip-tls-verify": bool,
        "certificate-authority": str,
        "certificate-authority-data": bytes,
        "proxy-url": str,
        "disable-compression": bool,
        "extensions": [dict],
    },
    "users": {
        "client-certificate": str,
        "client-certificate-data": bytes,
        "client-key": str,
        "client-key-data": bytes,
        "token": str,
        "tokenFile": str,
        "as": str,
        "as-uid": str,
        "as-groups": [str],
        "as-user-extra": {"*": [str]},
        "username": str,
        "password": str,
        "auth-provider": {"name": str, "config": {"*": str}},
        "exec": _EXEC,
    },
    "contexts": {"cluster": str, "user": str, "namespace": str},
}
_TYPES = {
    str: "a text (put it in quotes)",
    bool: "true or false, without quotes",
    bytes: "base64",
    dict: "a mapping",
}


class WrongField(Exception):
    """A field has a wrong value. The message names entry and key, never the value."""


def check_kind(document: Any) -> None:
    """Check that a document is a kubeconfig. Raises `WrongField`."""
    if not isinstance(document, dict):
        raise WrongField("it is not a mapping with clusters, users and contexts")
    for key, wanted in (("kind", "Config"), ("apiVersion", "v1")):
        if text(document, key) not in ("", wanted):
            raise WrongField(f"its {key} is not {wanted}")


def text(document: ObjectView, key: str) -> str:
    """Return a text field of the document itself, empty if absent. Raises `WrongField`."""
    value: str = _checked(document.get(key), str, key) or ""
    return value


def entries(document: ObjectView, section: str, singular: str) -> dict[str, ObjectView]:
    """Return the entries of a section by name.

    Raises:
        WrongField: an entry is invalid, or two have the same name.
    """
    listed = document.get(section)
    if listed is not None and not isinstance(listed, list):
        raise WrongField(f"{section} must be a list of entries with name and {singular}")
    found: dict[str, ObjectView] = {}
    for entry in listed or ():
        if not isinstance(entry, dict):
            raise WrongField(f"{section} must be a list of entries with name and {singular}")
        name = _checked(entry.get("name"), str, f"the name of an entry of {section}") or ""
        if name in found:
            raise WrongField(f"{section} has two entries named {name!r}")
        value = entry.get(singular)
        if value is not None and not isinstance(value, dict):
            raise WrongField(f"{singular} {name!r} must be a mapping")
        found[name] = value or {}
    return found


def checked(value: ObjectView, section: str, where: str) -> ObjectView:
    """Return the known fields of an entry; base64 is decoded. Raises `WrongField`."""
    result: ObjectView = _checked(value, _FIELDS[section], where)
    return result


def _checked(value: Any, wanted: Any, where: str) -> Any:
    if value is None:
        return None
    if isinstance(wanted, list):
        if not isinstance(value, list):
            raise WrongField(f"{where} must be a list")
        # null in a list is the type's zero value in Go
        items = [_checked(item, wanted[0], f"{where}[{index}]") for index, item in enumerate(value)]
        return [("" if wanted[0] is str else {}) if item is None else item for item in items]
    if isinstance(wanted, dict):
        if not isinstance(value, dict):
            raise WrongField(f"{where} must be a mapping")
        keys = value if "*" in wanted else wanted
        found = {
            key: _checked(value.get(key), wanted.get("*", wanted.get(key)), f"{key} of {where}")
            for key in keys
        }
        return {key: item for key, item in found.items() if item is not None}
    if wanted is bytes:
        return _decoded(value, where)
    if not isinstance(value, wanted):
        raise WrongField(f"{where} must be {_TYPES[wanted]}")
    return value


def _decoded(value: Any, where: str) -> bytes:
    if isinstance(value, str):
        try:
            return base64.b64decode(
                value.replace("\n", "").replace("\r", "").encode(), validate=True
            )
        except (binascii.Error, ValueError):
            pass
    raise WrongField(f"{where} must be {_TYPES[bytes]}")
