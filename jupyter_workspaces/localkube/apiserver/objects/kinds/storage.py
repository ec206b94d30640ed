"""PersistentVolumes and StorageClasses."""

from __future__ import annotations

import posixpath

from jupyter_workspaces.common.quantities import parse
from jupyter_workspaces.kube.causes import (
    Cause,
    forbidden,
    invalid,
    not_supported,
    required,
)
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects import name_rules, structures
from jupyter_workspaces.localkube.apiserver.objects.strategies import Strategy

from .claims import VOLUME_MODES, check_access_modes
from .pod_specs.node_selectors import check_node_terms
from .pod_specs.volume_rules import check_host_path, check_nfs, sources_of
from .values import (
    Causes,
    no_parent_reference,
    one_of,
    required_name,
    required_value,
    valid_name,
)

_SOURCES = frozenset(structures.fields("io.k8s.api.core.v1.PersistentVolumeSource"))


class VolumeStrategy(Strategy):
    """Rules of PersistentVolumes."""

    returns_deleted = True

    def default(self, obj: Object) -> None:
        """Fill in defaults, in place."""
        spec = obj["spec"]
        spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
        spec.setdefault("volumeMode", "Filesystem")
        if (host := spec.get("hostPath")) is not None:
            host.setdefault("type", "")

    def prepare(self, obj: Object, old: Object | None) -> None:
        """Set the fields that only the server may set, in place."""
        if old is None:
            obj["status"] = {"phase": "Available"}

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Return what is invalid."""
        spec = obj["spec"]
        causes = list(check_access_modes(spec.get("accessModes"), "spec"))
        causes += _check_capacity(spec.get("capacity") or {})
        causes += one_of(
            "spec.persistentVolumeReclaimPolicy",
            spec["persistentVolumeReclaimPolicy"],
            ["Delete", "Recycle", "Retain"],
        )
        causes += one_of("spec.volumeMode", spec["volumeMode"], VOLUME_MODES)
        causes += valid_name(
            "spec.storageClassName", spec.get("storageClassName"), name_rules.subdomain
        )
        causes += _check_affinity(spec.get("nodeAffinity"))
        causes += _check_source(spec)
        if old is not None:
            if _source(spec) != _source(old["spec"]):
                causes.append(
                    forbidden(
                        "spec.persistentvolumesource",
                        "spec.persistentvolumesource is immutable after creation",
                    )
                )
            if spec["volumeMode"] != old["spec"].get("volumeMode", "Filesystem"):
                causes.append(invalid("volumeMode", spec["volumeMode"], "field is immutable"))
        return causes


def _check_capacity(capacity: Object) -> Causes:
    if not capacity:
        yield required("spec.capacity")
    if capacity.keys() != {"storage"}:
        yield not_supported("spec.capacity", capacity, ["storage"])
    for name, amount in capacity.items():
        if parse(amount) <= 0:
            yield invalid(f"spec.capacity[{name}]", amount, "must be greater than zero")


def _check_affinity(affinity: Object | None) -> Causes:
    if affinity is None:
        return
    if (wanted := affinity.get("required")) is None:
        yield required("spec.nodeAffinity.required", "must specify required node constraints")
    else:
        yield from check_node_terms(
            wanted.get("nodeSelectorTerms"), "spec.nodeAffinity.required.nodeSelectorTerms"
        )


def _source(spec: Object) -> Object:
    return {field: spec[field] for field in _SOURCES if field in spec}


def _check_source(spec: Object) -> Causes:
    kind, *more = sources_of(_source(spec), ()) or [""]
    for other in more:
        yield forbidden(f"spec.{other}", "may not specify more than 1 volume type")
    source = spec.get(kind) or {}
    match kind:
        case "":
            yield required("spec", "must specify a volume type")
        case "hostPath":
            yield from check_host_path(source, "spec.hostPath")
            if (
                posixpath.normpath(source["path"]) == "/"
                and spec["persistentVolumeReclaimPolicy"] == "Recycle"
            ):
                yield forbidden(
                    "spec.persistentVolumeReclaimPolicy", "may not be Recycle for the host's root"
                )
        case "local":
            yield from required_value("spec.local.path", source["path"])
            yield from no_parent_reference("spec.local.path", source["path"])
            if "nodeAffinity" not in spec:
                yield required("spec.nodeAffinity", "is required for a local volume")
        case "nfs":
            yield from check_nfs(source, "spec.nfs")
        case "csi":
            yield from required_name("spec.csi.driver", source["driver"], name_rules.driver)
            yield from required_value("spec.csi.volumeHandle", source["volumeHandle"])


class StorageClassStrategy(Strategy):
    """Rules of StorageClasses."""

    def default(self, obj: Object) -> None:
        """Fill in defaults, in place."""
        obj.setdefault("reclaimPolicy", "Delete")
        obj.setdefault("volumeBindingMode", "Immediate")

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Return what is invalid."""
        causes = list(
            required_name(
                "provisioner", obj["provisioner"], lambda name: name_rules.qualified(name.lower())
            )
        )
        causes += one_of("reclaimPolicy", obj["reclaimPolicy"], ["Delete", "Retain"])
        causes += one_of(
            "volumeBindingMode", obj["volumeBindingMode"], ["Immediate", "WaitForFirstConsumer"]
        )
        if "" in (obj.get("parameters") or {}):
            causes.append(invalid("parameters", "", "must be of keys that are not empty"))
        for field in (
            ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode")
            if old is not None
            else ()
        ):
            if old is not None and (obj.get(field) or None) != (old.get(field) or None):
                causes.append(invalid(field, obj.get(field), "field is immutable"))
        return causes
