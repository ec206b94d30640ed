"""What a write changes beyond the object itself: the store, and with a CRD the table of kinds."""

from __future__ import annotations

from typing import Any

from jupyter_workspaces.kube import catalog
from jupyter_workspaces.localkube.apiserver.definitions import custom_resources
from jupyter_workspaces.localkube.apiserver.http.status import Refusal
from jupyter_workspaces.localkube.apiserver.store.store import StorageError, Store, Stored

from .rows import Registry, Row

Object = dict[str, Any]


class Commits:
    """Puts objects into the store and takes them out. Raises `Refusal` 507 when nothing can be stored."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry

    def put(self, row: Row, body: Object) -> None:
        try:
            self._store.put(row.name, row.to_store(body))
        except StorageError as error:
            raise Refusal(507, "InsufficientStorage", str(error)) from error
        if row.resource == catalog.CUSTOM_RESOURCE_DEFINITIONS:
            self._registry.remove(body["spec"]["group"], body["spec"]["names"]["plural"])
            for found in custom_resources.rows(body):
                self._registry.add(found)

    def remove(self, row: Row, stored: Stored, last: Object) -> None:
        """`last` is the object as who asked is told that it went; it gets the revision."""
        try:
            gone = self._store.delete(row.name, stored.namespace, stored.name)
        except StorageError as error:
            raise Refusal(507, "InsufficientStorage", str(error)) from error
        last["metadata"]["resourceVersion"] = str(gone.revision)
        if row.resource == catalog.CUSTOM_RESOURCE_DEFINITIONS:
            self._forget(last)

    def _forget(self, definition: Object) -> None:
        """Objects of a kind that is no more go with it."""
        for version in custom_resources.rows(definition):
            for held in self._store.list(version.name):
                self._store.delete(version.name, held.namespace, held.name)
        self._registry.remove(definition["spec"]["group"], definition["spec"]["names"]["plural"])
