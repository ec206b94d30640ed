"""Malformed objects of the cluster, which must not break a list, a stream or a batch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from jupyter_workspaces.kube.types import ObjectView
from jupyter_workspaces.resources import unreadable
from jupyter_workspaces.server.http import problems

log = logging.getLogger(__name__)

View = TypeVar("View")

ODD = (*unreadable.ERRORS, msgspec.MsgspecError)
"""Exceptions when a malformed object is read or its view does not match the model."""

_KNOWN_MOST = 1000
_told: set[tuple[str, str]] = set()


def readable(obj: ObjectView, view: Callable[[], View]) -> View | None:
    """Return the view of an object; None, with one warning for each version, if it is malformed."""
    try:
        return view()
    except ODD as error:
        _tell(obj, error)
        return None


@contextmanager
def reading(obj: ObjectView) -> Iterator[None]:
    """Raise `Problem` 409 if the object is malformed, for the code in this block."""
    try:
        yield
    except ODD as error:
        _tell(obj, error)
        raise problems.conflict(
            f"{_name(obj)} cannot be shown or changed here: {unreadable.reason(obj)}. "
            "Correct it with kubectl, or delete it."
        ) from error


def _tell(obj: ObjectView, error: Exception) -> None:
    metadata = unreadable.mapping(obj.get("metadata"))
    version = (str(metadata.get("uid")), str(metadata.get("resourceVersion")))
    if version in _told:
        return
    if len(_told) >= _KNOWN_MOST:
        _told.clear()
    _told.add(version)
    log.warning("%s cannot be read: %s", _name(obj), type(error).__name__, exc_info=error)


def _name(obj: ObjectView) -> str:
    metadata = unreadable.mapping(obj.get("metadata"))
    place = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{obj.get('kind') or 'The object'} {place}{metadata.get('name')}"
