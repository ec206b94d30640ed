"""The rules of our two kinds, called in process by the API server, with its own store as what they look things up in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from jupyter_workspaces.kube.catalog import Resource
from jupyter_workspaces.localkube.apiserver.store.store import Store
from jupyter_workspaces.resources.admission import Operation, Review, review
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS, WORKSPACES

Object = dict[str, Any]

_KINDS = f"{WORKSPACE_KINDS.plural}.{WORKSPACE_KINDS.group}"
_WORKSPACES = f"{WORKSPACES.plural}.{WORKSPACES.group}"


class Admission:
    """`Admission(store)(resource, operation, old, new)` is what an engine asks before it writes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(
        self, resource: Resource, operation: Operation, old: Object | None, new: Object | None
    ) -> Review:
        return review(resource, operation, old, new, self)

    def kind(self, name: str) -> Object | None:
        stored = self._store.get(_KINDS, "", name)
        return stored.decode() if stored else None

    def kind_names(self) -> list[str]:
        return [stored.name for stored in self._store.list(_KINDS)]

    def workspaces_of_kind(self, kind: str) -> Iterator[Object]:
        # A glance at the bytes spares decoding ten thousand workspaces of other kinds.
        glance = b'"kind":' + msgspec.json.encode(kind)
        for stored in self._store.list(_WORKSPACES):
            if glance in stored.body and (workspace := stored.decode())["spec"].get("kind") == kind:
                yield workspace
