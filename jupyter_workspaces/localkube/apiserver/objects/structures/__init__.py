"""How Kubernetes' own kinds are encoded: the names of their fields in JSON, their numbers in protobuf, what is left out when empty.

The data beside this file is written by `tools/kubernetes_structures.py` from the tags of Kubernetes' Go types.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

FILE = Path(__file__).with_name("kubernetes.json")
OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


@dataclass(frozen=True)
class Field:
    """`kind` is a basic type, `[]` or `{}` before one (a list, an object with free keys), or the name of a structure."""

    name: str
    number: int
    kind: str
    optional: bool
    """Left out of JSON when empty; a structure never is, but for `whole`."""
    whole: bool
    """Left out of JSON when all of it is zero."""
    pointer: bool
    """Zero and absent are two things."""


class _Data(msgspec.Struct):
    kinds: dict[str, str]
    types: dict[str, msgspec.Raw]


@cache
def _data() -> _Data:
    return msgspec.json.decode(FILE.read_bytes(), type=_Data)


def of(group: str, version: str, kind: str) -> str | None:
    """The name of a kind's structure; None for a kind that Kubernetes does not bring."""
    return _data().kinds.get(f"{group}/{version}/{kind}")


@cache
def _declared(name: str) -> tuple[tuple[Field, bool], ...]:
    """Fields as declared, each with whether JSON has its own fields in its place."""
    found = []
    for json_name, number, kind, flags in msgspec.json.decode(
        _data().types[name], type=list[tuple[str, int, str, str]]
    ):
        found.append(
            (Field(json_name, number, kind, "e" in flags, "z" in flags, "p" in flags), "i" in flags)
        )
    return tuple(found)


@cache
def fields(name: str) -> dict[str, Field]:
    """Fields of a structure by their names in JSON, in order."""
    found: dict[str, Field] = {}
    for field, inlined in _declared(name):
        found |= fields(field.kind) if inlined else {field.name: field}
    return found


@cache
def numbers(name: str) -> dict[int, tuple[Field, bool]]:
    """Fields by their numbers in protobuf, each with whether it stands inlined in JSON."""
    return {field.number: (field, inlined) for field, inlined in _declared(name) if field.number}
