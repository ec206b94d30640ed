"""Secrets and ConfigMaps."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from ....resources.causes import Cause, forbidden, invalid, too_long
from .. import names
from ..strategies import Strategy

Object = dict[str, Any]


class SecretStrategy(Strategy):
    def default(self, obj: Object) -> None:
        texts = obj.pop("stringData", None)
        if isinstance(texts, dict):
            data = obj.setdefault("data", {}) or {}
            obj["data"] = data | {key: base64.b64encode(str(value).encode()).decode() for key, value in texts.items()}
        obj.setdefault("type", "Opaque")

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        causes = []
        size = 0
        for key, value in (obj.get("data") or {}).items():
            if problem := names.data_key(key):
                causes.append(invalid(f"data[{key}]", key, problem))
            try:
                size += len(base64.b64decode(value or "", validate=True))
            except (binascii.Error, ValueError, TypeError):
                causes.append(invalid(f"data[{key}]", "…", "must be base64"))
        if size > 2**20:
            causes.append(too_long("data", 2**20))
        if old is not None:
            causes += _check_immutable(obj, old)
            if obj.get("type") != old.get("type"):
                causes.append(invalid("type", obj.get("type"), "field is immutable"))
        return causes


class ConfigMapStrategy(Strategy):
    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        causes = []
        for field in ("data", "binaryData"):
            for key in obj.get(field) or {}:
                if problem := names.data_key(key):
                    causes.append(invalid(f"{field}[{key}]", key, problem))
        if sum(len(str(value)) for value in (obj.get("data") or {}).values()) > 2**20:
            causes.append(too_long("", 2**20))
        return causes + (_check_immutable(obj, old) if old is not None else [])


def _check_immutable(obj: Object, old: Object) -> list[Cause]:
    if not old.get("immutable"):
        return []
    causes = [] if obj.get("immutable") else [forbidden("immutable", "field is immutable when `immutable` is set")]
    return causes + [
        forbidden(field, "field is immutable when `immutable` is set")
        for field in ("data", "binaryData")
        if (obj.get(field) or {}) != (old.get(field) or {})
    ]
