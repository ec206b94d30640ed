"""Managed fields of an object after a write.

An update takes the fields that it changes; an apply takes those that it names and gives up the
rest. Source: Kubernetes docs, "Server-Side Apply".
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import msgspec

from jupyter_workspaces.kube.types import Object

from . import entries, sets, validation, values
from .entries import (
    APPLY,
    UPDATE,
    Entry,
    Managed,
    Manager,
)
from .sets import EMPTY, Fields
from .types import Type
from .values import ABSENT, Mismatch

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
KUBECTL = "kubectl"
BEFORE_FIRST_APPLY = "before-first-apply"
_METADATA = (
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "clusterName",
    "generation",
    "managedFields",
    "resourceVersion",
)
_UNMANAGED = sets.of(
    ("apiVersion",), ("kind",), ("metadata",), *(("metadata", name) for name in _METADATA)
)


class Conflicts(Exception):
    """Fields of an apply that have other managers."""

    def __init__(self, held: tuple[tuple[Manager, Fields], ...]) -> None:
        """Create it with the conflicting fields of each manager."""
        super().__init__()
        self.held = held


class FieldManager:
    """Managed fields of objects of one kind and version."""

    def __init__(self, type_: Type, api_version: str, resets: Mapping[str, Fields]) -> None:
        """Create it.

        Args:
            type_: type of the objects.
            api_version: API version of the objects.
            resets: fields that a write does not change, by subresource; `""` for none.
        """
        self.type = type_
        self._api_version = api_version
        self._resets = resets

    def update(
        self, live: Object | None, new: Object, name: str, time: str | None, subresource: str = ""
    ) -> None:
        """Set the managed fields of an updated object, in place. `live` is None for a new one."""
        managed = _of_update(live, new, subresource)
        new["metadata"].pop("managedFields", None)
        if managed or live is None:
            manager = Manager(name, UPDATE, self._api_version, subresource)
            try:
                managed = entries.limit_updaters(
                    self._updated(
                        managed,
                        _without_unmanaged(live or {}),
                        _without_unmanaged(new),
                        manager,
                        time,
                    )
                )
            except Mismatch:
                pass  # values of a wrong type are rejected elsewhere, or have no manager
        _set_managed_fields(new, managed)

    def apply(
        self,
        live: Object | None,
        config: Object,
        name: str,
        time: str | None,
        subresource: str = "",
        *,
        force: bool = False,
    ) -> Object:
        """Return the object after an apply, with managed fields; `live` itself if nothing changes.

        Raises:
            Mismatch: if the configuration does not match the kind.
            Conflicts: if fields have other managers and `force` is not set.
        """
        held = live or {"metadata": {}}
        managed = _decoded(held)
        plain = _without_unmanaged(held)
        if not managed:
            earlier = Manager(BEFORE_FIRST_APPLY, UPDATE, self._api_version, subresource)
            managed = self._updated({}, {}, plain, earlier, time) if live is not None else {}
        manager = Manager(name, APPLY, self._api_version, subresource)
        problems = validation.check(self.type, config)
        if problems:
            raise Mismatch(
                problems[0]
                if len(problems) == 1
                else "errors:\n" + "\n".join(f"  {problem}" for problem in problems)
            )
        wanted = _without_unmanaged(config)
        try:
            merged, after = self._applied(managed, plain, wanted, manager, time, force=force)
        except Conflicts as conflicts:
            left = self._without_last_applied(conflicts, held) if name == KUBECTL else conflicts
            if left.held:
                raise left from None
            merged, after = self._applied(managed, plain, wanted, manager, time, force=True)
        found = _restored(merged, held, config)
        if name == KUBECTL:
            _refresh_last_applied(found, config)
        _set_managed_fields(found, after)
        return found

    def _updated(
        self, managed: Managed, live: Object, new: Object, manager: Manager, time: str | None
    ) -> Managed:
        changed, removed = values.compare(self.type, live, new)
        reset = self._resets.get(manager.subresource, EMPTY)
        changed, removed = sets.without(changed, reset), sets.without(removed, reset)
        kept = _without_fields(managed, sets.union(changed, removed))
        mine = sets.difference(changed, _UNMANAGED)
        if mine:
            held = kept.get(manager.key)
            kept[manager.key] = Entry(
                manager, sets.union(mine, held.fields) if held is not None else mine, time
            )
        return kept

    def _applied(
        self,
        managed: Managed,
        live: Object,
        config: Object,
        manager: Manager,
        time: str | None,
        *,
        force: bool,
    ) -> tuple[Object, Managed]:
        reset = self._resets.get(manager.subresource, EMPTY)
        merged = values.merge(self.type, live, config)
        before = managed.get(manager.key)
        last = before.fields if before is not None else EMPTY
        mine = sets.without(values.fields_of(self.type, config), reset)
        with_mine = {
            **managed,
            manager.key: Entry(manager, mine, before.time if before is not None else None),
        }
        merged = self._pruned(merged, with_mine, sets.without(last, reset))
        changed, removed = values.compare(self.type, live, merged)
        changed, removed = sets.without(changed, reset), sets.without(removed, reset)
        others = {key: entry for key, entry in with_mine.items() if key != manager.key}
        conflicts = tuple(
            (entry.manager, both)
            for entry in others.values()
            if (both := sets.intersection(entry.fields, changed))
        )
        if conflicts and not force:
            raise Conflicts(conflicts)
        after = _without_fields(others, sets.union(changed, removed))
        mine = sets.difference(mine, _UNMANAGED)
        if mine:
            unchanged = merged == live
            after[manager.key] = Entry(
                manager, mine, with_mine[manager.key].time if unchanged else time
            )
        return merged, after

    def _pruned(self, merged: Object, managed: Managed, last: Fields) -> Object:
        """Remove what the manager applied before and no manager has now."""
        if not last:
            return merged
        type_ = self.type
        pruned = values.without(type_, merged, values.with_named(type_, last)) or {}
        managed_fields: Fields = EMPTY
        for entry in managed.values():
            managed_fields = sets.union(managed_fields, entry.fields)
        everything = values.with_named(type_, values.fields_of(type_, merged))
        staying = sets.union(
            values.with_named(type_, values.fields_of(type_, pruned)),
            values.with_named(type_, managed_fields),
        )
        pruned = values.without(type_, merged, sets.difference(everything, staying)) or {}
        left = values.with_named(type_, values.fields_of(type_, pruned))
        gone = sets.intersection(sets.difference(everything, left), values.with_named(type_, last))
        found: Object = values.without(type_, merged, gone) or {}
        return found

    def _without_last_applied(self, conflicts: Conflicts, live: Object) -> Conflicts:
        """Return the conflicts, except with what kubectl applied client-side before."""
        text = (live["metadata"].get("annotations") or {}).get(LAST_APPLIED)
        try:
            allowed = values.fields_of(
                self.type, msgspec.json.decode(text or "", type=dict[str, Any])
            )
        except (msgspec.DecodeError, Mismatch):
            return conflicts
        left = ((manager, sets.difference(fields, allowed)) for manager, fields in conflicts.held)
        return Conflicts(tuple((manager, fields) for manager, fields in left if fields))


def _without_fields(managed: Managed, gone: Fields) -> Managed:
    """Return the entries without these fields."""
    kept: Managed = {}
    for key, entry in managed.items():
        if fields := sets.difference(entry.fields, gone):
            kept[key] = Entry(entry.manager, fields, entry.time)
    return kept


def _decoded(obj: Object) -> Managed:
    try:
        return entries.decode(obj["metadata"].get("managedFields"))
    except (ValueError, msgspec.DecodeError):
        return {}


def _of_update(live: Object | None, new: Object, subresource: str) -> Managed:
    """Return the managed fields before an update.

    These are the ones in the body if it has valid ones. `[{}]` removes all managers.
    """
    given = new["metadata"].get("managedFields")
    if given == [{}] and not subresource:
        return {}
    managed = {} if subresource or (live is None and not given) else _decoded(new)
    return managed or (_decoded(live) if live is not None else {})


def _set_managed_fields(obj: Object, managed: Managed) -> None:
    if managed:
        obj["metadata"]["managedFields"] = entries.encode(managed)
    else:
        obj["metadata"].pop("managedFields", None)


def _without_unmanaged(obj: Object) -> Object:
    """Return the object without the fields that have no manager; it always has metadata."""
    metadata = obj.get("metadata") or {}
    plain = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind")}
    plain["metadata"] = {key: value for key, value in metadata.items() if key not in _METADATA}
    return plain


def _restored(merged: Object, live: Object, config: Object) -> Object:
    """Return the merged object with the fields that have no manager, from `config` or `live`."""
    unmanaged = {
        key: value
        for source in (live, config)
        for key, value in (source.get("metadata") or {}).items()
        if key in _METADATA
    }
    unmanaged.pop("managedFields", None)
    found = {"apiVersion": config["apiVersion"], "kind": config["kind"], **copy.deepcopy(merged)}
    found["metadata"] = {**unmanaged, **(found.get("metadata") or {})}
    return found


def _refresh_last_applied(found: Object, config: Object) -> None:
    """Update kubectl's own annotation, if the object has it."""
    annotations = found["metadata"].get("annotations")
    if not annotations or not annotations.get(LAST_APPLIED):
        return
    applied = copy.deepcopy(config)
    applied["metadata"].pop("managedFields", None)
    applied["metadata"].setdefault("annotations", {}).pop(LAST_APPLIED, None)
    annotations[LAST_APPLIED] = msgspec.json.encode(applied, order="deterministic").decode() + "\n"


__all__ = ["ABSENT", "Conflicts", "FieldManager", "Mismatch"]
