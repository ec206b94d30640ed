"""Entries of `metadata.managedFields`: which manager wrote which fields, how and when."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from jupyter_workspaces.kube.types import Object

from . import sets
from .sets import Fields

APPLY, UPDATE = "Apply", "Update"
OLDEST = "ancient-changes"
UPDATERS = 10
MAX_MANAGER_BYTES = 128


@dataclass(frozen=True, slots=True)
class Manager:
    """A field manager: name, operation (Apply or Update), API version, subresource."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""

    @property
    def key(self) -> Manager:
        """The identity of the manager; with Apply, it is the same in all API versions."""
        return replace(self, api_version="") if self.operation == APPLY else self


@dataclass(frozen=True, slots=True)
class Entry:
    """The fields of one manager."""

    manager: Manager
    fields: Fields
    time: str | None = None


Managed = dict[Manager, Entry]
"""Entries by the keys of their managers."""


def decode(entries: Any) -> Managed:
    """Decode managed fields.

    Raises:
        ValueError: if they are malformed.
    """
    found: Managed = {}
    if entries is None:
        return found
    if not isinstance(entries, list):
        raise ValueError("managed fields are a list")
    for entry in entries:
        if not isinstance(entry, dict) or entry.get("fieldsType") != "FieldsV1":
            raise ValueError("managed fields are of the type FieldsV1")
        texts = [
            entry.get(name) or "" for name in ("manager", "operation", "apiVersion", "subresource")
        ]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("fields of a manager are texts")
        manager = Manager(*texts)
        time = entry.get("time")
        found[manager.key] = Entry(
            manager, sets.decode(entry.get("fieldsV1")), time if isinstance(time, str) else None
        )
    return found


def encode(managed: Managed) -> list[Object]:
    """Encode managed fields: Apply first, then by time and name."""
    return [_encoded(entry) for entry in sorted(managed.values(), key=_order)]


def _order(entry: Entry) -> tuple[str, ...]:
    manager = entry.manager
    return (
        manager.operation,
        entry.time or "",
        manager.name,
        manager.api_version,
        manager.subresource,
    )


def _encoded(entry: Entry) -> Object:
    manager = entry.manager
    found: Object = {
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": manager.api_version,
    }
    if entry.time is not None:
        found["time"] = entry.time
    found |= {"fieldsType": "FieldsV1", "fieldsV1": sets.encode(entry.fields)}
    if manager.subresource:
        found["subresource"] = manager.subresource
    return found


def limit_updaters(managed: Managed) -> Managed:
    """Keep the most recent managers of updates; merge older ones by API version."""
    updaters = sorted(
        (entry for entry in managed.values() if entry.manager.operation != APPLY),
        key=lambda entry: (entry.time or "", entry.manager.name),
    )
    count, first = len(updaters), dict[str, Entry]()
    if count <= UPDATERS:
        return managed
    kept = dict(managed)
    for entry in updaters:
        if count <= UPDATERS:
            break
        version = entry.manager.api_version
        before = first.setdefault(version, entry)
        if before is entry:
            continue
        bucket = Manager(OLDEST, UPDATE, version)
        if bucket not in kept:
            kept[bucket] = replace(kept.pop(before.manager.key), manager=bucket)
        kept[bucket] = Entry(bucket, sets.union(entry.fields, kept[bucket].fields), entry.time)
        del kept[entry.manager.key]
        count -= 1
    return kept


def without_times(obj: Object) -> Object:
    """Return the object without times in managed fields, to compare it with another."""
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict) or not metadata.get("managedFields"):
        return obj
    entries = [
        {key: value for key, value in entry.items() if key != "time"}
        for entry in metadata["managedFields"]
    ]
    return obj | {"metadata": metadata | {"managedFields": entries}}


def manager_name(given: str | None, agent: str | None) -> str:
    """Return the requested name of the manager, or else one from the User-Agent."""
    if given:
        return given
    text = "".join(letter for letter in (agent or "").split("/", 1)[0] if letter.isprintable())
    return text.encode()[:MAX_MANAGER_BYTES].decode(errors="ignore") or "unknown"
