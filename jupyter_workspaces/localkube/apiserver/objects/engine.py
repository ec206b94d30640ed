"""Operations on objects of any kind: create, read, change, delete.

It knows no HTTP requests, and every call is atomic on the event loop. Rules are those of the
Kubernetes API conventions.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec

from jupyter_workspaces.kube import catalog
from jupyter_workspaces.kube.causes import Cause, forbidden, invalid
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.definitions import custom_resources
from jupyter_workspaces.localkube.apiserver.http import bodies, status
from jupyter_workspaces.localkube.apiserver.http.options import (
    DELETE,
    WRITE,
    DeleteOptions,
    WriteOptions,
    WriteResult,
    now,
)
from jupyter_workspaces.localkube.apiserver.http.status import Refusal
from jupyter_workspaces.localkube.apiserver.store.store import Store, Stored

from .admission import Admission
from .checks import Checks
from .commits import Commits
from .deletion import MODIFIED, Deletion
from .fields.entries import without_times
from .fields.managers import Conflicts, Mismatch
from .rows import Registry, Row, built_in

_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_SERVER_FIELDS = (
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
)


class Engine:
    """The objects of all kinds, and the operations on them."""

    def __init__(self, store: Store, admission: Admission | None = None) -> None:
        """Create an engine over a store.

        Args:
            store: the objects.
            admission: reviews each write.
        """
        self.store = store
        self.registry = Registry(built_in())
        self._checks = Checks(store, self.registry, admission)
        self._commits = Commits(store, self.registry)
        self._deletion = Deletion(store, self._checks, self._commits)
        for stored in store.list("customresourcedefinitions.apiextensions.k8s.io"):
            for row in custom_resources.rows(stored.decode()):
                self.registry.add(row)

    # Reading

    def get(self, row: Row, namespace: str, name: str) -> Stored:
        """Return a stored object.

        Raises:
            Refusal: 404 if it does not exist.
        """
        stored = self.store.get(row.name, namespace, name)
        if stored is None:
            raise status.not_found(row.resource, name)
        return stored

    # Writing

    def create(
        self, row: Row, namespace: str, body: Object, options: WriteOptions = WRITE
    ) -> WriteResult:
        """Create an object.

        Raises:
            Refusal: 400 if it does not fit the path, 403 or 404 for the namespace, 409 if the name
                exists, 422 if it is invalid.
        """
        metadata = bodies.read(row, namespace, body)
        called = metadata.get("name") or metadata.get("generateName") or ""
        self._checks.check_kind(row, called)
        if row.resource.namespaced:
            self._checks.check_namespace(row, namespace, called)
        self._name(row, namespace, metadata)
        for field in _SERVER_FIELDS:
            # Built-in kinds without generations keep the one in the body.
            if field != "generation" or row.custom:
                metadata.pop(field, None)
        if metadata.pop("resourceVersion", None):
            raise Refusal(
                400, "BadRequest", "resourceVersion should not be set on objects to be created"
            )
        if row.has_status and not row.strategy.status_at_creation:
            body.pop("status", None)
        warnings = self._checks.default(row, body, options)
        if options.manager is not None:
            row.fields.update(None, body, options.manager, now())
        return self._make(row, namespace, body, options, warnings)

    def update(
        self,
        row: Row,
        namespace: str,
        name: str,
        body: Object,
        subresource: str | None = None,
        options: WriteOptions = WRITE,
    ) -> WriteResult:
        """Replace an object, or its status only.

        Raises:
            Refusal: as for `create`, and 409 if resourceVersion or uid do not match.
        """
        metadata = bodies.read(row, namespace, body)
        if not metadata.get("name"):
            raise status.bad_request(
                f"the name of the object (based on the URL as {name}) "
                "must be provided in its metadata"
            )
        if metadata["name"] != name:
            raise status.bad_request(
                f"the name of the object ({metadata['name']}) "
                f"does not match the name on the URL ({name})"
            )
        stored = self.get(row, namespace, name)
        version = metadata.get("resourceVersion")
        if not version and not row.strategy.unconditional_update:
            by_plural = replace(row.resource, kind=row.resource.plural)
            raise status.invalid(
                by_plural,
                name,
                [invalid("metadata.resourceVersion", 0, "must be specified for an update")],
            )
        return self._replace(row, stored, body, subresource, options)

    def patch(
        self,
        row: Row,
        namespace: str,
        name: str,
        change: Callable[[Object], Object],
        subresource: str | None = None,
        options: WriteOptions = WRITE,
    ) -> WriteResult:
        """Change an object by a function of its current state.

        Raises:
            Refusal: as for `update`.
        """
        stored = self.get(row, namespace, name)
        body = bodies.patched(row, stored, change(row.decode(stored)))
        return self._replace(row, stored, body, subresource, options)

    def apply(
        self,
        row: Row,
        namespace: str,
        name: str,
        config: Any,
        subresource: str | None = None,
        options: WriteOptions = WRITE,
    ) -> WriteResult:
        """Apply a configuration server-side, as the manager in `options`. Creates missing objects.

        Raises:
            Refusal: as for `update`, and 409 if fields have other managers.
        """
        config = bodies.applied(row, namespace, name, config)
        stored = self.store.get(row.name, namespace, name)
        if stored is None and subresource is not None:
            raise status.not_found(row.resource, name)
        live = None if stored is None else row.decode(stored)
        try:
            body = row.fields.apply(
                live,
                config,
                options.manager or "",
                _time(subresource),
                subresource or "",
                force=options.force,
            )
        except Conflicts as conflicts:
            raise status.apply_conflict(conflicts) from conflicts
        except Mismatch as mismatch:
            at = f"{namespace}/{name}" if namespace else f"/{name}"
            what = f"{at}; {row.resource.api_version}, Kind={row.resource.kind}"
            raise Refusal(
                500, "", f"failed to create typed patch object ({what}): {mismatch}"
            ) from mismatch
        if stored is not None:
            return self._replace(row, stored, body, subresource, options, applied=True)
        if uid := body["metadata"].pop("uid", None):
            why = (
                f"uid mismatch: the provided object specified uid {uid}, "
                "and no existing object was found"
            )
            raise status.conflict(row.resource, name, why)
        self._checks.check_kind(row, name)
        if row.resource.namespaced:
            self._checks.check_namespace(row, namespace, name)
        warnings = self._checks.default(row, body, options)
        return self._make(row, namespace, body, options, warnings)

    def delete(
        self, row: Row, namespace: str, name: str, options: DeleteOptions = DELETE
    ) -> WriteResult:
        """Delete an object, or mark it: finalizers and the grace period of a pod keep it.

        Raises:
            Refusal: if the deletion is rejected.
        """
        return self._deletion.delete(row, self.get(row, namespace, name), options)

    def finalize_namespace(self, name: str, body: Object) -> WriteResult:
        """Replace `spec.finalizers` of a namespace; the last one removes the namespace.

        Raises:
            Refusal: if the write is rejected.
        """
        row = self.registry.of(catalog.NAMESPACES)
        assert row is not None
        return self._deletion.finalize_namespace(row, self.get(row, "", name), body)

    # Steps of a write

    def _name(self, row: Row, namespace: str, metadata: Object) -> None:
        """Generate a name if only its prefix is given."""
        if (
            not metadata.get("name")
            and isinstance(base := metadata.get("generateName"), str)
            and base
        ):
            for _ in range(8):
                metadata["name"] = base[:58] + "".join(random.choices(_SUFFIX_LETTERS, k=5))
                if self.store.get(row.name, namespace, metadata["name"]) is None:
                    break
        if not metadata.get("name"):
            cause = Cause(
                "FieldValueRequired",
                "Required value: name or generateName is required",
                "metadata.name",
            )
            raise status.invalid(row.resource, "", [cause])

    def _make(
        self, row: Row, namespace: str, body: Object, options: WriteOptions, warnings: list[str]
    ) -> WriteResult:
        """Store a new object with defaults and managed fields."""
        metadata, name = body["metadata"], body["metadata"]["name"]
        if row.resource.namespaced:
            metadata["namespace"] = namespace
        else:
            metadata.pop("namespace", None)
        self._checks.prepare(row, body, None)
        self._checks.check(row, body, None)
        warnings += self._checks.admit(row, "CREATE", None, body)
        if self.store.get(row.name, namespace, name) is not None:
            raise status.already_exists(row.resource, name)
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": now()}
        if row.strategy.has_generation:
            metadata["generation"] = 1
        if not options.dry_run:
            self._commits.put(row, body)
        return WriteResult(body, warnings, created=True)

    def _replace(
        self,
        row: Row,
        stored: Stored,
        body: Object,
        subresource: str | None,
        options: WriteOptions,
        *,
        applied: bool = False,
    ) -> WriteResult:
        """Store a new version of an object. `applied`: its managed fields are already set."""
        old = row.decode(stored)
        before = old["metadata"]
        self._same_object(row, body["metadata"], before)
        body = _with_kept_fields(row, body, old, subresource)
        warnings = self._checks.default(row, body, options)
        if options.manager is None:
            body["metadata"] |= (
                {"managedFields": before["managedFields"]} if "managedFields" in before else {}
            )
        elif not applied:
            row.fields.update(old, body, options.manager, _time(subresource), subresource or "")
        self._checks.prepare(row, body, old)
        metadata = body["metadata"]
        added = set(metadata.get("finalizers") or ()) - set(before.get("finalizers") or ())
        if before.get("deletionTimestamp") and added:
            detail = (
                "no new finalizers can be added if the object is being deleted, "
                f"found new finalizers {sorted(added)}"
            )
            raise status.invalid(
                row.resource, stored.name, [forbidden("metadata.finalizers", detail)]
            )
        self._checks.check(row, body, old)
        if subresource != "status":
            warnings += self._checks.admit(row, "UPDATE", old, body)
            if row.strategy.has_generation and _content(row, body) != _content(row, old):
                metadata["generation"] = before.get("generation", 0) + 1
        if _same(without_times(body), without_times(old)):
            return WriteResult(old, warnings)
        if self._deletion.finished(row, body, old):
            if not options.dry_run:
                self._commits.remove(row, stored, body)
            return WriteResult(body, warnings, removed=True)
        if not options.dry_run:
            self._commits.put(row, body)
        return WriteResult(body, warnings)

    def _same_object(self, row: Row, metadata: Object, before: Object) -> None:
        """Require that the body has the uid and resource version of the object.

        Raises:
            Refusal: 409 otherwise.
        """
        if metadata.get("uid") and metadata["uid"] != before["uid"]:
            why = f"the UID {metadata['uid']} does not match the UID in record ({before['uid']})"
            raise status.conflict(row.resource, before["name"], why)
        if (
            metadata.get("resourceVersion")
            and metadata["resourceVersion"] != before["resourceVersion"]
        ):
            raise status.conflict(row.resource, before["name"], MODIFIED)


def _with_kept_fields(row: Row, body: Object, old: Object, subresource: str | None) -> Object:
    """Return the body with the old values of all fields that this write does not change."""
    metadata, before = body["metadata"], old["metadata"]
    if subresource == "status":
        managed = (
            {"managedFields": metadata["managedFields"]} if "managedFields" in metadata else {}
        )
        kept = {key: value for key, value in before.items() if key != "managedFields"} | managed
        metadata = kept if row.custom else bodies.status_metadata(row, metadata, before)
        body = bodies.with_status(row, old | {"metadata": metadata}, body)
    elif row.has_status:
        body = {key: value for key, value in body.items() if key != "status"} | (
            {"status": old["status"]} if "status" in old else {}
        )
    metadata = body["metadata"]
    for field in _SERVER_FIELDS:
        metadata.pop(field, None)
        if field in before:
            metadata[field] = before[field]
    metadata |= {
        field: before[field]
        for field in ("name", "namespace", "resourceVersion")
        if field in before
    }
    return body


def _time(subresource: str | None) -> str | None:
    """Return the time of a manager's entry; None for writes to `/scale`, which have none."""
    return None if subresource == "scale" else now()


def _content(row: Row, obj: Object) -> Object:
    if row.custom:
        return {key: value for key, value in obj.items() if key not in ("metadata", "status")}
    return {"spec": obj.get("spec")}


def _same(one: Object, other: Object) -> bool:
    """Compare as JSON, where `true` and 1 differ."""
    return one == other and msgspec.json.encode(one, order="sorted") == msgspec.json.encode(
        other, order="sorted"
    )
