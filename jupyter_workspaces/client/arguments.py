"""Argument checks for public functions: a wrong argument raises a one-sentence error.

Without them, a wrong type would fail deep inside the client, with a long traceback in the cell.
Validation libraries such as pydantic would add 7 MB to the installation, and several lines to each
message.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Collection, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

from .errors import WorkspaceError

P = ParamSpec("P")
R = TypeVar("R")

_PLAIN = (str, int, float, bool, type(None))
_GROUPS = (Mapping, Collection, AbstractSet)
_WORDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    type(None): "None",
    Mapping: "a mapping",
}


class WrongArgument(WorkspaceError, TypeError):
    """A public function was called with wrong arguments."""


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Wrap a public function to check the number, names and types of its arguments.

    Only annotations of texts, numbers, mappings and collections are checked. The wrapped function
    raises `WrongArgument`.
    """
    signature = inspect.signature(function)
    types_of: dict[str, Any] = {}

    @functools.wraps(function)
    def call(*arguments: P.args, **named: P.kwargs) -> R:
        try:
            bound = signature.bind(*arguments, **named)
        except TypeError as error:
            raise WrongArgument(
                f"{function.__name__}(): {error}.", f"Parameters: {_parameters(signature)}."
            ) from None
        if not types_of:
            types_of.update(get_type_hints(function))
        for name, value in bound.arguments.items():
            if name in types_of and name != "self" and (wanted := _expected(types_of[name], value)):
                text = (
                    f"{function.__name__}(): {name} must be {wanted}, not {type(value).__name__}."
                )
                raise WrongArgument(text, "", {name: text})
        return function(*arguments, **named)

    return call


def _parameters(signature: inspect.Signature) -> str:
    return ", ".join(name for name in signature.parameters if name != "self") or "none"


def _expected(wanted: Any, value: object) -> str:
    """Return a description of the expected type; empty if the value fits or is not checked."""
    choices = get_args(wanted) if get_origin(wanted) in (Union, types.UnionType) else (wanted,)
    origins = [get_origin(choice) or choice for choice in choices]
    if not all(origin in _PLAIN or origin in _GROUPS for origin in origins):
        return ""
    if any(_fits(origin, value) for origin in origins):
        return ""
    return " or ".join(_WORDS.get(origin, "a collection") for origin in origins)


def _fits(origin: Any, value: object) -> bool:
    if origin is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if origin is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if origin is Collection:  # a str is a collection too, but never the intended one
        return isinstance(value, Collection) and not isinstance(value, (str, bytes))
    return isinstance(value, origin)
