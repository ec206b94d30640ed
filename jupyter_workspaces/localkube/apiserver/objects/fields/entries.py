"""`metadata.managedFields`: who manages what, by which kind of write, since when."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from . import sets
from .sets import Fields

Object = dict[str, Any]

APPLY, UPDATE = "Apply", "Update"
OLDEST = "ancient-changes"
UPDATERS = 10
MAX_MANAGER_BYTES = 128


@dataclass(frozen=True, slots=True)
class Manager:
    """Who writes: by what name, how (Apply or Update), in which version, through which subresource."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""

    @property
    def key(self) -> Manager:
        """One who applies is the same in every version."""
        return replace(self, api_version="") if self.operation == APPLY else self


@dataclass(frozen=True, slots=True)
class Entry:
    """What one manager manages."""

    manager: Manager
    fields: Fields
    time: str | None = None


Managed = dict[Manager, Entry]
"""Entries by their managers' keys."""


def decode(entries: Any) -> Managed:
    """Raises `ValueError` for entries that say nothing sensible."""
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
            raise ValueError("a manager is told by texts")
        manager = Manager(*texts)
        time = entry.get("time")
        found[manager.key] = Entry(
            manager, sets.decode(entry.get("fieldsV1")), time if isinstance(time, str) else None
        )
    return found


def encode(managed: Managed) -> list[Object]:
    """Appliers first, then by time and name."""
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
    """Of those who updated only the last few are kept by name; older ones become one for each version."""
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
    """The object as it is compared with another: when a manager last wrote makes no difference."""
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict) or not metadata.get("managedFields"):
        return obj
    entries = [
        {key: value for key, value in entry.items() if key != "time"}
        for entry in metadata["managedFields"]
    ]
    return obj | {"metadata": metadata | {"managedFields": entries}}


def manager_name(given: str | None, agent: str | None) -> str:
    """A manager's name: as asked for, else the beginning of the client's own name."""
    if given:
        return given
    text = "".join(letter for letter in (agent or "").split("/", 1)[0] if letter.isprintable())
    return text.encode()[:MAX_MANAGER_BYTES].decode(errors="ignore") or "unknown"
