"""Applies JSON patches (RFC 6902) within the limits of Kubernetes.

The library `jsonpatch` applies each operation; it limits neither the number of operations nor what
copies add, which this module does.
"""

from __future__ import annotations

from typing import Any

import jsonpatch
import jsonpointer

from .bounds import (
    Bounds,
    TooDeep,
    TooLarge,
    copy_json,
)

OPERATIONS = 10_000
"""Operations of one patch; the same limit as in Kubernetes."""

RESULT = Bounds(size=3 * 2**20, depth=250, values=50_000)
"""Limits of the result, and of all copies together (3 MiB in Kubernetes, too)."""

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
    """The patch cannot be applied; the message says why."""


class NotAPatch(PatchError):
    """It is not a JSON patch."""


class DoesNotFit(PatchError):
    """An operation does not fit the document, or a test failed."""


class TooManyOperations(TooLarge):
    """The patch has more than `OPERATIONS` operations; `count` is their number."""

    def __init__(self, count: int) -> None:
        """Make an error for a patch with `count` operations."""
        super().__init__(f"The patch has {count} operations; {OPERATIONS} are the most.")
        self.count = count


def apply(
    document: Any, operations: Any, *, replaces_absent: bool = False, bounds: Bounds = RESULT
) -> Any:
    """Return the patched document. Modifies the given one, which must not be used afterwards.

    Args:
        document: the document.
        operations: the patch.
        replaces_absent: let `replace` add a missing key of an object, as Kubernetes does.
        bounds: limits of the result, and of all copies together.

    Raises:
        NotAPatch: `operations` is not a JSON patch.
        DoesNotFit: an operation does not fit the document, or a test failed.
        TooManyOperations: there are more than `OPERATIONS` operations.
        TooDeep: the result is nested too deep.
        TooLarge: the result or the copies are too large; raised before they use memory.
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
        """Return the operation to apply; one that copies becomes one that adds.

        Raises `TooLarge` if too much would be copied or moved.
        """
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
            raise TooLarge(
                f"The copies of the patch come to more than {self._bounds.values} values "
                f"or {self._bounds.size} characters."
            ) from error
        self._values += values
        self._letters += letters
        return copy_json(value)

    def _move(self, document: Any, path: str) -> None:
        """Count the items of a list that an insertion or removal moves."""
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
    """Return the beginning of an error's text: the library quotes whole documents."""
    text = str(error)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"
