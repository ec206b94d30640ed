"""Objects of the cluster with values that their kind does not allow: a lax CRD, or another version of it, lets anybody store them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from . import problems

log = logging.getLogger(__name__)

Object = Mapping[str, Any]
View = TypeVar("View")

ODD = (KeyError, IndexError, TypeError, AttributeError, ValueError, ArithmeticError)
"""What reading such an object raises: fields that are not there, of another type, or far out of range."""

_KNOWN_MOST = 1000
_told: set[tuple[str, str]] = set()


def readable(obj: Object, view: Callable[[], View]) -> View | None:
    """Return what `view` makes of the object; None, and a warning once for each version of it, when it cannot be read."""
    try:
        return view()
    except ODD as error:
        _tell(obj, error)
        return None


@contextmanager
def reading(obj: Object) -> Iterator[None]:
    """Raises `Problem` 409 when the object cannot be read in this block."""
    try:
        yield
    except ODD as error:
        _tell(obj, error)
        raise problems.conflict(
            f"{_name(obj)} has values that its kind does not allow, so it cannot be shown or changed here. Correct it with kubectl."
        ) from error


def _tell(obj: Object, error: Exception) -> None:
    metadata = obj.get("metadata") or {}
    version = (str(metadata.get("uid")), str(metadata.get("resourceVersion")))
    if version in _told:
        return
    if len(_told) >= _KNOWN_MOST:
        _told.clear()
    _told.add(version)
    log.warning("%s cannot be read and is left out of lists", _name(obj), exc_info=error)


def _name(obj: Object) -> str:
    metadata = obj.get("metadata") or {}
    place = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{obj.get('kind') or 'The object'} {place}{metadata.get('name')}"
