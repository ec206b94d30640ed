"""Checks before an object is stored: namespace, fields, rules of the kind, admission."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

from jupyter_workspaces.kube import catalog
from jupyter_workspaces.kube.causes import Cause, invalid
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.http import status
from jupyter_workspaces.localkube.apiserver.http.options import WriteOptions
from jupyter_workspaces.localkube.apiserver.store.store import Store

from .admission import Admission, Operation
from .kinds.pod_specs import pod_admission
from .known_fields import normalize, unreadable
from .metadata import check_metadata
from .rows import Registry, Row


class Checks:
    """The checks. Each raises `Refusal` if the write is rejected."""

    def __init__(self, store: Store, registry: Registry, admission: Admission | None) -> None:
        """Create it.

        Args:
            store: has the namespaces and service accounts.
            registry: has the built-in kinds.
            admission: reviews each write.
        """
        self._store = store
        self._registry = registry
        self._admission = admission

    def check_kind(self, row: Row, name: str) -> None:
        """Reject a new object of a kind whose CRD is being deleted.

        Raises:
            Refusal: 403.
        """
        if row.ending:
            raise status.forbidden(
                row.resource,
                name,
                "create not allowed while custom resource definition is terminating",
            )

    def check_namespace(self, row: Row, namespace: str, name: str) -> None:
        """Require that a namespace exists and is not being deleted.

        Raises:
            Refusal: 404 or 403.
        """
        held = self._store.get("namespaces", "", namespace)
        if held is None:
            raise status.not_found(catalog.NAMESPACES, namespace)
        if held.decode()["metadata"].get("deletionTimestamp"):
            why = (
                f"unable to create new content in namespace {namespace} "
                "because it is being terminated"
            )
            cause = Cause(
                "NamespaceTerminating",
                f"namespace {namespace} is being terminated",
                "metadata.namespace",
            )
            raise status.forbidden(row.resource, name, why, (cause,))

    def default(self, row: Row, body: Object, options: WriteOptions) -> list[str]:
        """Normalize the object and fill in defaults, in place. Return warnings.

        Raises:
            Refusal: 400 if it does not match its kind.
        """
        warnings: list[str] = []
        paths = normalize(row, body)
        if options.field_validation != "Ignore":
            unknown = [f'unknown field "{path}"' for path in paths]
            if unknown and options.field_validation == "Strict":
                raise unreadable(row, f"strict decoding error: {', '.join(unknown)}")
            warnings = unknown
        with _type_errors_as_refusals(row):
            row.strategy.default(body)
        return warnings

    def prepare(self, row: Row, body: Object, old: Object | None) -> None:
        """Set the fields that only the server may set, in place.

        Raises:
            Refusal: 400 or 403.
        """
        with _type_errors_as_refusals(row):
            if row.resource == catalog.PODS and old is None:
                pod_admission.admit(self._store, body)
            elif row.resource == catalog.PODS and old is not None:
                pod_admission.keep(body, old)
            row.strategy.prepare(body, old)

    def check(self, row: Row, body: Object, old: Object | None) -> None:
        """Check an object; complete it, in place, if it is valid.

        Raises:
            Refusal: 422 if it is invalid.
        """
        metadata = body["metadata"]
        strategy = row.strategy
        causes = list(
            check_metadata(
                metadata,
                strategy.name_problem if old is None else None,
                strategy.finalizers_have_domains,
            )
        )
        with _type_errors_as_refusals(row):
            found = strategy.check(body, old)
            if found and old is not None and not row.custom:
                found = _new_causes(row, body, old)
        causes += found
        if not causes and row.resource == catalog.CUSTOM_RESOURCE_DEFINITIONS:
            spec = body["spec"]
            if self._registry.is_built_in(spec["group"], spec["names"]["plural"]):
                causes.append(
                    invalid(
                        "spec.names.plural",
                        spec["names"]["plural"],
                        "is the name of a built-in kind",
                    )
                )
        if causes:
            raise status.invalid(row.resource, metadata["name"], causes)
        row.strategy.complete(body)

    def admit(
        self, row: Row, operation: Operation, old: Object | None, new: Object | None
    ) -> list[str]:
        """Ask admission about a write. Return warnings.

        Raises:
            Refusal: 409 or 422 if it is rejected.
        """
        warnings = [] if new is None else row.strategy.warnings(new, old)
        if self._admission is None:
            return warnings
        review = self._admission(row.resource, operation, old, new)
        if review is None:
            return warnings
        name = (new or old or {})["metadata"]["name"]
        if review.conflict is not None:
            raise status.conflict(row.resource, name, review.conflict)
        if review.causes:
            raise status.invalid(row.resource, name, list(review.causes))
        return [*warnings, *review.warnings]


def _new_causes(row: Row, body: Object, old: Object) -> list[Cause]:
    """Return what is invalid in an update, except for what already is in the stored object.

    An earlier version may have stored it, without defaults and rules that were added since. Such
    objects must still be finalized and deleted.
    """
    before = copy.deepcopy(old)
    normalize(row, before)
    row.strategy.default(before)
    borne = {(cause.reason, cause.field) for cause in row.strategy.check(before, None)}
    return [
        cause
        for cause in row.strategy.check(body, before)
        if (cause.reason, cause.field) not in borne
    ]


@contextmanager
def _type_errors_as_refusals(row: Row) -> Iterator[None]:
    """Turn errors of a strategy that reads a field of the wrong type into 400."""
    try:
        yield
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise status.bad_request(
            f"{row.resource.kind} cannot be read: a field has the wrong type ({error})"
        ) from error
