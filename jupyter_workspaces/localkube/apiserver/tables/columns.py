"""Printer columns of kinds, as kubectl prints them. Those of pods are in `pod_columns`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from jupyter_workspaces.kube.types import Object

Cell = Callable[[Object], Any]

NONE, UNSET, UNKNOWN = "<none>", "<unset>", "<unknown>"
_MODES = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}
_DEFAULT_CLASS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
_ROLE_LABEL = "node-role.kubernetes.io/"


@dataclass(frozen=True)
class Column:
    """A printer column.

    Attributes:
        read: returns the cell of an object.
        type: `integer`, `number`, `string`, `boolean` or `date`.
        since: whether the cell is a timestamp that is shown as age.
    """

    name: str
    read: Cell
    type: str = "string"
    description: str = ""
    priority: int = 0
    format: str = ""
    since: bool = False


def at(*path: str | int) -> Cell:
    """Return a cell with the value at a path of the object; None if it is absent."""

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


def text(*path: str | int, otherwise: str = "") -> Cell:
    """Return a cell with the value at a path as text; `otherwise` if it is absent or empty."""
    read = at(*path)
    return lambda obj: otherwise if (value := read(obj)) in (None, "", [], {}) else str(value)


NAME = Column(
    "Name",
    text("metadata", "name"),
    description="Name of the object, unique in its namespace.",
    format="name",
)
AGE = Column(
    "Age",
    at("metadata", "creationTimestamp"),
    description="Time since the object was created.",
    since=True,
)
CREATED = Column(
    "Created At", at("metadata", "creationTimestamp"), "date", "When the object was created."
)


def _wide(name: str, read: Cell, description: str = "", *, since: bool = False) -> Column:
    return Column(name, read, description=description, priority=1, since=since)


def _count(*fields: str) -> Cell:
    return lambda obj: sum(len(obj.get(field) or {}) for field in fields)


def _join(words: Iterable[Any], between: str = ",", otherwise: str = NONE) -> str:
    return between.join(str(word) for word in words if word) or otherwise


def _labels(*path: str) -> Cell:
    read = at(*path)
    return lambda obj: _join(f"{key}={value}" for key, value in sorted((read(obj) or {}).items()))


def _phase(*path: str, otherwise: str = "") -> Cell:
    """Return a cell with the phase, or `Terminating` during deletion."""
    phase = text(*path, otherwise=otherwise)
    return lambda obj: "Terminating" if at("metadata", "deletionTimestamp")(obj) else phase(obj)


def _external(service: Object) -> str:
    spec, kind = service.get("spec") or {}, at("spec", "type")(service)
    if kind == "ExternalName":
        return str(spec.get("externalName", ""))
    given = list(spec.get("externalIPs") or ())
    if kind != "LoadBalancer":
        return _join(given)
    balanced = [
        one.get("ip") or one.get("hostname")
        for one in at("status", "loadBalancer", "ingress")(service) or ()
    ]
    return _join([*balanced, *given], otherwise="<pending>")


def _ports(service: Object) -> str:
    def port(one: Object) -> str:
        outside = f":{one['nodePort']}" if one.get("nodePort") else ""
        return f"{one.get('port')}{outside}/{one.get('protocol', 'TCP')}"

    return _join(port(one) for one in at("spec", "ports")(service) or ())


def _modes(*path: str) -> Cell:
    read = at(*path)
    return lambda obj: _join(
        (short for mode, short in _MODES.items() if mode in (read(obj) or ())), otherwise=""
    )


def _if_bound(read: Cell) -> Cell:
    """Return a cell of a claim that is empty until the claim is bound."""
    return lambda claim: read(claim) if at("spec", "volumeName")(claim) else ""


def _claim(volume: Object) -> str:
    claim = at("spec", "claimRef")(volume)
    return f"{claim.get('namespace')}/{claim.get('name')}" if claim else ""


def _node_status(node: Object) -> str:
    ready = next(
        (one for one in at("status", "conditions")(node) or () if one.get("type") == "Ready"), None
    )
    words = [
        "Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"
    ]
    return ",".join(
        [*words, *(["SchedulingDisabled"] if at("spec", "unschedulable")(node) else [])]
    )


def _node_roles(node: Object) -> str:
    labels = at("metadata", "labels")(node) or {}
    roles = {key.removeprefix(_ROLE_LABEL) for key in labels if key.startswith(_ROLE_LABEL)}
    return _join(
        sorted(
            roles | ({labels["kubernetes.io/role"]} if labels.get("kubernetes.io/role") else set())
        )
    )


def _node_address(kind: str) -> Cell:
    def read(node: Object) -> str:
        return next(
            (
                one["address"]
                for one in at("status", "addresses")(node) or ()
                if one.get("type") == kind
            ),
            NONE,
        )

    return read


def _kernel(node: Object) -> str:
    kernel, machine = (
        text("status", "nodeInfo", "kernelVersion")(node),
        text("status", "nodeInfo", "architecture")(node),
    )
    return UNKNOWN if not kernel else f"{kernel} ({machine})" if machine else str(kernel)


def _event_time(event: Object, *, first: bool) -> Any:
    began = event.get("firstTimestamp") or event.get("eventTime")
    if first:
        return began
    series = event.get("series")
    return series.get("lastObservedTime") if series else event.get("lastTimestamp") or began


def _event_source(event: Object) -> str:
    source = event.get("source") or {}
    return _join(
        (
            source.get("component") or event.get("reportingComponent"),
            source.get("host") or event.get("reportingInstance"),
        ),
        ", ",
        "",
    )


def _event_object(event: Object) -> str:
    about = event.get("involvedObject") or {}
    return _join((str(about.get("kind", "")).lower(), about.get("name")), "/", "")


def _class_name(found: Object) -> str:
    annotations = at("metadata", "annotations")(found) or {}
    marked = any(annotations.get(key) == "true" for key in _DEFAULT_CLASS)
    return f"{NAME.read(found)}{' (default)' if marked else ''}"


def _subjects(kind: str) -> Cell:
    def read(binding: Object) -> str:
        found = [one for one in binding.get("subjects") or () if one.get("kind") == kind]
        names = (
            f"{one.get('namespace', '')}/{one['name']}" if kind == "ServiceAccount" else one["name"]
            for one in found
        )
        return _join(names, ", ", "")

    return read


def _role(binding: Object) -> str:
    return f"{at('roleRef', 'kind')(binding)}/{at('roleRef', 'name')(binding)}"


def _of_containers(name: str) -> Cell:
    """Return a cell with a field of each container in the pod template."""
    containers = at("spec", "template", "spec", "containers")
    return lambda found: _join((one.get(name) for one in containers(found) or ()), otherwise="")


NAMESPACE = (NAME, Column("Status", text("status", "phase")), AGE)
SERVICE = (
    NAME,
    Column("Type", text("spec", "type")),
    Column("Cluster-IP", text("spec", "clusterIP", otherwise=NONE)),
    Column("External-IP", _external),
    Column("Port(s)", _ports),
    AGE,
    _wide("Selector", _labels("spec", "selector")),
)
VOLUME = (
    NAME,
    Column("Capacity", text("spec", "capacity", "storage")),
    Column("Access Modes", _modes("spec", "accessModes")),
    Column("Reclaim Policy", text("spec", "persistentVolumeReclaimPolicy")),
    Column("Status", _phase("status", "phase")),
    Column("Claim", _claim),
    Column("StorageClass", text("spec", "storageClassName")),
    Column("VolumeAttributesClass", text("spec", "volumeAttributesClassName", otherwise=UNSET)),
    Column("Reason", text("status", "reason")),
    AGE,
    _wide("VolumeMode", text("spec", "volumeMode", otherwise=UNSET)),
)
CLAIM = (
    NAME,
    Column("Status", _phase("status", "phase")),
    Column("Volume", text("spec", "volumeName")),
    Column("Capacity", _if_bound(text("status", "capacity", "storage"))),
    Column("Access Modes", _if_bound(_modes("status", "accessModes"))),
    Column("StorageClass", text("spec", "storageClassName")),
    Column("VolumeAttributesClass", text("spec", "volumeAttributesClassName", otherwise=UNSET)),
    AGE,
    _wide("VolumeMode", text("spec", "volumeMode", otherwise=UNSET)),
)
SECRET = (NAME, Column("Type", text("type")), Column("Data", _count("data")), AGE)
CONFIG_MAP = (NAME, Column("Data", _count("data", "binaryData")), AGE)
PLAIN = (NAME, AGE)
EVENT = (
    Column("Last Seen", lambda event: _event_time(event, first=False), since=True),
    Column("Type", text("type")),
    Column("Reason", text("reason")),
    Column("Object", _event_object),
    _wide("Subobject", text("involvedObject", "fieldPath")),
    _wide("Source", _event_source),
    Column("Message", lambda event: str(event.get("message") or "").strip()),
    _wide("First Seen", lambda event: _event_time(event, first=True), since=True),
    _wide("Count", lambda event: (event.get("series") or event).get("count") or 1),
    Column("Name", NAME.read, description=NAME.description, priority=1, format="name"),
)
NODE = (
    NAME,
    Column("Status", _node_status),
    Column("Roles", _node_roles),
    AGE,
    Column("Version", text("status", "nodeInfo", "kubeletVersion")),
    _wide("Internal-IP", _node_address("InternalIP")),
    _wide("External-IP", _node_address("ExternalIP")),
    _wide("OS-Image", text("status", "nodeInfo", "osImage", otherwise=UNKNOWN)),
    _wide("Kernel-Version", _kernel),
    _wide(
        "Container-Runtime",
        text("status", "nodeInfo", "containerRuntimeVersion", otherwise=UNKNOWN),
    ),
)
STATEFUL_SET = (
    NAME,
    Column(
        "Ready",
        lambda found: (
            f"{at('status', 'readyReplicas')(found) or 0}/{at('spec', 'replicas')(found) or 0}"
        ),
    ),
    AGE,
    _wide("Containers", _of_containers("name")),
    _wide("Images", _of_containers("image")),
)
STORAGE_CLASS = (
    Column("Name", _class_name, description=NAME.description, format="name"),
    Column("Provisioner", text("provisioner")),
    Column("ReclaimPolicy", text("reclaimPolicy", otherwise="Delete")),
    Column("VolumeBindingMode", text("volumeBindingMode", otherwise="Immediate")),
    Column("AllowVolumeExpansion", lambda found: bool(found.get("allowVolumeExpansion"))),
    AGE,
)
ROLE = (NAME, CREATED)
BINDING = (
    NAME,
    Column("Role", _role),
    AGE,
    _wide("Users", _subjects("User")),
    _wide("Groups", _subjects("Group")),
    _wide("ServiceAccounts", _subjects("ServiceAccount")),
)
LEASE = (NAME, Column("Holder", text("spec", "holderIdentity")), AGE)
DEFINITION = (NAME, CREATED)
