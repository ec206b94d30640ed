"""The table of resources that the API serves. A kind is a row; a stored CRD becomes one more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec

from ...resources import catalog
from ...resources.catalog import Resource
from . import schemas, selectors, shapes
from . import strategies as kinds
from .definitions import DefinitionStrategy
from .fields import sets, types
from .fields.managers import FieldManager
from .fields.sets import Fields
from .shapes import Shape
from .store import Stored
from .strategies import Strategy

Object = dict[str, Any]
READ_WRITE = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
CREATE_ONLY = ("create",)


@dataclass(frozen=True)
class Column:
    """A printer column of a Table. `read` gives the cell; `type` is integer, number, string, boolean or date."""

    name: str
    read: Callable[[Object], Any]
    type: str = "string"
    description: str = ""
    priority: int = 0


@dataclass(frozen=True)
class Scaling:
    """Where an object says how many it wants and how many there are; `selector` gives, as text, by which labels they are known."""

    wanted: tuple[str, ...]
    there: tuple[str, ...]
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
    shape: Shape | None = None
    scaling: Scaling | None = None
    custom: bool = False
    ending: bool = False
    """Its definition is being deleted: no more objects are made."""
    schema: Object | None = None
    """Of a CRD's version: its structural schema."""
    stored_version: str | None = None
    """Of a CRD with several versions: the one that its objects are written in. None: there is only this one."""

    @property
    def name(self) -> str:
        """As stored and as admins write it: `workspaces.kubeflow.org`."""
        return f"{self.resource.plural}.{self.resource.group}" if self.resource.group else self.resource.plural

    @property
    def singular(self) -> str:
        return self.resource.kind.lower()

    @cached_property
    def fields(self) -> FieldManager:
        """Who manages which of an object's fields."""
        if self.schema is not None:
            type_ = types.custom(self.schema)
        else:
            resource = self.resource
            type_ = types.named(schemas.name_of(resource.group, resource.version, resource.kind) or "")
        return FieldManager(type_, self.resource.api_version, _resets(self) if self.has_status else {})

    @property
    def has_status(self) -> bool:
        return "status" in self.subresources

    def decode(self, stored: Stored) -> Object:
        """The object in this row's version (conversion strategy `None`: only `apiVersion` differs); the caller's to change."""
        obj = stored.decode()
        if self.stored_version is not None:
            obj["apiVersion"] = self.resource.api_version
        return obj

    def body(self, stored: Stored) -> bytes:
        return stored.body if self.stored_version is None else msgspec.json.encode(self.decode(stored))

    def to_store(self, obj: Object) -> Object:
        version = self.resource.api_version if self.stored_version is None else f"{self.resource.group}/{self.stored_version}"
        return {"kind": self.resource.kind, "apiVersion": version} | obj | {"apiVersion": version}

    @cached_property
    def _beginning(self) -> bytes:
        return msgspec.json.encode({"kind": self.resource.kind, "apiVersion": self.resource.api_version})[:-1] + b","

    def item(self, stored: Stored) -> bytes:
        """As it stands in a list: objects of built-in kinds do not repeat what they are."""
        body = self.body(stored)
        return body if self.custom or not body.startswith(self._beginning) else b"{" + body[len(self._beginning) :]


def _resets(row: Row) -> dict[str, Fields]:
    """By subresource: fields that a write through it leaves as they are, so that nobody manages them by it."""
    kept: list[tuple[str, ...]] = [("spec",)]
    if row.custom:
        kept.append(("metadata",))
    elif row.resource == catalog.PODS:
        kept.append(("metadata", "ownerReferences"))
    return {"": sets.of(("status",)), "scale": sets.of(("status",)), "status": sets.of(*kept)}


class Registry:
    """All rows by group, version and plural. CRDs add and remove theirs while the server runs."""

    def __init__(self, rows: Iterator[Row] | tuple[Row, ...]) -> None:
        self._rows = {self._key(row): row for row in rows}

    @staticmethod
    def _key(row: Row) -> tuple[str, str, str]:
        return (row.resource.group, row.resource.version, row.resource.plural)

    def add(self, row: Row) -> None:
        self._rows[self._key(row)] = row

    def remove(self, group: str, plural: str) -> None:
        """All versions of a CRD's kind."""
        for key in [key for key in self._rows if key[0] == group and key[2] == plural]:
            del self._rows[key]

    def get(self, group: str, version: str, plural: str) -> Row | None:
        return self._rows.get((group, version, plural))

    def is_built_in(self, group: str, plural: str) -> bool:
        return any(not row.custom and key[0] == group and key[2] == plural for key, row in self._rows.items())

    def of(self, resource: Resource) -> Row | None:
        return self._rows.get((resource.group, resource.version, resource.plural))

    def by_kind(self, api_version: str, kind: str) -> Row | None:
        return next((row for row in self if row.resource.api_version == api_version and row.resource.kind == kind), None)

    def group_versions(self) -> dict[str, list[str]]:
        """Versions by group, in the order of the table; the core group is empty."""
        found: dict[str, list[str]] = {}
        for group, version, _ in self._rows:
            if version not in found.setdefault(group, []):
                found[group].append(version)
        return found

    def of_version(self, group: str, version: str) -> list[Row]:
        return [row for key, row in self._rows.items() if key[:2] == (group, version)]

    def __iter__(self) -> Iterator[Row]:
        return iter(list(self._rows.values()))


def at(*path: str | int) -> Callable[[Object], Any]:
    """A cell that stands at a path of the object; None where there is nothing."""

    def read(obj: Object) -> Any:
        value: Any = obj
        for part in path:
            if isinstance(value, dict):
                value = value.get(part)
            elif isinstance(value, list) and isinstance(part, int) and part < len(value):
                value = value[part]
            else:
                return None
        return value

    return read


def text(*path: str | int, otherwise: str = "<none>") -> Callable[[Object], Any]:
    read = at(*path)
    return lambda obj: otherwise if (value := read(obj)) in (None, "", [], {}) else str(value)


def _pod_ready(pod: Object) -> str:
    statuses = at("status", "containerStatuses")(pod) or []
    return f"{sum(bool(one.get('ready')) for one in statuses)}/{len(at('spec', 'containers')(pod) or [])}"


def _pod_status(pod: Object) -> str:
    if at("metadata", "deletionTimestamp")(pod):
        return "Terminating"
    for status in at("status", "containerStatuses")(pod) or []:
        state = status.get("state") or {}
        reason = (state.get("waiting") or state.get("terminated") or {}).get("reason")
        if reason:
            return str(reason)
    return str(at("status", "reason")(pod) or at("status", "phase")(pod) or "Unknown")


def _node_status(node: Object) -> str:
    for condition in at("status", "conditions")(node) or []:
        if condition.get("type") == "Ready":
            return "Ready" if condition.get("status") == "True" else "NotReady"
    return "Unknown"


def _ports(service: Object) -> str:
    return ",".join(f"{port.get('port')}/{port.get('protocol', 'TCP')}" for port in at("spec", "ports")(service) or []) or "<none>"


def _modes(path: tuple[str, ...]) -> Callable[[Object], str]:
    short = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
    return lambda obj: ",".join(short.get(mode, mode) for mode in at(*path)(obj) or [])


def _claim_of(volume: Object) -> str:
    reference = at("spec", "claimRef")(volume)
    return f"{reference.get('namespace')}/{reference.get('name')}" if reference else ""


def built_in() -> tuple[Row, ...]:
    """Every kind that Kubernetes itself brings and that a workspace user, our controllers or the node need."""
    return (
        Row(
            catalog.NAMESPACES,
            ("ns",),
            shape=shapes.NAMESPACE,
            verbs=tuple(verb for verb in READ_WRITE if verb != "deletecollection"),
            subresources=("finalize", "status"),
            strategy=kinds.NamespaceStrategy(),
            columns=(Column("Status", text("status", "phase")),),
        ),
        Row(
            catalog.PODS,
            ("po",),
            ("all",),
            shape=shapes.POD,
            subresources=("attach", "binding", "exec", "log", "portforward", "status"),
            strategy=kinds.PodStrategy(),
            columns=(
                Column("Ready", _pod_ready),
                Column("Status", _pod_status),
                Column(
                    "Restarts",
                    lambda pod: sum(one.get("restartCount", 0) for one in at("status", "containerStatuses")(pod) or []),
                    "integer",
                ),
                Column("IP", text("status", "podIP"), priority=1),
                Column("Node", text("spec", "nodeName"), priority=1),
            ),
        ),
        Row(
            catalog.SERVICES,
            ("svc",),
            ("all",),
            shape=shapes.SERVICE,
            subresources=("status",),
            strategy=kinds.ServiceStrategy(),
            columns=(Column("Type", text("spec", "type")), Column("Cluster-IP", text("spec", "clusterIP")), Column("Port(s)", _ports)),
        ),
        Row(
            catalog.PERSISTENT_VOLUMES,
            ("pv",),
            shape=shapes.VOLUME,
            subresources=("status",),
            strategy=kinds.VolumeStrategy(),
            columns=(
                Column("Capacity", text("spec", "capacity", "storage")),
                Column("Access Modes", _modes(("spec", "accessModes"))),
                Column("Reclaim Policy", text("spec", "persistentVolumeReclaimPolicy")),
                Column("Status", text("status", "phase")),
                Column("Claim", _claim_of),
                Column("StorageClass", text("spec", "storageClassName", otherwise="")),
            ),
        ),
        Row(
            catalog.PERSISTENT_VOLUME_CLAIMS,
            ("pvc",),
            shape=shapes.CLAIM,
            subresources=("status",),
            strategy=kinds.ClaimStrategy(),
            columns=(
                Column(
                    "Status", lambda claim: "Terminating" if at("metadata", "deletionTimestamp")(claim) else text("status", "phase")(claim)
                ),
                Column("Volume", text("spec", "volumeName", otherwise="")),
                Column("Capacity", text("status", "capacity", "storage", otherwise="")),
                Column("Access Modes", _modes(("status", "accessModes"))),
                Column("StorageClass", text("spec", "storageClassName", otherwise="")),
            ),
        ),
        Row(
            catalog.SECRETS,
            shape=shapes.SECRET,
            strategy=kinds.SecretStrategy(),
            columns=(Column("Type", text("type")), Column("Data", lambda secret: len(secret.get("data") or {}), "integer")),
        ),
        Row(
            catalog.CONFIG_MAPS,
            ("cm",),
            shape=shapes.CONFIG_MAP,
            strategy=kinds.ConfigMapStrategy(),
            columns=(Column("Data", lambda found: len(found.get("data") or {}) + len(found.get("binaryData") or {}), "integer"),),
        ),
        Row(
            catalog.SERVICE_ACCOUNTS,
            ("sa",),
            subresources=("token",),
            shape=shapes.SERVICE_ACCOUNT,
            columns=(Column("Secrets", lambda account: len(account.get("secrets") or []), "integer"),),
        ),
        Row(
            catalog.EVENTS,
            ("ev",),
            shape=shapes.EVENT,
            strategy=kinds.EventStrategy(),
            columns=(
                Column("Last Seen", lambda event: event.get("lastTimestamp") or event.get("eventTime"), "date"),
                Column("Type", text("type", otherwise="")),
                Column("Reason", text("reason", otherwise="")),
                Column("Object", lambda event: f"{at('involvedObject', 'kind')(event)}/{at('involvedObject', 'name')(event)}".lower()),
                Column("Message", text("message", otherwise="")),
            ),
        ),
        Row(
            catalog.NODES,
            ("no",),
            shape=shapes.NODE,
            strategy=kinds.NodeStrategy(),
            subresources=("status",),
            columns=(Column("Status", _node_status), Column("Version", text("status", "nodeInfo", "kubeletVersion"))),
        ),
        Row(
            catalog.STATEFUL_SETS,
            ("sts",),
            ("all",),
            shape=shapes.STATEFUL_SET,
            subresources=("scale", "status"),
            scaling=Scaling(("spec", "replicas"), ("status", "replicas"), lambda found: selectors.as_text(at("spec", "selector")(found))),
            strategy=kinds.StatefulSetStrategy(),
            columns=(Column("Ready", lambda found: f"{at('status', 'readyReplicas')(found) or 0}/{at('spec', 'replicas')(found) or 0}"),),
        ),
        Row(
            catalog.STORAGE_CLASSES,
            ("sc",),
            shape=shapes.STORAGE_CLASS,
            strategy=kinds.StorageClassStrategy(),
            columns=(
                Column("Provisioner", text("provisioner")),
                Column("ReclaimPolicy", text("reclaimPolicy")),
                Column("VolumeBindingMode", text("volumeBindingMode")),
            ),
        ),
        Row(catalog.ROLES, shape=shapes.ROLE, strategy=kinds.PathNamed()),
        Row(catalog.ROLE_BINDINGS, shape=shapes.ROLE_BINDING, strategy=kinds.PathNamed(), columns=(Column("Role", _role),)),
        Row(catalog.CLUSTER_ROLES, shape=shapes.ROLE, strategy=kinds.PathNamed()),
        Row(catalog.CLUSTER_ROLE_BINDINGS, shape=shapes.ROLE_BINDING, strategy=kinds.PathNamed(), columns=(Column("Role", _role),)),
        Row(catalog.LEASES, shape=shapes.LEASE, columns=(Column("Holder", text("spec", "holderIdentity", otherwise="")),)),
        Row(
            catalog.CUSTOM_RESOURCE_DEFINITIONS,
            ("crd", "crds"),
            ("api-extensions",),
            subresources=("status",),
            strategy=DefinitionStrategy(),
            columns=(Column("Created At", text("metadata", "creationTimestamp"), "date"),),
        ),
        Row(catalog.SELF_SUBJECT_ACCESS_REVIEWS, verbs=CREATE_ONLY),
        Row(catalog.SUBJECT_ACCESS_REVIEWS, verbs=CREATE_ONLY),
        Row(
            Resource("authorization.k8s.io", "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", namespaced=False), verbs=CREATE_ONLY
        ),
        Row(Resource("authorization.k8s.io", "v1", "localsubjectaccessreviews", "LocalSubjectAccessReview"), verbs=CREATE_ONLY),
        Row(catalog.SELF_SUBJECT_REVIEWS, verbs=CREATE_ONLY),
        Row(Resource("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False), verbs=CREATE_ONLY),
    )


def _role(binding: Object) -> str:
    return f"{at('roleRef', 'kind')(binding)}/{at('roleRef', 'name')(binding)}"
