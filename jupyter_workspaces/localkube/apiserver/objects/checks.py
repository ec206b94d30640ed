"""What a write must pass before it is stored: its namespace, its fields, its kind's rules, admission."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jupyter_workspaces.kube import catalog
from jupyter_workspaces.kube.causes import Cause, invalid
from jupyter_workspaces.localkube.apiserver.http import status
from jupyter_workspaces.localkube.apiserver.http.options import WriteOptions
from jupyter_workspaces.localkube.apiserver.store.store import Store

from .admission import Admission, Operation
from .kinds import pod_admission
from .known_fields import fit, unreadable
from .metadata import check_metadata
from .rows import Registry, Row

Object = dict[str, Any]


class Checks:
    """All of it raises `Refusal`."""

    def __init__(self, store: Store, registry: Registry, admission: Admission | None) -> None:
        self._store = store
        self._registry = registry
        self._admission = admission

    def open_kind(self, row: Row, name: str) -> None:
        """403 for a kind whose definition is being deleted."""
        if row.ending:
            raise status.forbidden(
                row.resource,
                name,
                "create not allowed while custom resource definition is terminating",
            )

    def open_namespace(self, row: Row, namespace: str, name: str) -> None:
        """404 for a namespace that is not there, 403 for one that ends."""
        held = self._store.get("namespaces", "", namespace)
        if held is None:
            raise status.not_found(catalog.NAMESPACES, namespace)
        if held.decode()["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            cause = Cause(
                "NamespaceTerminating",
                f"namespace {namespace} is being terminated",
                "metadata.namespace",
            )
            raise status.forbidden(row.resource, name, why, (cause,))

    def default(self, row: Row, body: Object, options: WriteOptions) -> list[str]:
        """Fill in what a client may leave out, in place; what to warn of. 400 for what does not fit its kind."""
        warnings: list[str] = []
        paths = fit(row, body)
        if options.field_validation != "Ignore":
            unknown = [f'unknown field "{path}"' for path in paths]
            if unknown and options.field_validation == "Strict":
                raise unreadable(row, f"strict decoding error: {', '.join(unknown)}")
            warnings = unknown
        with _read(row):
            row.strategy.default(body)
        return warnings

    def prepare(self, row: Row, body: Object, old: Object | None) -> None:
        """Set what is the server's to set, in place."""
        with _read(row):
            if row.resource == catalog.PODS and old is None:
                pod_admission.admit(self._store, body)
            elif row.resource == catalog.PODS and old is not None:
                pod_admission.keep(body, old)
            row.strategy.prepare(body, old)

    def check(self, row: Row, body: Object, old: Object | None) -> None:
        """422 for what is invalid; what is valid gets, in place, what only the server can give."""
        metadata = body["metadata"]
        strategy = row.strategy
        causes = list(
            check_metadata(
                metadata,
                strategy.name_problem if old is None else None,
                strategy.finalizers_have_domains,
            )
        )
        with _read(row):
            found = strategy.check(body, old)
            if found and old is not None and not row.custom:
                found = _since(row, body, old)
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
        """What admission warns of."""
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


def _since(row: Row, body: Object, old: Object) -> list[Cause]:
    """What is wrong of a change to an object that may be stored as an earlier version of ours let it in: without defaults that came since,
    and with what rules that came since would refuse. It must still be possible to finish and to delete it."""
    before = copy.deepcopy(old)
    fit(row, before)
    row.strategy.default(before)
    borne = {(cause.reason, cause.field) for cause in row.strategy.check(before, None)}
    return [
        cause
        for cause in row.strategy.check(body, before)
        if (cause.reason, cause.field) not in borne
    ]


@contextmanager
def _read(row: Row) -> Iterator[None]:
    """A strategy that stumbles over a value read a field that has another type than the kind says."""
    try:
        yield
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise status.bad_request(
            f"{row.resource.kind} cannot be read: a field has the wrong type ({error})"
        ) from error
