"""Deletion: immediate, or after grace period and finalizers.

Namespaces and CRDs are deleted when nothing is left in them. Source: Kubernetes docs, "Garbage
Collection", "Finalizers".
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

from jupyter_workspaces.kube import catalog
from jupyter_workspaces.kube.catalog import Resource
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.definitions import definitions
from jupyter_workspaces.localkube.apiserver.http import status
from jupyter_workspaces.localkube.apiserver.http.bodies import fitting
from jupyter_workspaces.localkube.apiserver.http.options import DeleteOptions, WriteResult
from jupyter_workspaces.localkube.apiserver.store.store import Store, Stored

from .checks import Checks
from .commits import Commits
from .known_fields import normalize
from .rows import Row

IMMORTAL = ("default", "kube-system")
MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)
ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
_OF_PROPAGATION = {"Orphan": [ORPHAN], "Foreground": [FOREGROUND], "Background": []}


class Deletion:
    """Deletes objects. Methods raise `Refusal` if the deletion is rejected."""

    def __init__(self, store: Store, checks: Checks, commits: Commits) -> None:
        """Create it.

        Args:
            store: has the objects.
            checks: admission of deletions.
            commits: commits the result.
        """
        self._store = store
        self._checks = checks
        self._commits = commits

    def delete(self, row: Row, stored: Stored, options: DeleteOptions) -> WriteResult:
        """Delete an object, or mark it: finalizers and the grace period of a pod keep it."""
        before, obj = row.decode(stored), row.decode(stored)
        metadata, name = obj["metadata"], stored.name
        if options.uid is not None and options.uid != stored.uid:
            why = (
                f"the UID in the precondition ({options.uid}) "
                f"does not match the UID in record ({stored.uid})"
            )
            raise status.conflict(_as_kind(row), name, why)
        if (
            options.resource_version is not None
            and options.resource_version != metadata["resourceVersion"]
        ):
            why = (
                "the ResourceVersion in the precondition "
                "does not match the ResourceVersion in record"
            )
            raise status.conflict(_as_kind(row), name, why)
        if row.resource == catalog.NAMESPACES and name in IMMORTAL:
            raise status.forbidden(row.resource, name, "this namespace may not be deleted")
        warnings = self._checks.admit(row, "DELETE", obj, None)
        ending = bool(metadata.get("deletionTimestamp"))
        if ending and options.grace_seconds is None and metadata.get("deletionGracePeriodSeconds"):
            return WriteResult(obj, warnings)
        if options.propagation is not None:
            _set_finalizers(metadata, options.propagation)
        grace = _grace(row, obj, options.grace_seconds)
        held = self._begin(row, obj)
        at_once = not held and not metadata.get("finalizers") and grace == 0
        if not at_once or row.resource == catalog.PODS:
            self._mark(row, metadata, grace)
        if at_once:
            if not options.dry_run:
                self._commits.remove(row, stored, obj)
            return WriteResult(obj, warnings, removed=True)
        if obj != before and not options.dry_run:
            self._commits.put(row, obj)
        return WriteResult(obj, warnings)

    def _mark(self, row: Row, metadata: Object, grace: int) -> None:
        """Set the deletion timestamp, in place; a grace period can only be shortened."""
        if not metadata.get("deletionTimestamp") and "generation" in metadata:
            metadata["generation"] += 1
        if not metadata.get("deletionTimestamp") or grace < metadata.get(
            "deletionGracePeriodSeconds", 0
        ):
            metadata["deletionTimestamp"] = _in(grace)
            if row.resource not in (catalog.NAMESPACES, catalog.CUSTOM_RESOURCE_DEFINITIONS):
                metadata["deletionGracePeriodSeconds"] = grace

    def _begin(self, row: Row, obj: Object) -> bool:
        """Return whether something other than metadata's finalizers keeps the object.

        Namespaces and CRDs then show that they are terminating.
        """
        if row.resource == catalog.NAMESPACES and (obj.get("spec") or {}).get("finalizers"):
            obj["status"] = (obj.get("status") or {}) | {"phase": "Terminating"}
            return True
        if row.resource == catalog.CUSTOM_RESOURCE_DEFINITIONS and not obj["metadata"].get(
            "deletionTimestamp"
        ):
            definitions.start_termination(obj)
            return True
        return False

    def finished(self, row: Row, obj: Object, before: Object) -> bool:
        """Return whether a change removed the last obstacle to the object's deletion."""
        metadata = obj["metadata"]
        if not before["metadata"].get("deletionTimestamp") or metadata.get("finalizers"):
            return False
        if row.resource == catalog.NAMESPACES and (obj.get("spec") or {}).get("finalizers"):
            return False
        return not before["metadata"].get("deletionGracePeriodSeconds")

    def finalize_namespace(self, row: Row, stored: Stored, body: Object) -> WriteResult:
        """Replace `spec.finalizers` of a namespace; the last one removes the namespace."""
        obj = row.decode(stored)
        metadata = fitting(row, "", body)
        normalize(row, body)
        if (
            metadata.get("resourceVersion", obj["metadata"]["resourceVersion"])
            != obj["metadata"]["resourceVersion"]
        ):
            raise status.conflict(row.resource, stored.name, MODIFIED)
        obj["spec"] = {"finalizers": list(body.get("spec", {}).get("finalizers", ()))}
        if (
            obj["metadata"].get("deletionTimestamp")
            and not obj["spec"]["finalizers"]
            and not obj["metadata"].get("finalizers")
        ):
            self._commits.remove(row, stored, obj)
            return WriteResult(obj, [], removed=True)
        self._commits.put(row, obj)
        return WriteResult(obj, [])


def _as_kind(row: Row) -> Resource:
    """Return a resource for errors of preconditions, which name the kind instead of the plural."""
    return replace(row.resource, plural=row.resource.kind)


def _set_finalizers(metadata: Object, propagation: str) -> None:
    """Set the finalizers of the garbage collector for a propagation policy, in place."""
    kept = [held for held in metadata.get("finalizers") or () if held not in (ORPHAN, FOREGROUND)]
    kept += _OF_PROPAGATION[propagation]
    if kept:
        metadata["finalizers"] = kept
    else:
        metadata.pop("finalizers", None)


def _grace(row: Row, obj: Object, requested: int | None) -> int:
    """Return the grace period; only pods that run on a node have one."""
    if row.resource != catalog.PODS:
        return 0
    if not (obj.get("spec") or {}).get("nodeName") or (obj.get("status") or {}).get("phase") in (
        "Succeeded",
        "Failed",
    ):
        return 0
    wanted: int = (
        obj["spec"].get("terminationGracePeriodSeconds", 30) if requested is None else requested
    )
    return wanted if wanted >= 0 else 1


def _in(seconds: int) -> str:
    return (datetime.now(timezone.utc) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
