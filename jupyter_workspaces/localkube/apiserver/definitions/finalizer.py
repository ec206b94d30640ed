"""Finalizes deleted CRDs: deletes their objects, then removes the finalizer.

Objects with finalizers of their own keep the CRD until they are gone. Source:
`CustomResourceDefinition` finalizer of k8s.io/apiextensions-apiserver.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from jupyter_workspaces.kube import catalog
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.http.options import WriteOptions
from jupyter_workspaces.localkube.apiserver.http.status import Refusal
from jupyter_workspaces.localkube.apiserver.objects.engine import Engine
from jupyter_workspaces.localkube.apiserver.objects.rows import Row
from jupyter_workspaces.localkube.apiserver.store.store import Change

from . import definitions
from .definitions import CLEANUP

log = logging.getLogger(__name__)


YIELD_EVERY = 100
RETRY_SECONDS = 1.0
_UNMANAGED = WriteOptions(manager=None)


class DefinitionFinalizer:
    """A background task that finalizes deleted CRDs."""

    def __init__(self, engine: Engine) -> None:
        """Create it for the CRDs of an engine."""
        self._engine = engine
        row = engine.registry.of(catalog.CUSTOM_RESOURCE_DEFINITIONS)
        assert row is not None
        self._row = row
        self._wake = asyncio.Event()
        self._unsubscribe: dict[str, Callable[[], None]] = {}

    async def run(self) -> None:
        """Finalize deleted CRDs until cancelled."""
        forget = self._engine.store.listen(self._row.name, self._changed)
        self._wake.set()
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                for stored in self._engine.store.list(self._row.name):
                    await self._finalize_if_deleted(stored.decode())
        finally:
            forget()
            for stop in self._unsubscribe.values():
                stop()

    def _changed(self, change: Change) -> None:
        if change.deleted and (stop := self._unsubscribe.pop(change.new.name, None)) is not None:
            stop()
        elif not change.deleted:
            self._wake.set()

    async def _finalize_if_deleted(self, definition: Object) -> None:
        metadata = definition["metadata"]
        if not metadata.get("deletionTimestamp") or CLEANUP not in (
            metadata.get("finalizers") or ()
        ):
            return
        try:
            await self._finalize(metadata["name"])
        except Refusal as refusal:  # such as a full disk: retry
            log.warning("Cannot finalize CRD %s yet: %s", metadata["name"], refusal)
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self._wake.set)

    async def _finalize(self, name: str) -> None:
        store = self._engine.store
        row = next((row for row in self._engine.registry if row.custom and row.name == name), None)
        if row is not None and store.list(name):
            if name not in self._unsubscribe:
                self._unsubscribe[name] = store.listen(name, self._wake_when_gone)
                self._set_terminating(
                    name,
                    "True",
                    "InstanceDeletionInProgress",
                    "CustomResource deletion is in progress",
                )
            await self._delete_objects(row)
            if store.list(name):
                return
        self._set_terminating(name, "False", "InstanceDeletionCompleted", "removed all instances")
        self._engine.patch(self._row, "", name, _without_cleanup, options=_UNMANAGED)

    async def _delete_objects(self, row: Row) -> None:
        for number, stored in enumerate(self._engine.store.list(row.name)):
            held = self._engine.store.get(row.name, stored.namespace, stored.name)
            if held is not None and not held.decode()["metadata"].get("deletionTimestamp"):
                try:
                    self._engine.delete(row, stored.namespace, stored.name)
                except Refusal as refusal:
                    log.warning(
                        "Cannot delete %s %s/%s: %s",
                        row.resource.kind,
                        stored.namespace,
                        stored.name,
                        refusal,
                    )
            if number % YIELD_EVERY == YIELD_EVERY - 1:
                await asyncio.sleep(0)

    def _wake_when_gone(self, change: Change) -> None:
        if change.deleted:
            self._wake.set()

    def _set_terminating(self, name: str, value: str, reason: str, message: str) -> None:
        def changed(definition: Object) -> Object:
            definitions.set_terminating(definition, value, reason, message)
            return definition

        self._engine.patch(self._row, "", name, changed, "status", _UNMANAGED)


def _without_cleanup(definition: Object) -> Object:
    definition["metadata"]["finalizers"] = [
        held for held in definition["metadata"]["finalizers"] if held != CLEANUP
    ]
    return definition
