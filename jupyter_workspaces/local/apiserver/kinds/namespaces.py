"""Namespaces, and nodes, events and leases, which are told rather than wished for."""

from __future__ import annotations

from typing import Any

from ....resources.causes import Cause, required
from .. import names
from ..strategies import Strategy

Object = dict[str, Any]


class NamespaceStrategy(Strategy):
    def name_problem(self, name: str) -> str | None:
        return names.label(name)

    def prepare(self, obj: Object, old: Object | None) -> None:
        if old is None:
            obj["spec"] = {"finalizers": ["kubernetes"]}
            obj["status"] = {"phase": "Active"}
        else:
            obj["spec"] = old.get("spec", {})

    def default(self, obj: Object) -> None:
        labels = obj["metadata"].get("labels") or {}
        obj["metadata"]["labels"] = labels | {"kubernetes.io/metadata.name": obj["metadata"]["name"]}


class NodeStrategy(Strategy):
    """A node tells of itself when it joins."""

    status_at_creation = True


class EventStrategy(Strategy):
    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        return [] if isinstance(obj.get("involvedObject"), dict) else [required("involvedObject")]
