"""PersistentVolumeClaims, and the templates of claims in StatefulSets."""

from __future__ import annotations

from jupyter_workspaces.common.quantities import parse
from jupyter_workspaces.kube.causes import (
    Cause,
    forbidden,
    invalid,
    not_supported,
    required,
)
from jupyter_workspaces.kube.labels import check_selector
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects import name_rules
from jupyter_workspaces.localkube.apiserver.objects.strategies import Strategy

from .values import (
    Causes,
    one_of,
    required_value,
    valid_name,
)

ACCESS_MODES = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]
VOLUME_MODES = ["Block", "Filesystem"]
PROTECTION = "kubernetes.io/pvc-protection"
_CORE_SOURCES = ("PersistentVolumeClaim",)


class ClaimStrategy(Strategy):
    """Rules of PersistentVolumeClaims."""

    returns_deleted = True

    def default(self, obj: Object) -> None:
        """Fill in defaults, in place."""
        default_claim(obj)

    def prepare(self, obj: Object, old: Object | None) -> None:
        """Set the fields that only the server may set, in place."""
        if old is None:
            finalizers = obj["metadata"].get("finalizers") or []
            obj["status"] = {"phase": "Pending"}
            # Storage object in use protection: the claim stays until its last pod is gone.
            obj["metadata"]["finalizers"] = [*finalizers, *({PROTECTION} - set(finalizers))]
        _merge_sources(obj["spec"])

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Return what is invalid."""
        causes = list(check_claim(obj["spec"], "spec"))
        return causes if old is None else causes + list(_check_changes(obj, old))


def default_claim(claim: Object) -> None:
    """Fill in the defaults of a claim or a template of claims."""
    claim["spec"].setdefault("volumeMode", "Filesystem")
    claim["status"].setdefault("phase", "Pending")


def _merge_sources(spec: Object) -> None:
    """Make `dataSource` and `dataSourceRef` agree.

    The older field knows only claims and snapshots.
    """
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source is not None and not _is_known(source):
        del spec["dataSource"]
    elif source is not None and reference is None:
        spec["dataSourceRef"] = dict(source)
    elif (
        reference is not None
        and source is None
        and "namespace" not in reference
        and _is_known(reference)
    ):
        spec["dataSource"] = dict(reference)


def _is_known(source: Object) -> bool:
    group = source.get("apiGroup") or ""
    return (group, source["kind"]) in (
        ("", "PersistentVolumeClaim"),
        ("snapshot.storage.k8s.io", "VolumeSnapshot"),
    )


def check_claim(spec: Object, path: str) -> Causes:
    """Check the spec of a claim or a template of claims."""
    yield from check_access_modes(spec.get("accessModes"), path)
    yield from check_selector(spec.get("selector"), f"{path}.selector")
    storage = (spec["resources"].get("requests") or {}).get("storage")
    if storage is None:
        yield required(f"{path}.resources[storage]")
    elif parse(storage) <= 0:
        yield invalid(f"{path}.resources[storage]", storage, "must be greater than zero")
    for field in ("storageClassName", "volumeAttributesClassName"):
        yield from valid_name(f"{path}.{field}", spec.get(field), name_rules.subdomain)
    yield from one_of(f"{path}.volumeMode", spec.get("volumeMode"), VOLUME_MODES)
    for field in ("dataSource", "dataSourceRef"):
        if (source := spec.get(field)) is not None:
            yield from required_value(f"{path}.{field}.name", source["name"])
            yield from required_value(f"{path}.{field}.kind", source["kind"])
            if not source.get("apiGroup") and source["kind"] not in ("", *_CORE_SOURCES):
                yield invalid(
                    f"{path}.{field}",
                    source["kind"],
                    "the only source of the core group is PersistentVolumeClaim",
                )


def check_access_modes(modes: list[str] | None, path: str) -> Causes:
    """Check the access modes of a claim or volume."""
    at = f"{path}.accessModes"
    if not modes:
        yield required(at, "at least 1 access mode is required")
    for mode in modes or ():
        if mode not in ACCESS_MODES:
            yield not_supported(at, mode, ACCESS_MODES)
    known = {mode for mode in modes or () if mode in ACCESS_MODES}
    if "ReadWriteOncePod" in known and len(known) > 1:
        yield forbidden(at, "may not use ReadWriteOncePod with other access modes")


def _check_changes(obj: Object, old: Object) -> Causes:
    spec, before = dict(obj["spec"]), dict(old["spec"])
    if not before.get("volumeName"):
        before.pop("volumeName", None), spec.pop("volumeName", None)
    if "storageClassName" not in before:  # the controller sets the default class
        spec.pop("storageClassName", None)
    bound = (old.get("status") or {}).get("phase") == "Bound"
    if bound:
        for field in ("resources", "volumeAttributesClassName"):
            before.pop(field, None), spec.pop(field, None)
    if spec != before:
        yield forbidden(
            "spec",
            "spec is immutable after creation except resources.requests and "
            "volumeAttributesClassName for bound claims",
        )
    capacity = ((old.get("status") or {}).get("capacity") or {}).get("storage", "0")
    wanted, held = (
        (one["spec"]["resources"].get("requests") or {}).get("storage", "0") for one in (obj, old)
    )
    if parse(wanted) < parse(held) and parse(wanted) <= parse(capacity):
        yield forbidden(
            "spec.resources.requests.storage", "field can not be less than status.capacity"
        )
    if obj["spec"].get("volumeMode") != old["spec"].get("volumeMode"):
        yield invalid("volumeMode", obj["spec"].get("volumeMode"), "field is immutable")
