"""What can be done with objects of any row: create, read, change, delete. Knows no HTTP; every call is atomic on the event loop.

Rules are those of the Kubernetes API conventions; each refusal is a `Refusal`.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

from ...resources import catalog
from ...resources.admission import Review
from ...resources.catalog import Resource
from ...resources.causes import Cause, forbidden, invalid
from . import custom, status
from .known_fields import fit, unreadable
from .metadata import check_names, check_types
from .rows import Registry, Row, built_in
from .status import Refusal
from .store import StorageError, Store, Stored

Object = dict[str, Any]
Operation = Literal["CREATE", "UPDATE", "DELETE"]
Admission = Callable[[Resource, Operation, Object | None, Object | None], Review]

_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_SERVER_FIELDS = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink")

IMMORTAL = ("default", "kube-system")
MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


@dataclass(frozen=True)
class WriteOptions:
    """How a write is meant: `field_validation` is Strict, Warn or Ignore."""

    dry_run: bool = False
    field_validation: str = "Warn"


@dataclass(frozen=True)
class DeleteOptions:
    """Absent means: the kind's own grace, background propagation, no preconditions."""

    grace_seconds: int | None = None
    propagation: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    dry_run: bool = False


@dataclass
class Written:
    """A write's outcome: the object as it is now, what to warn of, whether it is new or gone."""

    object: Object
    warnings: list[str]
    created: bool = False
    removed: bool = False


def now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Engine:
    """All objects of all rows, and what may be done with them."""

    def __init__(self, store: Store, admission: Admission | None = None) -> None:
        self.store = store
        self.registry = Registry(built_in())
        self._admission = admission
        for stored in store.list("customresourcedefinitions.apiextensions.k8s.io"):
            for row in custom.rows(stored.decode()):
                self.registry.add(row)

    # Reading

    def get(self, row: Row, namespace: str, name: str) -> Stored:
        stored = self.store.get(row.name, namespace, name)
        if stored is None:
            raise status.not_found(row.resource, name)
        return stored

    # Writing

    def create(self, row: Row, namespace: str, body: Object, options: WriteOptions = WriteOptions()) -> Written:
        """Raises `Refusal`: 400 for what does not fit the path, 404/403 for the namespace, 409 for a name that is taken, 422 for what is invalid."""
        metadata = self._fitting(row, namespace, body)
        if row.resource.namespaced:
            self._open_namespace(row, namespace, metadata.get("name") or metadata.get("generateName") or "")
        generated = not metadata.get("name") and isinstance(metadata.get("generateName"), str) and metadata["generateName"]
        for _ in range(8 if generated else 1):
            if generated:
                base = metadata["generateName"][:58]
                metadata["name"] = base + "".join(random.choices(_SUFFIX_LETTERS, k=5))
            if not generated or self.store.get(row.name, namespace, metadata["name"]) is None:
                break
        name = metadata.get("name")
        if not name:
            cause = Cause("FieldValueRequired", "Required value: name or generateName is required", "metadata.name")
            raise status.invalid(row.resource, "", [cause])
        for field in _SERVER_FIELDS:
            metadata.pop(field, None)
        metadata.pop("managedFields", None)
        if metadata.pop("resourceVersion", None):
            raise Refusal(400, "BadRequest", "resourceVersion should not be set on objects to be created")
        if row.has_status and not row.strategy.status_at_creation:
            body.pop("status", None)
        warnings = self._prepare(row, body, None, options)
        metadata = body["metadata"]
        if row.resource.namespaced:
            metadata["namespace"] = namespace
        else:
            metadata.pop("namespace", None)
        self._check(row, body, None)
        warnings += self._admit(row, "CREATE", None, body)
        if self.store.get(row.name, namespace, name) is not None:
            raise status.already_exists(row.resource, name)
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": now()}
        if row.strategy.has_generation:
            metadata["generation"] = 1
        if not options.dry_run:
            self._put(row, body)
            self._definition_changed(row, body)
        return Written(body, warnings, created=True)

    def update(
        self, row: Row, namespace: str, name: str, body: Object, subresource: str | None = None, options: WriteOptions = WriteOptions()
    ) -> Written:
        """Replace an object, or only its status. Raises `Refusal`, 409 when a given resourceVersion or uid no longer holds."""
        metadata = self._fitting(row, namespace, body)
        if metadata.get("name", name) != name:
            raise status.bad_request(f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})")
        stored = self.get(row, namespace, name)
        version = metadata.get("resourceVersion")
        if not version and not row.strategy.unconditional_update:
            raise status.invalid(row.resource, name, [invalid("metadata.resourceVersion", 0, "must be specified for an update")])
        return self._replace(row, stored, body, subresource, options)

    def patch(
        self,
        row: Row,
        namespace: str,
        name: str,
        change: Callable[[Object], Object],
        subresource: str | None = None,
        options: WriteOptions = WriteOptions(),
    ) -> Written:
        """Change the current object by a function of it. Raises `Refusal`."""
        stored = self.get(row, namespace, name)
        body = change(row.decode(stored))
        metadata = self._fitting(row, namespace, body)
        if metadata.get("name") != name:
            raise status.invalid(row.resource, name, [invalid("metadata.name", metadata.get("name"), "field is immutable")])
        return self._replace(row, stored, body, subresource, options)

    def delete(self, row: Row, namespace: str, name: str, options: DeleteOptions = DeleteOptions()) -> Written:
        """Remove an object, or begin to: finalizers and a pod's grace keep it for a while. Raises `Refusal`."""
        stored = self.get(row, namespace, name)
        obj = row.decode(stored)
        metadata = obj["metadata"]
        if options.uid is not None and options.uid != stored.uid:
            raise status.conflict(
                row.resource, name, f"the UID in the precondition ({options.uid}) does not match the UID in record ({stored.uid})"
            )
        if options.resource_version is not None and options.resource_version != metadata["resourceVersion"]:
            raise status.conflict(
                row.resource, name, "the ResourceVersion in the precondition does not match the ResourceVersion in record"
            )
        if row.resource == catalog.NAMESPACES and name in IMMORTAL:
            raise status.forbidden(row.resource, name, "this namespace may not be deleted")
        warnings = self._admit(row, "DELETE", obj, None)
        finalizers = [held for held in metadata.get("finalizers") or () if held not in ("orphan", "foregroundDeletion")]
        if options.propagation == "Orphan":
            finalizers.append("orphan")
        elif options.propagation == "Foreground":
            finalizers.append("foregroundDeletion")
        elif options.propagation is None and metadata.get("deletionTimestamp"):
            finalizers = list(metadata.get("finalizers") or ())
        grace = _grace(row, obj, options.grace_seconds)
        ending = row.resource == catalog.NAMESPACES and bool((obj.get("spec") or {}).get("finalizers"))
        before = row.decode(stored)
        if finalizers:
            metadata["finalizers"] = finalizers
        else:
            metadata.pop("finalizers", None)
        if not finalizers and grace == 0 and not ending:
            if not options.dry_run:
                self._remove(row, stored, obj)
            return Written(obj, warnings, removed=True)
        shorter = grace < metadata.get("deletionGracePeriodSeconds", grace + 1)
        if not metadata.get("deletionTimestamp") or shorter:
            metadata["deletionTimestamp"] = (datetime.now(timezone.utc) + timedelta(seconds=grace)).strftime("%Y-%m-%dT%H:%M:%SZ")
            metadata["deletionGracePeriodSeconds"] = grace
            if "generation" in metadata and not before["metadata"].get("deletionTimestamp"):
                metadata["generation"] += 1
        if ending:
            obj["status"] = (obj.get("status") or {}) | {"phase": "Terminating"}
        if obj != before and not options.dry_run:
            self._put(row, obj)
        return Written(obj, warnings)

    def finalize_namespace(self, name: str, body: Object) -> Written:
        """PUT …/finalize: what is left of `spec.finalizers`; the last one takes the namespace with it."""
        row = self.registry.of(catalog.NAMESPACES)
        assert row is not None
        stored = self.get(row, "", name)
        obj = row.decode(stored)
        metadata = self._fitting(row, "", body)
        fit(row, body)
        if metadata.get("resourceVersion", obj["metadata"]["resourceVersion"]) != obj["metadata"]["resourceVersion"]:
            raise status.conflict(row.resource, name, MODIFIED)
        obj["spec"] = {"finalizers": list(body.get("spec", {}).get("finalizers", ()))}
        if obj["metadata"].get("deletionTimestamp") and not obj["spec"]["finalizers"] and not obj["metadata"].get("finalizers"):
            self._remove(row, stored, obj)
            return Written(obj, [], removed=True)
        self._put(row, obj)
        return Written(obj, [])

    # The parts of a write

    def _fitting(self, row: Row, namespace: str, body: Object) -> Object:
        """The metadata of a body that fits the path it was sent to; made when absent."""
        kind, version = body.get("kind"), body.get("apiVersion")
        body.setdefault("kind", row.resource.kind)
        body.setdefault("apiVersion", row.resource.api_version)
        if (kind is not None and kind != row.resource.kind) or (version is not None and version != row.resource.api_version):
            wanted = f"{row.resource.api_version}, Kind={row.resource.kind}"
            raise status.bad_request(
                f"the object provided is unrecognized or does not fit the path: got {version}, Kind={kind}, expected {wanted}"
            )
        metadata = body.setdefault("metadata", {})
        if not isinstance(metadata, dict):
            raise status.bad_request("metadata must be an object")
        check_types(metadata)
        if row.resource.namespaced and (metadata.get("namespace") or namespace) != namespace:
            raise status.bad_request(
                f"the namespace of the provided object does not match the namespace sent on the request ({metadata['namespace']} and {namespace})"
            )
        for field in ("spec", "status"):
            if field in body and body[field] is not None and not isinstance(body[field], dict) and not row.custom:
                raise status.bad_request(f"{field} must be an object")
            if field in body and body[field] is None:
                del body[field]
        return metadata

    def _open_namespace(self, row: Row, namespace: str, name: str) -> None:
        held = self.store.get("namespaces", "", namespace)
        if held is None:
            raise status.not_found(catalog.NAMESPACES, namespace)
        if held.decode()["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            cause = Cause("NamespaceTerminating", f"namespace {namespace} is being terminated", "metadata.namespace")
            raise status.forbidden(row.resource, name, why, (cause,))

    def _prepare(self, row: Row, body: Object, old: Object | None, options: WriteOptions) -> list[str]:
        warnings: list[str] = []
        paths = fit(row, body)
        if options.field_validation != "Ignore":
            unknown = [f'unknown field "{path}"' for path in paths]
            if unknown and options.field_validation == "Strict":
                raise unreadable(row, f"strict decoding error: {', '.join(unknown)}")
            warnings = unknown
        try:
            row.strategy.prepare(body, old)
        except (AttributeError, TypeError, KeyError, ValueError) as error:
            raise status.bad_request(f"{row.resource.kind} cannot be read: a field has the wrong type ({error})") from error
        return warnings

    def _check(self, row: Row, body: Object, old: Object | None) -> None:
        metadata = body["metadata"]
        causes = check_names(metadata)
        if old is None and (problem := row.strategy.name_problem(metadata["name"])):
            causes.append(invalid("metadata.name", metadata["name"], problem))
        try:
            causes += row.strategy.check(body, old)
        except (AttributeError, TypeError, KeyError, ValueError) as error:
            raise status.bad_request(f"{row.resource.kind} cannot be read: a field has the wrong type ({error})") from error
        if not causes and row.resource == catalog.CUSTOM_RESOURCE_DEFINITIONS:
            spec = body["spec"]
            if self.registry.is_built_in(spec["group"], spec["names"]["plural"]):
                causes.append(invalid("spec.names.plural", spec["names"]["plural"], "is the name of a built-in kind"))
        if causes:
            raise status.invalid(row.resource, metadata["name"], causes)

    def _admit(self, row: Row, operation: Operation, old: Object | None, new: Object | None) -> list[str]:
        if self._admission is None:
            return []
        review = self._admission(row.resource, operation, old, new)
        name = (new or old or {})["metadata"]["name"]
        if review.conflict is not None:
            raise status.conflict(row.resource, name, review.conflict)
        if review.causes:
            raise status.invalid(row.resource, name, review.causes)
        return list(review.warnings)

    def _replace(self, row: Row, stored: Stored, body: Object, subresource: str | None, options: WriteOptions) -> Written:
        old = row.decode(stored)
        metadata, before = body["metadata"], old["metadata"]
        name = before["name"]
        if metadata.get("uid") and metadata["uid"] != before["uid"]:
            raise status.conflict(row.resource, name, f"the UID {metadata['uid']} does not match the UID in record ({before['uid']})")
        if metadata.get("resourceVersion") and metadata["resourceVersion"] != before["resourceVersion"]:
            raise status.conflict(row.resource, name, MODIFIED)
        if subresource == "status":
            body = old | ({"status": body["status"]} if "status" in body else {})
            body["metadata"] = metadata = dict(before)
            if "status" not in body:
                body.pop("status", None)
        elif row.has_status:
            body = {key: value for key, value in body.items() if key != "status"} | ({"status": old["status"]} if "status" in old else {})
            metadata = body["metadata"]
        for field in _SERVER_FIELDS:
            metadata.pop(field, None)
            if field in before:
                metadata[field] = before[field]
        metadata["resourceVersion"] = before["resourceVersion"]
        metadata["name"] = name
        metadata.pop("managedFields", None)
        if "namespace" in before:
            metadata["namespace"] = before["namespace"]
        warnings = self._prepare(row, body, old, options)
        metadata = body["metadata"]
        added = set(metadata.get("finalizers") or ()) - set(before.get("finalizers") or ())
        if before.get("deletionTimestamp") and added:
            detail = f"no new finalizers can be added if the object is being deleted, found new finalizers {sorted(added)}"
            raise status.invalid(row.resource, name, [forbidden("metadata.finalizers", detail)])
        self._check(row, body, old)
        if subresource != "status":
            warnings += self._admit(row, "UPDATE", old, body)
        if _content(row, body) != _content(row, old) and row.strategy.has_generation and subresource != "status":
            metadata["generation"] = before.get("generation", 0) + 1
        if body == old:
            return Written(old, warnings)
        finished = before.get("deletionTimestamp") and not metadata.get("finalizers") and before.get("deletionGracePeriodSeconds", 0) == 0
        if finished and not (row.resource == catalog.NAMESPACES and body["spec"].get("finalizers")):
            if not options.dry_run:
                self._remove(row, stored, body)
            return Written(body, warnings, removed=True)
        if not options.dry_run:
            self._put(row, body)
            self._definition_changed(row, body)
        return Written(body, warnings)

    def _put(self, row: Row, body: Object) -> None:
        try:
            self.store.put(row.name, row.to_store(body))
        except StorageError as error:
            raise Refusal(507, "InsufficientStorage", str(error)) from error

    def _remove(self, row: Row, stored: Stored, last: Object) -> None:
        try:
            self.store.delete(row.name, stored.namespace, stored.name, row.to_store(last))
        except StorageError as error:
            raise Refusal(507, "InsufficientStorage", str(error)) from error
        if row.resource == catalog.CUSTOM_RESOURCE_DEFINITIONS:
            spec = last["spec"]
            for version in custom.rows(last):
                for held in self.store.list(version.name):
                    self.store.delete(version.name, held.namespace, held.name)
            self.registry.remove(spec["group"], spec["names"]["plural"])

    def _definition_changed(self, row: Row, body: Object) -> None:
        if row.resource == catalog.CUSTOM_RESOURCE_DEFINITIONS:
            self.registry.remove(body["spec"]["group"], body["spec"]["names"]["plural"])
            for found in custom.rows(body):
                self.registry.add(found)


def _grace(row: Row, obj: Object, asked: int | None) -> int:
    """Only pods that a node has taken and that still run need time to go."""
    if row.resource != catalog.PODS:
        return 0
    if not (obj.get("spec") or {}).get("nodeName") or (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    return max(0, obj["spec"].get("terminationGracePeriodSeconds", 30) if asked is None else asked)


def _content(row: Row, obj: Object) -> Object:
    if row.custom:
        return {key: value for key, value in obj.items() if key not in ("metadata", "status")}
    return {"spec": obj.get("spec")}
