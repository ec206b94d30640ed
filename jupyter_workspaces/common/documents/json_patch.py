"""JSON patches (RFC 6902) within the bounds that Kubernetes has: operations, and what copies may add."""

from __future__ import annotations

from typing import Any

import jsonpatch
import jsonpointer

from .bounds import (
    Bounds,
    TooDeep,
    TooLarge,
    copied,
)

OPERATIONS = 10_000
"""As many as Kubernetes takes in one patch."""

RESULT = Bounds(size=3 * 2**20, depth=250, values=50_000)
"""What a patch may leave, and what its copies may come to together (Kubernetes' limit of copies is 3 MiB as well)."""

_MOVED = 20_000_000
_LONGEST_TEXT = 300
_FAULTS = (
    jsonpatch.JsonPatchException,
    jsonpointer.JsonPointerException,
    TypeError,
    KeyError,
    IndexError,
    ValueError,
    AttributeError,
)


class PatchError(ValueError):
    """The patch cannot be applied; the text says why."""


class NotAPatch(PatchError):
    """It is no JSON patch, whatever it is applied to."""


class DoesNotFit(PatchError):
    """An operation does not fit the document, or a test failed."""


class TooManyOperations(TooLarge):
    """More operations than `OPERATIONS`; `count` is how many."""

    def __init__(self, count: int) -> None:
        super().__init__(f"The patch has {count} operations; {OPERATIONS} are the most.")
        self.count = count


def apply(
    document: Any, operations: Any, *, replaces_absent: bool = False, bounds: Bounds = RESULT
) -> Any:
    """Return the patched document; the one given is changed on the way and must not be used any more.

    `replaces_absent`: let `replace` set a key that an object does not have yet, as Kubernetes does.
    Raises `NotAPatch`, `DoesNotFit`, `TooManyOperations`, `TooDeep`, and `TooLarge` before memory is spent on what is too large.
    """
    if not isinstance(operations, list) or not all(isinstance(one, dict) for one in operations):
        raise NotAPatch("a JSON patch is a list of operations, each with op and path (RFC 6902)")
    if len(operations) > OPERATIONS:
        raise TooManyOperations(len(operations))
    budget = _Budget(bounds)
    try:
        for operation in operations:
            operation = budget.spend(document, operation)
            if replaces_absent:
                operation = _lenient(document, operation)
            document = jsonpatch.apply_patch(document, [operation], in_place=True)
    except (TooLarge, TooDeep):
        raise
    except jsonpatch.InvalidJsonPatch as error:
        raise NotAPatch(_short(error)) from error
    except _FAULTS as error:
        raise DoesNotFit(_short(error)) from error
    except RecursionError as error:
        raise TooDeep(
            f"The patch leaves an object that is nested deeper than {bounds.depth} levels."
        ) from error
    bounds.check(document, "What the patch leaves")
    return document


class _Budget:
    """What one patch may still copy and move."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._values = self._letters = self._moved = 0

    def spend(self, document: Any, operation: dict[str, Any]) -> dict[str, Any]:
        """Return the operation to do; one that copies has become one that adds. Raises `TooLarge` where too much would be copied or moved."""
        kind, source, target = operation.get("op"), operation.get("from"), operation.get("path")
        if kind == "copy" and isinstance(source, str) and isinstance(target, str):
            operation = {
                "op": "add",
                "path": target,
                "value": self._copied(jsonpointer.JsonPointer(source).resolve(document)),
            }
        if kind == "move" and isinstance(source, str):
            self._move(document, source)
        if kind in ("add", "remove", "move", "copy") and isinstance(target, str):
            self._move(document, target)
        return operation

    def _copied(self, value: Any) -> Any:
        left = Bounds(
            self._bounds.size - self._letters,
            self._bounds.depth,
            self._bounds.values - self._values,
        )
        try:
            values, letters = left.measure(value)
        except TooLarge as error:
            text = f"The copies of the patch come to more than {self._bounds.values} values or {self._bounds.size} letters."
            raise TooLarge(text) from error
        self._values += values
        self._letters += letters
        return copied(value)

    def _move(self, document: Any, path: str) -> None:
        """Inserting into a list, and removing, moves all that stands behind it."""
        parent, part = jsonpointer.JsonPointer(path).to_last(document)
        if isinstance(parent, list) and part != "-":
            self._moved += len(parent)
        if self._moved > _MOVED:
            raise TooLarge(
                "The patch inserts or removes too often in long lists. Replace the list as a whole."
            )


def _lenient(document: Any, operation: dict[str, Any]) -> dict[str, Any]:
    if operation.get("op") != "replace" or not isinstance(operation.get("path"), str):
        return operation
    parent, key = jsonpointer.JsonPointer(operation["path"]).to_last(document)
    return (
        {**operation, "op": "add"}
        if isinstance(parent, dict) and key is not None and key not in parent
        else operation
    )


def _short(error: Exception) -> str:
    """What is wrong; the library's texts quote whole documents."""
    text = str(error)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"
