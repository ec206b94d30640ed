"""The table of kinds that the API serves: one row for each kind; a stored CRD adds its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import msgspec

from jupyter_workspaces.kube import catalog, selectors
from jupyter_workspaces.kube.catalog import Resource
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.definitions.definitions import DefinitionStrategy
from jupyter_workspaces.localkube.apiserver.store.store import Stored
from jupyter_workspaces.localkube.apiserver.tables import columns, pod_columns
from jupyter_workspaces.localkube.apiserver.tables.columns import Column, at

from . import kinds, schemas
from .fields import sets, types
from .fields.managers import FieldManager
from .fields.sets import Fields
from .strategies import Strategy

READ_WRITE = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
CREATE_ONLY = ("create",)


@dataclass(frozen=True)
class Scaling:
    """Where an object has its numbers of replicas.

    Attributes:
        spec_path: path of the wanted number.
        status_path: path of the current number.
        selector: returns the label selector of the replicas as text.
    """

    spec_path: tuple[str, ...]
    status_path: tuple[str, ...]
    selector: Callable[[Object], str]


@dataclass(frozen=True)
class Row:
    """One kind that the API serves."""

    resource: Resource
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = READ_WRITE
    subresources: tuple[str, ...] = ()
    strategy: Strategy = field(default_factory=Strategy)
    columns: tuple[Column, ...] = ()
    scaling: Scaling | None = None
    custom: bool = False
    ending: bool = False
    """Whether its CRD is being deleted, so that no objects can be created."""
    schema: Object | None = None
    """Structural schema of a CRD's version."""
    stored_version: str | None = None
    """Version in which a CRD with several versions stores objects; None if there is only one."""

    @property
    def name(self) -> str:
        """Name of the resource in the store and in CRDs, such as `workspaces.kubeflow.org`."""
        return (
            f"{self.resource.plural}.{self.resource.group}"
            if self.resource.group
            else self.resource.plural
        )

    @property
    def singular(self) -> str:
        """Singular name, in lower case."""
        return self.resource.kind.lower()

    @cached_property
    def fields(self) -> FieldManager:
        """Managed fields of objects of the kind."""
        if self.schema is not None:
            type_ = types.custom(self.schema)
        else:
            resource = self.resource
            type_ = types.named(
                schemas.name_of(resource.group, resource.version, resource.kind) or ""
            )
        return FieldManager(
            type_, self.resource.api_version, _resets(self) if self.has_status else {}
        )

    @property
    def has_status(self) -> bool:
        """Whether the kind has the status subresource."""
        return "status" in self.subresources

    def decode(self, stored: Stored) -> Object:
        """Return an object in this version; the caller may change it.

        Versions differ in `apiVersion` only (conversion strategy None).
        """
        obj = stored.decode()
        if self.stored_version is not None:
            obj["apiVersion"] = self.resource.api_version
        return obj

    def body(self, stored: Stored) -> bytes:
        """Return the encoded object in this version."""
        return (
            stored.body if self.stored_version is None else msgspec.json.encode(self.decode(stored))
        )

    def to_store(self, obj: Object) -> Object:
        """Return an object in the version that is stored."""
        version = (
            self.resource.api_version
            if self.stored_version is None
            else f"{self.resource.group}/{self.stored_version}"
        )
        return {"kind": self.resource.kind, "apiVersion": version} | obj | {"apiVersion": version}

    @cached_property
    def _beginning(self) -> bytes:
        return (
            msgspec.json.encode(
                {"kind": self.resource.kind, "apiVersion": self.resource.api_version}
            )[:-1]
            + b","
        )

    def item(self, stored: Stored) -> bytes:
        """Return the encoded object as in a list, where built-in kinds omit kind and apiVersion."""
        body = self.body(stored)
        return (
            body
            if self.custom or not body.startswith(self._beginning)
            else b"{" + body[len(self._beginning) :]
        )


def _resets(row: Row) -> dict[str, Fields]:
    """Return the fields, by subresource, that a write does not change or manage."""
    kept: list[tuple[str, ...]] = [("spec",)]
    if row.custom:
        kept.append(("metadata",))
    elif row.resource == catalog.PODS:
        kept.append(("metadata", "ownerReferences"))
    return {"": sets.of(("status",)), "scale": sets.of(("status",)), "status": sets.of(*kept)}


class Registry:
    """All rows by group, version and plural. CRDs add and remove theirs while the server runs."""

    def __init__(self, rows: Iterator[Row] | tuple[Row, ...]) -> None:
        """Create it with the rows of built-in kinds."""
        self._rows = {self._key(row): row for row in rows}

    @staticmethod
    def _key(row: Row) -> tuple[str, str, str]:
        return (row.resource.group, row.resource.version, row.resource.plural)

    def add(self, row: Row) -> None:
        """Add a row, or replace the one of the same resource."""
        self._rows[self._key(row)] = row

    def remove(self, group: str, plural: str) -> None:
        """Remove all versions of a resource."""
        for key in [key for key in self._rows if key[0] == group and key[2] == plural]:
            del self._rows[key]

    def get(self, group: str, version: str, plural: str) -> Row | None:
        """Return a row, or None."""
        return self._rows.get((group, version, plural))

    def is_built_in(self, group: str, plural: str) -> bool:
        """Return whether a built-in kind has this group and plural."""
        return any(
            not row.custom and key[0] == group and key[2] == plural
            for key, row in self._rows.items()
        )

    def of(self, resource: Resource) -> Row | None:
        """Return the row of a resource, or None."""
        return self._rows.get((resource.group, resource.version, resource.plural))

    def by_kind(self, api_version: str, kind: str) -> Row | None:
        """Return the row of a kind, or None."""
        return next(
            (
                row
                for row in self
                if row.resource.api_version == api_version and row.resource.kind == kind
            ),
            None,
        )

    def group_versions(self) -> dict[str, list[str]]:
        """Return the versions by group, in the order of the table; the core group is empty."""
        found: dict[str, list[str]] = {}
        for group, version, _ in self._rows:
            if version not in found.setdefault(group, []):
                found[group].append(version)
        return found

    def of_version(self, group: str, version: str) -> list[Row]:
        """Return the rows of a group and version."""
        return [row for key, row in self._rows.items() if key[:2] == (group, version)]

    def __iter__(self) -> Iterator[Row]:
        """Yield all rows, unaffected by changes in between."""
        return iter(list(self._rows.values()))


def built_in() -> tuple[Row, ...]:
    """Return the kinds of Kubernetes that workspaces, our controllers or the node need."""
    return (*_core_kinds(), *_grouped_kinds(), *_reviews())


def _core_kinds() -> tuple[Row, ...]:
    return (
        Row(
            catalog.NAMESPACES,
            ("ns",),
            verbs=tuple(verb for verb in READ_WRITE if verb != "deletecollection"),
            subresources=("finalize", "status"),
            strategy=kinds.NamespaceStrategy(),
            columns=columns.NAMESPACE,
        ),
        Row(
            catalog.PODS,
            ("po",),
            ("all",),
            subresources=("attach", "binding", "eviction", "exec", "log", "portforward", "status"),
            strategy=kinds.PodStrategy(),
            columns=pod_columns.POD,
        ),
        Row(
            catalog.SERVICES,
            ("svc",),
            ("all",),
            subresources=("status",),
            strategy=kinds.ServiceStrategy(),
            columns=columns.SERVICE,
        ),
        Row(
            catalog.PERSISTENT_VOLUMES,
            ("pv",),
            subresources=("status",),
            strategy=kinds.VolumeStrategy(),
            columns=columns.VOLUME,
        ),
        Row(
            catalog.PERSISTENT_VOLUME_CLAIMS,
            ("pvc",),
            subresources=("status",),
            strategy=kinds.ClaimStrategy(),
            columns=columns.CLAIM,
        ),
        Row(
            catalog.SECRETS,
            strategy=kinds.SecretStrategy(),
            columns=columns.SECRET,
        ),
        Row(
            catalog.CONFIG_MAPS,
            ("cm",),
            strategy=kinds.ConfigMapStrategy(),
            columns=columns.CONFIG_MAP,
        ),
        Row(
            catalog.SERVICE_ACCOUNTS,
            ("sa",),
            subresources=("token",),
            columns=columns.PLAIN,
        ),
        Row(
            catalog.EVENTS,
            ("ev",),
            strategy=kinds.EventStrategy(),
            columns=columns.EVENT,
        ),
        Row(
            catalog.NODES,
            ("no",),
            strategy=kinds.NodeStrategy(),
            subresources=("status",),
            columns=columns.NODE,
        ),
    )


def _grouped_kinds() -> tuple[Row, ...]:
    """Return the kinds of other groups than the core group."""
    return (
        Row(
            catalog.STATEFUL_SETS,
            ("sts",),
            ("all",),
            subresources=("scale", "status"),
            scaling=Scaling(
                ("spec", "replicas"),
                ("status", "replicas"),
                lambda found: selectors.as_text(at("spec", "selector")(found) or {}),
            ),
            strategy=kinds.StatefulSetStrategy(),
            columns=columns.STATEFUL_SET,
        ),
        Row(
            catalog.STORAGE_CLASSES,
            ("sc",),
            strategy=kinds.StorageClassStrategy(),
            columns=columns.STORAGE_CLASS,
        ),
        Row(catalog.ROLES, strategy=kinds.RoleStrategy(), columns=columns.ROLE),
        Row(catalog.ROLE_BINDINGS, strategy=kinds.BindingStrategy(), columns=columns.BINDING),
        Row(
            catalog.CLUSTER_ROLES, strategy=kinds.RoleStrategy(of_paths=True), columns=columns.ROLE
        ),
        Row(
            catalog.CLUSTER_ROLE_BINDINGS,
            strategy=kinds.BindingStrategy(of_cluster=True),
            columns=columns.BINDING,
        ),
        Row(catalog.LEASES, strategy=kinds.LeaseStrategy(), columns=columns.LEASE),
        Row(
            catalog.CUSTOM_RESOURCE_DEFINITIONS,
            ("crd", "crds"),
            ("api-extensions",),
            subresources=("status",),
            strategy=DefinitionStrategy(),
            columns=columns.DEFINITION,
        ),
    )


def _reviews() -> tuple[Row, ...]:
    """Return the kinds that are answered and not stored."""
    return (
        Row(catalog.SELF_SUBJECT_ACCESS_REVIEWS, verbs=CREATE_ONLY),
        Row(catalog.SUBJECT_ACCESS_REVIEWS, verbs=CREATE_ONLY),
        Row(
            Resource(
                "authorization.k8s.io",
                "v1",
                "selfsubjectrulesreviews",
                "SelfSubjectRulesReview",
                namespaced=False,
            ),
            verbs=CREATE_ONLY,
        ),
        Row(
            Resource(
                "authorization.k8s.io",
                "v1",
                "localsubjectaccessreviews",
                "LocalSubjectAccessReview",
            ),
            verbs=CREATE_ONLY,
        ),
        Row(catalog.SELF_SUBJECT_REVIEWS, verbs=CREATE_ONLY),
        Row(
            Resource(
                "authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False
            ),
            verbs=CREATE_ONLY,
        ),
    )
