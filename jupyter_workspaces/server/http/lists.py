"""Filters, order, fields and pages of lists, by query parameters (docs/api.md).

`filter=state=Running`, `filter=name!=a*`, `sort=-activity.lastActivity,name`,
`fields=name,state`, `limit=50`, `continue=…`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from jupyter_workspaces.common.patterns import PatternError, wildcards
from jupyter_workspaces.kube.causes import Cause, invalid
from jupyter_workspaces.kube.types import ObjectView

from . import problems

LIMIT = 10_000
MOST = {"filter": 16, "sort": 8, "fields": 64}
"""Each costs a look at every object of a list."""

PATH_LENGTH = 256
_WILDCARDS = frozenset("*?[]\\")
PARAMETERS = ("filter", "sort", "fields", "limit", "continue")


class Position(msgspec.Struct):
    """End of a page: its last object, and the number of objects up to it, if that is deleted."""

    namespace: str
    name: str
    count: int


@dataclass(frozen=True)
class Filter:
    """One condition: a value at the path matches, or none does."""

    path: tuple[str, ...]
    fits: Callable[[str], bool]
    equal: bool
    exact: str | None = None
    """Return the only matching value, None if several match."""

    def holds(self, item: ObjectView) -> bool:
        """Return whether an item matches."""
        return any(self.fits(_text(value)) for value in _values(item, self.path)) is self.equal


@dataclass(frozen=True)
class Selection:
    """Selection of a list. All filters must match; sort paths are applied in order."""

    filters: tuple[Filter, ...] = ()
    sort: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    limit: int | None = None
    after: Position | None = None

    @property
    def name(self) -> str | None:
        """Return the name that the filters require; None if several names match."""
        return next(
            (
                one.exact
                for one in self.filters
                if one.path == ("name",) and one.equal and one.exact is not None
            ),
            None,
        )

    def apply(self, items: Sequence[ObjectView]) -> tuple[list[ObjectView], str | None]:
        """Return the page, and the token for the next one if there is more."""
        found = [item for item in items if all(one.holds(item) for one in self.filters)]
        for path in reversed(self.sort):
            found.sort(key=_sort_key(path.removeprefix("-")), reverse=path.startswith("-"))
        start = self._start(found)
        end = len(found) if self.limit is None else start + self.limit
        token = (
            _token(Position(*_identity(found[end - 1]), end)) if start < end < len(found) else None
        )
        page = found[start:end]
        return [_projected(item, self.fields) for item in page] if self.fields else page, token

    def _start(self, found: Sequence[ObjectView]) -> int:
        if self.after is None:
            return 0
        last = (self.after.namespace, self.after.name)
        return next(
            (index + 1 for index, item in enumerate(found) if _identity(item) == last),
            min(self.after.count, len(found)),
        )


def selection(arguments: Callable[[str], list[str]]) -> Selection | None:
    """Return the selection of query parameters; None without any.

    Raises `Problem` 422 that names the invalid parameters.
    """
    given = {name: [value for value in arguments(name) if value] for name in PARAMETERS}
    if not any(given.values()):
        return None
    causes: list[Cause] = []
    limit, after, filters = None, None, []
    for text in given["filter"]:
        path, sign, pattern = text.partition("=")
        if not sign or not path.strip("!"):
            causes.append(
                invalid("filter", text, "must be PATH=VALUE or PATH!=VALUE, such as state=Running")
            )
        try:
            exact = None if set(pattern) & _WILDCARDS else pattern
            filters.append(
                Filter(
                    tuple(path.removesuffix("!").split(".")),
                    wildcards(pattern),
                    not path.endswith("!"),
                    exact,
                )
            )
        except PatternError as error:
            causes.append(invalid("filter", text, str(error)))
    for text in given["limit"][:1]:
        if text.isascii() and text.isdigit() and 0 < int(text[:9]) <= LIMIT:
            limit = int(text)
        else:
            causes.append(invalid("limit", text, f"must be a whole number from 1 to {LIMIT}"))
    for text in given["continue"][:1]:
        after = _position(text)
        if after is None:
            causes.append(
                invalid("continue", text, "is not what an earlier page gave as its continuation")
            )
    sort, fields = _split(given["sort"]), _split(given["fields"])
    for name, wanted in (("filter", given["filter"]), ("sort", sort), ("fields", fields)):
        if len(wanted) > MOST[name]:
            causes.append(invalid(name, len(wanted), f"may be given at most {MOST[name]} times"))
    if any(
        len(path) > PATH_LENGTH
        for path in (*sort, *fields, *(text.partition("=")[0] for text in given["filter"]))
    ):
        causes.append(
            invalid("filter, sort or fields", "…", f"a path has at most {PATH_LENGTH} letters")
        )
    if causes:
        raise problems.invalid(causes)
    return Selection(tuple(filters), sort, fields, limit, after)


def _split(values: list[str]) -> tuple[str, ...]:
    return tuple(part.strip() for value in values for part in value.split(",") if part.strip())


def _identity(item: ObjectView) -> tuple[str, str]:
    return str(item.get("namespace", "")), str(item.get("name", ""))


def _token(position: Position) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def _position(token: str) -> Position | None:
    try:
        return msgspec.json.decode(
            base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)), type=Position
        )
    except (ValueError, binascii.Error, msgspec.DecodeError):
        return None


def _values(value: Any, path: Sequence[str]) -> Iterator[Any]:
    """Yield all values at a path, through lists."""
    if isinstance(value, list):
        for child in value:
            yield from _values(child, path)
    elif not path:
        yield value
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _values(value[path[0]], path[1:])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _sort_key(path: str) -> Callable[[ObjectView], tuple[int, Any]]:
    parts = path.split(".")

    def key(item: ObjectView) -> tuple[int, Any]:
        value = next(_values(item, parts), None)
        if isinstance(value, (int, float)):
            return 1, value
        return (0, 0) if value is None else (2, _text(value))

    return key


def _projected(item: ObjectView, fields: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in fields:
        source: Any = item
        target = found
        *outer, last = path.split(".")
        for part in outer:
            source = source.get(part) if isinstance(source, Mapping) else None
            if not isinstance(source, Mapping):
                break
            target = target.setdefault(part, {})
        if isinstance(source, Mapping) and last in source:
            target[last] = source[last]
    return found
