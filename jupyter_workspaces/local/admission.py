"""Admission of workspaces and workspace kinds on the local cluster.

The API server calls the rules of `resources.admission` in its own process; they look up other
objects in its store. On a real cluster a webhook runs the same rules.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from jupyter_workspaces.kube.catalog import Resource
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.store.store import Store
from jupyter_workspaces.resources.admission import Operation, Review, review
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS, WORKSPACES

_KINDS = f"{WORKSPACE_KINDS.plural}.{WORKSPACE_KINDS.group}"
_WORKSPACES = f"{WORKSPACES.plural}.{WORKSPACES.group}"


class Admission:
    """Admission of one API server, which calls it before each write."""

    def __init__(self, store: Store) -> None:
        """Create the admission of the API server with this store."""
        self._store = store

    def __call__(
        self, resource: Resource, operation: Operation, old: Object | None, new: Object | None
    ) -> Review:
        """Return whether a write is allowed, and the object as it is to be stored."""
        return review(resource, operation, old, new, self)

    def kind(self, name: str) -> Object | None:
        """Return a workspace kind; None if it does not exist."""
        stored = self._store.get(_KINDS, "", name)
        return stored.decode() if stored else None

    def kind_names(self) -> list[str]:
        """Return the names of all workspace kinds."""
        return [stored.name for stored in self._store.list(_KINDS)]

    def workspaces_of_kind(self, kind: str) -> Iterator[Object]:
        """Return all workspaces of a kind."""
        # Searching the encoded bytes avoids decoding the workspaces of other kinds.
        encoded = b'"kind":' + msgspec.json.encode(kind)
        for stored in self._store.list(_WORKSPACES):
            if (
                encoded in stored.body
                and (workspace := stored.decode())["spec"].get("kind") == kind
            ):
                yield workspace
