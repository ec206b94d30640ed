"""Reads YAML within limits, from libyaml's events, and only what JSON can express.

It is YAML 1.1 as PyYAML reads it (https://yaml.org/spec/1.1/), with the differences of Kubernetes'
readers: times, keys and numbers to base 60 stay texts. Aliases count for what they stand for, so
that a few lines cannot expand to gigabytes; PyYAML's own constructors have no limits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from .bounds import (
    Bounds,
    DocumentError,
    TooDeep,
    TooLarge,
    copy_json,
)

FAST: bool = yaml.__with_libyaml__

BODY = Bounds(size=512 * 2**10 if FAST else 32 * 2**10, depth=100, values=50_000 if FAST else 5_000)
"""Limits of a request's body. Reading YAML takes 50 times as long as JSON; 500 without libyaml."""

FILE = Bounds(size=4 * 2**20, depth=200, values=200_000)
"""Limits of a file of the user or the package: manifests, a kubeconfig."""

_BASE: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PREFIX = "tag:yaml.org,2002:"
_SCALARS = frozenset(_PREFIX + name for name in ("null", "bool", "int", "float", "str"))
_NUMBERS = frozenset(_PREFIX + name for name in ("int", "float"))
_STR, _FLOAT, _MERGE = _PREFIX + "str", _PREFIX + "float", _PREFIX + "merge"
_COLLECTIONS = frozenset(_PREFIX + name for name in ("map", "seq"))
_PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})", re.ASCII)
_LONGEST_NUMBER = 400
_DIRECTIVES = re.compile("(?:^|[\n\r\x85\u2028\u2029])%")
_MOST_DIRECTIVES = 10
_MOST_REPEATED = 20


class _Loader(_BASE):  # type: ignore[misc]
    """Loader that leaves times as texts, as Kubernetes does."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _PREFIX + "timestamp"]
    for first, resolvers in _BASE.yaml_implicit_resolvers.items()
}


@dataclass
class Document:
    """One document as JSON values, and the first few keys that occur twice in a mapping."""

    value: Any
    repeated: list[str] = field(default_factory=list)


def load(text: bytes | str, bounds: Bounds = FILE) -> Any:
    """Return the only document, None for an empty text. Raises `DocumentError`, `TooLarge`."""
    documents = read(text, bounds)
    found = next(documents, None)
    if next(documents, None) is not None:
        raise DocumentError("expected a single document, but there is another one")
    return None if found is None else found.value


def load_all(text: bytes | str, bounds: Bounds = FILE) -> list[Any]:
    """Return all documents; the limits hold for all of them together.

    Raises `DocumentError`, `TooLarge`.
    """
    return [document.value for document in read(text, bounds)]


def read(text: bytes | str, bounds: Bounds = FILE) -> Iterator[Document]:
    """Yield one document after the other, and read no further than needed.

    Raises `DocumentError`, `TooLarge`.
    """
    if len(text) > bounds.size:
        raise TooLarge(f"The YAML is larger than {bounds.size} bytes.")
    try:
        given = text if isinstance(text, str) else text.decode()
    except UnicodeDecodeError as error:
        raise DocumentError("the YAML is not UTF-8") from error
    # libyaml compares each directive with all before it.
    if len(_DIRECTIVES.findall(given)) > _MOST_DIRECTIVES:
        raise DocumentError(
            f"the YAML has more than {_MOST_DIRECTIVES} directives (lines that begin with %)"
        )
    try:
        loader = _Loader(given)
        try:
            yield from _Reader(loader, bounds).documents()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise DocumentError(str(error), line=None if mark is None else mark.line + 1) from error
    except UnicodeEncodeError as error:
        raise DocumentError("the YAML has half of a surrogate pair") from error


def dump(document: Any, *, sort_keys: bool = True) -> str:
    """Return JSON values as YAML in block style, with Unicode unescaped."""
    dumper: type[Any] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(
        yaml.dump(
            document,
            Dumper=dumper,
            default_flow_style=False,
            allow_unicode=True,
            sort_keys=sort_keys,
        )
    )


class _Open:
    """A collection that is not complete yet."""

    __slots__ = ("anchor", "items", "key", "keyed", "letters", "mapping", "merged", "values")

    def __init__(self, mapping: bool, anchor: str | None, values: int, letters: int) -> None:
        self.mapping, self.anchor = mapping, anchor
        self.items: Any = {} if mapping else []
        self.keyed, self.key = False, ""  # whether a key waits for its value
        self.merged: list[Any] = []
        self.values, self.letters = values, letters  # the counts before it began


_MERGE_KEY = "\0<<"


class _Reader:
    """Builds JSON values from events, without recursion."""

    def __init__(self, loader: Any, bounds: Bounds) -> None:
        self._loader, self._bounds = loader, bounds
        self._values = self._letters = 0
        self._anchors: dict[str, tuple[Any, int, int] | None] = {}
        self._known: dict[str, str] = {}
        self._repeated: list[str] = []

    def documents(self) -> Iterator[Document]:
        stack: list[_Open] = []
        value: Any = None
        while self._loader.check_event():
            event = self._loader.get_event()
            if isinstance(event, yaml.ScalarEvent):
                key = bool(stack) and stack[-1].mapping and not stack[-1].keyed
                value = self._scalar(event, key)
                if event.anchor is not None:
                    self._anchors[event.anchor] = (value, 1, len(event.value))
                self._count(1, len(event.value))
            elif isinstance(event, yaml.AliasEvent):
                value = self._alias(event)
            elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                self._begin(event, stack)
                continue
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                value = self._end(stack.pop())
            elif isinstance(event, yaml.DocumentStartEvent):
                value, self._anchors, self._repeated = None, {}, []
                continue
            elif isinstance(event, yaml.DocumentEndEvent):
                yield Document(value, self._repeated)
                continue
            else:
                continue
            if stack:
                self._put(stack[-1], value, event)

    def _begin(self, event: Any, stack: list[_Open]) -> None:
        mapping = isinstance(event, yaml.MappingStartEvent)
        if event.tag is not None and event.tag not in _COLLECTIONS and event.tag != "!":
            raise DocumentError(f"{_place(event)}the tag {event.tag[:80]!r} is not taken")
        if stack and stack[-1].mapping and not stack[-1].keyed:
            raise DocumentError(f"{_place(event)}a key must be a text, not a list or a mapping")
        if len(stack) >= self._bounds.depth:
            raise TooDeep(f"The YAML is nested deeper than {self._bounds.depth} levels.")
        stack.append(_Open(mapping, event.anchor, self._values, self._letters))
        if event.anchor is not None:
            self._anchors[event.anchor] = None  # an alias inside would refer to itself
        self._count(1, 0)

    def _end(self, ended: _Open) -> Any:
        # A merged key replaces neither a key of the mapping itself nor one that was merged before.
        if ended.merged:
            merged: dict[str, Any] = {}
            for source in ended.merged:
                for key, child in source.items():
                    merged.setdefault(key, child)
            ended.items = merged | ended.items
        if ended.anchor is not None:
            self._anchors[ended.anchor] = (
                ended.items,
                self._values - ended.values,
                self._letters - ended.letters,
            )
        return ended.items

    def _put(self, parent: _Open, value: Any, event: Any) -> None:
        if not parent.mapping:
            parent.items.append(value)
            return
        if not parent.keyed:
            parent.key, parent.keyed = _key(value, event), True
            return
        parent.keyed = False
        if parent.key == _MERGE_KEY:
            sources = value if isinstance(value, list) else [value]
            if not all(isinstance(source, dict) for source in sources):
                raise DocumentError(f"{_place(event)}<< takes a mapping or a list of mappings")
            parent.merged += sources
            return
        if parent.key in parent.items and len(self._repeated) < _MOST_REPEATED:
            self._repeated.append(parent.key)
        parent.items[self._known.setdefault(parent.key, parent.key)] = value

    def _alias(self, event: Any) -> Any:
        if event.anchor not in self._anchors:
            raise DocumentError(f"{_place(event)}found undefined alias {event.anchor[:80]!r}")
        found = self._anchors[event.anchor]
        if found is None:
            raise DocumentError(
                f"{_place(event)}the alias {event.anchor[:80]!r} "
                "is inside the value that it refers to"
            )
        value, values, letters = found
        self._count(values, letters)
        return copy_json(value)  # so that a change of one does not change the others

    def _count(self, values: int, letters: int) -> None:
        self._values += values
        self._letters += letters
        if self._values > self._bounds.values:
            raise TooLarge(
                f"The YAML has more than {self._bounds.values} values, "
                "counting what its aliases stand for."
            )
        if self._letters > self._bounds.size:
            raise TooLarge(
                f"The YAML holds more than {self._bounds.size} characters, "
                "counting what its aliases stand for."
            )

    def _scalar(self, event: Any, key: bool) -> Any:
        text: str = event.value
        tag = event.tag
        if tag is None or tag == "!":
            tag = (
                self._loader.resolve(yaml.ScalarNode, text, event.implicit) if tag is None else _STR
            )
        if tag == _STR:
            return text
        if tag == _MERGE:
            return _MERGE_KEY if key else text
        if tag not in _SCALARS:
            raise DocumentError(f"{_place(event)}the tag {tag[:80]!r} is not taken")
        if tag in _NUMBERS:
            if _PLAIN_NUMBER.fullmatch(text):
                return int(text) if tag != _FLOAT else float(text)
            if ":" in text:
                return text
            if len(text) > _LONGEST_NUMBER:
                raise DocumentError(
                    f"{_place(event)}a number has more than {_LONGEST_NUMBER} digits"
                )
        try:
            value = self._loader.construct_object(
                yaml.ScalarNode(tag, text, event.start_mark, event.end_mark)
            )
        except (ValueError, KeyError, IndexError, OverflowError) as error:
            raise DocumentError(
                f"{_place(event)}{text[:80]!r} is not what its tag {tag.removeprefix(_PREFIX)!r} "
                "says"
            ) from error
        finally:
            self._loader.constructed_objects.clear()
        if isinstance(value, float) and not math.isfinite(value):
            raise DocumentError(f"{_place(event)}{text[:80]!r} is not a number in JSON")
        return value


def _key(value: Any, event: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if not isinstance(value, str):
        raise DocumentError(
            f"{_place(event)}a key must be a text, not "
            f"{'null' if value is None else 'a list or a mapping'}"
        )
    return value


def _place(event: Any) -> str:
    mark = event.start_mark
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
