"""Secrets and ConfigMaps."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable

from jupyter_workspaces.kube.causes import (
    Cause,
    forbidden,
    invalid,
    required,
    too_long,
)
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.access.tokens import SECRET_TYPE
from jupyter_workspaces.localkube.apiserver.objects import name_rules
from jupyter_workspaces.localkube.apiserver.objects.strategies import Strategy

from .values import Causes

_MOST_BYTES = 2**20
_ACCOUNT = "kubernetes.io/service-account.name"
_KUBERNETES = "kubernetes.io/"
_KEYS = {
    "tls": ("tls.crt", "tls.key"),
    "ssh-auth": ("ssh-privatekey",),
    "dockercfg": (".dockercfg",),
    "dockerconfigjson": (".dockerconfigjson",),
}
"""Keys that Secrets of built-in types must have."""


class SecretStrategy(Strategy):
    """Rules of Secrets."""

    def default(self, obj: Object) -> None:
        """Fill in defaults, in place."""
        texts = obj.pop("stringData", None)
        if texts:
            obj["data"] = (obj.get("data") or {}) | {
                key: base64.b64encode(value.encode()).decode() for key, value in texts.items()
            }
        obj.setdefault("type", "Opaque")

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Return what is invalid."""
        data = obj.get("data") or {}
        causes = list(_check_keys(data, "data"))
        if sum(len(base64.b64decode(value or "")) for value in data.values()) > _MOST_BYTES:
            causes.append(too_long("data", _MOST_BYTES))
        causes += _check_type(obj, data)
        if old is not None:
            causes += _check_immutable(obj, old)
            if obj["type"] != old.get("type"):
                causes.append(invalid("type", obj["type"], "field is immutable"))
        return causes


def _check_type(obj: Object, data: Object) -> Causes:
    kind = obj["type"].removeprefix(_KUBERNETES) if obj["type"].startswith(_KUBERNETES) else ""
    for key in _KEYS.get(kind, ()):
        if key not in data:
            yield required(f"data[{key}]")
        elif kind.startswith("docker") and not _is_json(data[key]):
            yield invalid(f"data[{key}]", "<secret contents redacted>", "must be JSON")
    if kind == "basic-auth" and not data.keys() & {"username", "password"}:
        yield required("data[username]")
        yield required("data[password]")
    if obj["type"] == SECRET_TYPE and not (obj["metadata"].get("annotations") or {}).get(_ACCOUNT):
        yield required(f"metadata.annotations[{_ACCOUNT}]")


def _is_json(text: str) -> bool:
    try:
        json.loads(base64.b64decode(text))
    except ValueError:
        return False
    return True


class ConfigMapStrategy(Strategy):
    """Rules of ConfigMaps."""

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Return what is invalid."""
        data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
        causes = [*_check_keys(data, "data"), *_check_keys(binary, "binaryData")]
        causes += [
            invalid(f"data[{key}]", key, "is also in binaryData")
            for key in data.keys() & binary.keys()
        ]
        size = sum(len(value.encode()) for value in data.values()) + sum(
            len(base64.b64decode(value)) for value in binary.values()
        )
        if size > _MOST_BYTES:
            causes.append(too_long("[]", _MOST_BYTES))
        return causes + (_check_immutable(obj, old) if old is not None else [])


def _check_keys(keys: Iterable[str], path: str) -> Causes:
    for key in keys:
        if problem := name_rules.data_key(key):
            yield invalid(f"{path}[{key}]", key, problem)


def _check_immutable(obj: Object, old: Object) -> list[Cause]:
    if not old.get("immutable"):
        return []
    causes = (
        []
        if obj.get("immutable")
        else [forbidden("immutable", "field is immutable when `immutable` is set")]
    )
    return causes + [
        forbidden(field, "field is immutable when `immutable` is set")
        for field in ("data", "binaryData")
        if (obj.get(field) or {}) != (old.get(field) or {})
    ]
