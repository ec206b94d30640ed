"""Commits writes to the store, and updates the table of kinds if a CRD changed."""

from __future__ import annotations

from jupyter_workspaces.kube import catalog
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.definitions import custom_resources
from jupyter_workspaces.localkube.apiserver.http.status import Refusal
from jupyter_workspaces.localkube.apiserver.store.store import StorageError, Store, Stored

from .rows import Registry, Row


class Commits:
    """Puts objects into the store and removes them.

    Each method raises `Refusal` 507 if nothing can be stored.
    """

    def __init__(self, store: Store, registry: Registry) -> None:
        """Create it.

        Args:
            store: stores the objects.
            registry: has the kinds of CRDs.
        """
        self._store = store
        self._registry = registry

    def put(self, row: Row, body: Object) -> None:
        """Store an object."""
        try:
            self._store.put(row.name, row.to_store(body))
        except StorageError as error:
            raise Refusal(507, "InsufficientStorage", str(error)) from error
        if row.resource == catalog.CUSTOM_RESOURCE_DEFINITIONS:
            self._registry.remove(body["spec"]["group"], body["spec"]["names"]["plural"])
            for found in custom_resources.rows(body):
                self._registry.add(found)

    def remove(self, row: Row, stored: Stored, last: Object) -> None:
        """Delete an object; `last`, which is the response, gets the new revision."""
        try:
            gone = self._store.delete(row.name, stored.namespace, stored.name)
        except StorageError as error:
            raise Refusal(507, "InsufficientStorage", str(error)) from error
        last["metadata"]["resourceVersion"] = str(gone.revision)
        if row.resource == catalog.CUSTOM_RESOURCE_DEFINITIONS:
            self._forget(last)

    def _forget(self, definition: Object) -> None:
        """Delete the objects of a kind whose CRD is deleted."""
        for version in custom_resources.rows(definition):
            for held in self._store.list(version.name):
                self._store.delete(version.name, held.namespace, held.name)
        self._registry.remove(definition["spec"]["group"], definition["spec"]["names"]["plural"])
