"""Checks of metadata: types, names, labels, annotations, finalizers and owner references."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jupyter_workspaces.kube.causes import Cause, invalid, too_long
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.http import status

from . import decoding, name_rules

_OWNER = ("apiVersion", "kind", "name", "uid")
_MOST_ANNOTATIONS = 256 * 1024


def check_types(metadata: Object) -> None:
    """Check the types of metadata, and replace null by empty text as Go does.

    Raises:
        Refusal: 400 for a value of the wrong type.
    """
    _fill_nulls(metadata)
    for field in ("name", "generateName", "namespace", "uid", "resourceVersion"):
        if metadata.get(field) is not None and not isinstance(metadata[field], str):
            raise status.bad_request(f"metadata.{field} must be text")
    if (made := metadata.get("creationTimestamp")) is not None:
        _check_time(made)
    for field in ("labels", "annotations"):
        held = metadata.get(field)
        if held is None:
            metadata.pop(field, None)
        elif not isinstance(held, dict) or not all(map(_is_text, held.values())):
            raise status.bad_request(f"metadata.{field} must be an object of texts")
    held = metadata.get("finalizers")
    if held is not None and (not isinstance(held, list) or not all(map(_is_text, held))):
        raise status.bad_request("metadata.finalizers must be a list of texts")
    if not held:
        metadata.pop("finalizers", None)
    owners = metadata.get("ownerReferences")
    if owners is None or owners == []:
        metadata.pop("ownerReferences", None)
    elif not isinstance(owners, list) or not all(
        isinstance(owner, dict) and all(map(_is_text, _owner_texts(owner))) for owner in owners
    ):
        raise status.bad_request("metadata.ownerReferences must be a list of owner references")


def _fill_nulls(metadata: Object) -> None:
    """Replace null in a map or list of strings by the empty string, as `encoding/json` does."""
    for field in ("labels", "annotations"):
        if isinstance(held := metadata.get(field), dict) and None in held.values():
            metadata[field] = {key: "" if value is None else value for key, value in held.items()}
    if isinstance(held := metadata.get("finalizers"), list) and None in held:
        metadata["finalizers"] = ["" if value is None else value for value in held]


def _check_time(value: Any) -> None:
    try:
        decoding.normalize_time(value, "metadata.creationTimestamp")
    except decoding.WrongType as error:
        raise status.bad_request(str(error)) from error


def _owner_texts(owner: Object) -> Iterator[Any]:
    return (owner.get(field) or "" for field in _OWNER)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def check_metadata(
    metadata: Object,
    name_problem: Callable[[str], str | None] | None,
    finalizers_have_domains: bool,
) -> Iterator[Cause]:
    """Yield what is invalid in metadata.

    Args:
        metadata: the metadata.
        name_problem: checks the name of a new object; None for an update, where name and finalizers
            are not checked.
        finalizers_have_domains: whether finalizers need a domain.
    """
    if name_problem is not None:
        yield from _check_name(metadata, name_problem)
        for index, name in enumerate(metadata.get("finalizers") or ()):
            if problem := name_rules.qualified(name):
                yield invalid("metadata.finalizers", name, problem)
            if finalizers_have_domains and (problem := name_rules.finalizer(name)):
                yield invalid(f"metadata.finalizers[{index}]", name, problem)
    for key, value in (metadata.get("labels") or {}).items():
        for text, problem in (
            (key, name_rules.qualified(key)),
            (value, name_rules.label_value(value)),
        ):
            if problem:
                yield invalid("metadata.labels", text, problem)
    yield from check_annotations(metadata, "metadata.annotations")
    yield from _check_owners(metadata.get("ownerReferences") or ())


def _check_name(metadata: Object, problem: Callable[[str], str | None]) -> Iterator[Cause]:
    base = metadata.get("generateName") or ""
    # A prefix may end with "-", which a name may not.
    if base and (found := problem(base[:-1] + "x" if base.endswith("-") else base)):
        yield invalid("metadata.generateName", base, found)
    if found := problem(metadata["name"]):
        yield invalid("metadata.name", metadata["name"], found)


def check_annotations(metadata: Object, path: str) -> Iterator[Cause]:
    """Yield what is invalid in annotations."""
    annotations = metadata.get("annotations") or {}
    for key in annotations:
        if problem := name_rules.qualified(key.lower()):
            yield invalid(path, key, problem)
    if (
        sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
        > _MOST_ANNOTATIONS
    ):
        yield too_long(path, _MOST_ANNOTATIONS)


def _check_owners(owners: Sequence[Object]) -> Iterator[Cause]:
    at = "metadata.ownerReferences"
    for owner in owners:
        for field in _OWNER:
            if not owner.get(field):
                yield invalid(f"{at}.{field}", owner.get(field) or "", "must not be empty")
        if (owner.get("apiVersion"), owner.get("kind")) == ("v1", "Event"):
            yield invalid(at, owner, "an event cannot be an owner")
    if sum(owner.get("controller") is True for owner in owners) > 1:
        yield invalid(at, list(owners), "only one owner can be the controller")
