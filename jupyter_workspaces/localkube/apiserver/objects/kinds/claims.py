"""Claims of volumes."""

from __future__ import annotations

from typing import Any

from jupyter_workspaces.common.quantities import parse
from jupyter_workspaces.kube.causes import (
    Cause,
    forbidden,
    invalid,
    not_supported,
    required,
)
from jupyter_workspaces.localkube.apiserver.objects import names
from jupyter_workspaces.localkube.apiserver.objects.strategies import Strategy

from .labels import check_selector
from .values import (
    Causes,
    fitting,
    given,
    one_of,
)

Object = dict[str, Any]

ACCESS_MODES = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]
VOLUME_MODES = ["Block", "Filesystem"]
PROTECTION = "kubernetes.io/pvc-protection"
_CORE_SOURCES = ("PersistentVolumeClaim",)


class ClaimStrategy(Strategy):
    returns_deleted = True

    def default(self, obj: Object) -> None:
        default_claim(obj)

    def prepare(self, obj: Object, old: Object | None) -> None:
        if old is None:
            finalizers = obj["metadata"].get("finalizers") or []
            obj["status"] = {"phase": "Pending"}
            # Kubernetes' own guard: a claim in use stays until its last pod is gone.
            obj["metadata"]["finalizers"] = [*finalizers, *({PROTECTION} - set(finalizers))]
        _settle_source(obj["spec"])

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        causes = list(check_claim(obj["spec"], "spec"))
        return causes if old is None else causes + list(_check_changes(obj, old))


def default_claim(claim: Object) -> None:
    """In a claim, and in a template of claims."""
    claim["spec"].setdefault("volumeMode", "Filesystem")
    claim["status"].setdefault("phase", "Pending")


def _settle_source(spec: Object) -> None:
    """Two fields tell where the content comes from; the older one only of claims and of snapshots."""
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
    """A claim's spec, in a claim and in a template of claims."""
    yield from check_access_modes(spec.get("accessModes"), path)
    yield from check_selector(spec.get("selector"), f"{path}.selector")
    storage = (spec["resources"].get("requests") or {}).get("storage")
    if storage is None:
        yield required(f"{path}.resources[storage]")
    elif parse(storage) <= 0:
        yield invalid(f"{path}.resources[storage]", storage, "must be greater than zero")
    for field in ("storageClassName", "volumeAttributesClassName"):
        yield from fitting(f"{path}.{field}", spec.get(field), names.subdomain)
    yield from one_of(f"{path}.volumeMode", spec.get("volumeMode"), VOLUME_MODES)
    for field in ("dataSource", "dataSourceRef"):
        if (source := spec.get(field)) is not None:
            yield from given(f"{path}.{field}.name", source["name"])
            yield from given(f"{path}.{field}.kind", source["kind"])
            if not source.get("apiGroup") and source["kind"] not in ("", *_CORE_SOURCES):
                yield invalid(
                    f"{path}.{field}", source["kind"], "of the core group only claims can be copied"
                )


def check_access_modes(modes: list[str] | None, path: str) -> Causes:
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
    if "storageClassName" not in before:  # the default class is written in when there is one
        spec.pop("storageClassName", None)
    bound = (old.get("status") or {}).get("phase") == "Bound"
    if bound:
        for field in ("resources", "volumeAttributesClassName"):
            before.pop(field, None), spec.pop(field, None)
    if spec != before:
        yield forbidden(
            "spec",
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
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
