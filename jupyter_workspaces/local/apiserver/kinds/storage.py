"""Claims, volumes and their classes."""

from __future__ import annotations

from typing import Any

from ....resources.causes import Cause, forbidden, invalid, not_supported, required
from ....resources.quantities import QuantityError, parse
from ..strategies import Strategy

Object = dict[str, Any]


ACCESS_MODES = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]


class ClaimStrategy(Strategy):
    returns_deleted = True

    def default(self, obj: Object) -> None:
        obj["spec"].setdefault("volumeMode", "Filesystem")

    def prepare(self, obj: Object, old: Object | None) -> None:
        if old is None:
            finalizers = obj["metadata"].get("finalizers") or []
            obj["status"] = {"phase": "Pending"}
            # Kubernetes' own guard: a claim in use stays until its last pod is gone.
            obj["metadata"]["finalizers"] = [*finalizers, *({"kubernetes.io/pvc-protection"} - set(finalizers))]

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        spec = obj["spec"]
        causes = []
        if old is not None:
            before, after = dict(old["spec"]), dict(spec)
            before.pop("resources", None), after.pop("resources", None)
            if not before.get("volumeName"):
                before.pop("volumeName", None), after.pop("volumeName", None)
            if "storageClassName" not in before:  # the default class is written in when the claim is bound (Kubernetes 1.28)
                after.pop("storageClassName", None)
            if before != after:
                causes.append(forbidden("spec", "spec is immutable after creation except resources.requests"))
        modes = spec.get("accessModes") or []
        if not modes:
            causes.append(required("spec.accessModes", "at least 1 access mode is required"))
        causes += [not_supported("spec.accessModes", mode, ACCESS_MODES) for mode in modes if mode not in ACCESS_MODES]
        if "ReadWriteOncePod" in modes and len(modes) > 1:
            causes.append(forbidden("spec.accessModes", "may not use ReadWriteOncePod with other access modes"))
        storage = (spec["resources"].get("requests") or {}).get("storage")
        if storage is None:
            causes.append(required("spec.resources[storage]"))
        else:
            try:
                if parse(str(storage)) <= 0:
                    causes.append(invalid("spec.resources[storage]", storage, "must be greater than zero"))
            except QuantityError as error:
                causes.append(invalid("spec.resources.requests.storage", storage, str(error)))
        return causes


class VolumeStrategy(Strategy):
    returns_deleted = True

    def default(self, obj: Object) -> None:
        spec = obj["spec"]
        spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
        spec.setdefault("volumeMode", "Filesystem")

    def prepare(self, obj: Object, old: Object | None) -> None:
        if old is None:
            obj["status"] = {"phase": "Available"}


class StorageClassStrategy(Strategy):
    def default(self, obj: Object) -> None:
        obj.setdefault("reclaimPolicy", "Delete")
        obj.setdefault("volumeBindingMode", "Immediate")

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        return [] if obj.get("provisioner") else [required("provisioner")]
