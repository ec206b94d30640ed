"""Metadata that everything relies on: its types, and what labels and annotations may be called."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from ...resources.causes import Cause, invalid
from . import status

Object = dict[str, Any]

_QUALIFIED = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9.]{0,251}[A-Za-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_OWNER = ("apiVersion", "kind", "name", "uid")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


def check_types(metadata: Object) -> None:
    """Types of metadata that everything relies on. Raises `Refusal` 400."""
    for field in ("name", "generateName", "namespace", "uid", "resourceVersion"):
        if metadata.get(field) is not None and not isinstance(metadata[field], str):
            raise status.bad_request(f"metadata.{field} must be text")
    for field in ("labels", "annotations"):
        held = metadata.get(field)
        if held is None:
            metadata.pop(field, None)
        elif not isinstance(held, dict) or not all(isinstance(value, str) for value in held.values()):
            raise status.bad_request(f"metadata.{field} must be an object of texts")
    held = metadata.get("finalizers")
    if held is not None and (not isinstance(held, list) or not all(isinstance(value, str) for value in held)):
        raise status.bad_request("metadata.finalizers must be a list of texts")
    if not held:
        metadata.pop("finalizers", None)
    owners = metadata.get("ownerReferences")
    if not owners:
        metadata.pop("ownerReferences", None)
    elif not isinstance(owners, list) or not all(isinstance(owner, dict) and all(map(_is_text, _told(owner))) for owner in owners):
        raise status.bad_request("metadata.ownerReferences must be a list of objects that name their owners by texts")


def _told(owner: Object) -> Iterator[Any]:
    return (owner.get(field) or "" for field in _OWNER)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def check_names(metadata: Object) -> list[Cause]:
    """What is wrong with the keys and values of labels and annotations."""
    causes = []
    for field in ("labels", "annotations"):
        for key, value in (metadata.get(field) or {}).items():
            if not _QUALIFIED.fullmatch(key):
                causes.append(
                    invalid(f"metadata.{field}", key, "name part must consist of letters, digits, '-', '_' or '.', at most 63 characters")
                )
            elif field == "labels" and not _LABEL_VALUE.fullmatch(value):
                causes.append(invalid("metadata.labels", value, "a label's value has at most 63 letters, digits, '-', '_' or '.'"))
    for name in metadata.get("finalizers") or ():
        if not _QUALIFIED.fullmatch(name):
            causes.append(
                invalid("metadata.finalizers", name, "a finalizer's name has letters, digits, '-', '_' or '.', after a domain and '/'")
            )
    return causes + list(_check_owners(metadata.get("ownerReferences") or ()))


def _check_owners(owners: Sequence[Object]) -> Iterator[Cause]:
    for owner in owners:
        for field in _OWNER:
            if not owner.get(field):
                yield invalid(f"metadata.ownerReferences.{field}", owner.get(field) or "", "must not be empty")
    if sum(owner.get("controller") is True for owner in owners) > 1:
        yield invalid("metadata.ownerReferences", list(owners), "only one owner can be the controller")
