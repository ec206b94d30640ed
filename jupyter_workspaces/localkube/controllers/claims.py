"""Volumes of PersistentVolumeClaims: each claim gets a folder on this machine.

The folder is deleted once the claim is deleted and no pod uses it any more, unless the claim's
storage class says `reclaimPolicy: Retain`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

from jupyter_workspaces.common.quantities import parse
from jupyter_workspaces.kube.catalog import (
    DEFAULT_STORAGE_CLASS,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    STORAGE_CLASSES,
)
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import AlreadyExists, NotFound
from jupyter_workspaces.kube.event_recorder import record
from jupyter_workspaces.kube.reflector import Key, key_of
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.kube.work_queue import WorkQueue

from .informers import (
    Informers,
    claims_of,
    finished,
    wait_listed,
)

COMPONENT = "volume-controller"
PROTECTION = "kubernetes.io/pvc-protection"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
BOUND = "pv.kubernetes.io/bind-completed"


class Claims:
    """The controller that provisions and binds volumes, and deletes those that were released."""

    def __init__(
        self, cluster: Cluster, informers: Informers, directory: Path, provisioner: str
    ) -> None:
        """Create the controller, with folders in `directory` for the classes of `provisioner`."""
        self._cluster = cluster
        self._provisioner = provisioner
        self._directory = directory
        self._claims = informers.of(PERSISTENT_VOLUME_CLAIMS)
        self._volumes = informers.of(PERSISTENT_VOLUMES)
        self._classes = informers.of(STORAGE_CLASSES)
        self._pods = informers.of(PODS)
        self._queue: WorkQueue[tuple[str, Key]] = WorkQueue("claims")

    async def run(self) -> None:
        """Run until cancelled."""
        unsubscribe = (
            self._claims.listen(self._claim_changed),
            self._volumes.listen(self._volume_changed),
            self._classes.listen(lambda *_: self._requeue_unbound()),
            self._pods.listen(self._pod_changed),
        )
        try:
            await wait_listed(self._claims, self._volumes, self._classes, self._pods)
            for claim in self._claims.items():
                self._queue.add(("claim", key_of(claim)))
            for volume in self._volumes.items():
                self._queue.add(("volume", key_of(volume)))
            await self._queue.run(
                lambda item: (
                    self._reconcile_claim(item[1])
                    if item[0] == "claim"
                    else self._reconcile_volume(item[1])
                )
            )
        finally:
            for stop in unsubscribe:
                stop()

    def _claim_changed(self, change: str, obj: Object, previous: Object | None) -> None:
        self._queue.add(("claim", key_of(obj)))
        if change == "DELETED" and (name := obj["spec"].get("volumeName")):
            self._queue.add(("volume", ("", name)))

    def _volume_changed(self, change: str, obj: Object, previous: Object | None) -> None:
        self._queue.add(("volume", key_of(obj)))
        if reference := obj["spec"].get("claimRef"):
            self._queue.add(("claim", (reference["namespace"], reference["name"])))
        elif change == "ADDED":
            self._requeue_unbound()

    def _pod_changed(self, change: str, obj: Object, previous: Object | None) -> None:
        for name in claims_of(obj):
            self._queue.add(("claim", (obj["metadata"]["namespace"], name)))

    def _requeue_unbound(self) -> None:
        for claim in self._claims.items():
            if not _is_bound(claim):
                self._queue.add(("claim", key_of(claim)))

    async def _reconcile_claim(self, key: Key) -> None:
        namespace, name = key
        claim = self._claims.get(name, namespace)
        if claim is None:
            return
        if claim["metadata"].get("deletionTimestamp"):
            await self._release(claim)
        elif not _is_bound(claim):
            await self._bind(claim)
        elif (
            self._volumes.get(claim["spec"]["volumeName"]) is None
            and claim["status"]["phase"] != "Lost"
        ):
            await self._check_volume(claim)
        elif claim["status"]["phase"] == "Bound":
            await self._grow(claim)

    async def _release(self, claim: Object) -> None:
        """Remove the finalizer of a deleted claim once no pod uses it.

        Pods are listed from the API server, because the cache may lag.
        """
        metadata = claim["metadata"]
        if PROTECTION not in (metadata.get("finalizers") or ()):
            return
        for pod in (await self._cluster.list(PODS, metadata["namespace"])).items:
            if metadata["name"] in claims_of(pod) and not finished(pod):
                return
        kept = [held for held in metadata["finalizers"] if held != PROTECTION]
        patch = {"metadata": {"finalizers": kept, "resourceVersion": metadata["resourceVersion"]}}
        try:
            await self._cluster.patch(
                PERSISTENT_VOLUME_CLAIMS, metadata["name"], patch, metadata["namespace"]
            )
        except NotFound:
            return

    async def _bind(self, claim: Object) -> None:
        spec = claim["spec"]
        volume = self._matching_volume(claim)
        if volume is None and spec.get("volumeName"):
            await self._record_warning(
                claim,
                "FailedBinding",
                f"Volume '{spec['volumeName']}' does not exist, or another claim has it.",
            )
            return
        if volume is None:
            volume = await self._provision(claim)
        if volume is not None:
            await self._bind_to(claim, volume)

    def _matching_volume(self, claim: Object) -> Object | None:
        """Return the volume reserved for a claim, else the smallest free one that matches."""
        spec, free = claim["spec"], []
        for volume in self._volumes.items():
            reference = volume["spec"].get("claimRef")
            if reference is not None:
                same = (reference.get("namespace"), reference.get("name")) == key_of(claim)
                if same and reference.get("uid") in (None, claim["metadata"]["uid"]):
                    return volume
            elif spec.get("volumeName") == volume["metadata"]["name"]:
                return volume
            elif (
                (volume.get("status") or {}).get("phase") == "Available"
                and not spec.get("volumeName")
                and volume["spec"].get("storageClassName", "") == self._class_name(claim)
                and set(spec["accessModes"]) <= set(volume["spec"].get("accessModes") or ())
                and parse(volume["spec"]["capacity"]["storage"])
                >= parse(spec["resources"]["requests"]["storage"])
            ):
                free.append(volume)
        return min(
            free, key=lambda volume: parse(volume["spec"]["capacity"]["storage"]), default=None
        )

    def _class_name(self, claim: Object) -> str:
        named: str | None = claim["spec"].get("storageClassName")
        if named is not None:
            return named
        marked = [
            found["metadata"]["name"]
            for found in self._classes.items()
            if (found["metadata"].get("annotations") or {}).get(DEFAULT_STORAGE_CLASS) == "true"
        ]
        return min(marked, default="")

    async def _provision(self, claim: Object) -> Object | None:
        """Create a volume for a claim, or record why it has to wait and return None."""
        class_name = self._class_name(claim)
        storage_class = self._classes.get(class_name)
        if storage_class is None:
            choices = (
                ", ".join(sorted(found["metadata"]["name"] for found in self._classes.items()))
                or "none"
            )
            problem = (
                f"Storage class '{class_name}' does not exist"
                if class_name
                else "The claim names no storage class, and no class is the default one"
            )
            await self._record_warning(
                claim,
                "ProvisioningFailed",
                f"{problem}. Create the claim again with one of these classes: {choices}.",
            )
            return None
        if storage_class["provisioner"] != self._provisioner:
            message = (
                f"Waiting for a volume to be created by the external provisioner "
                f"'{storage_class['provisioner']}'. The local cluster only creates volumes of "
                f"'{self._provisioner}'."
            )
            await self._record_warning(claim, "ExternalProvisioning", message)
            return None
        if storage_class.get("volumeBindingMode") == "WaitForFirstConsumer" and not self._is_used(
            claim
        ):
            await record(
                self._cluster,
                claim,
                "Normal",
                "WaitForFirstConsumer",
                "Waiting for the first pod that uses the claim.",
                component=COMPONENT,
            )
            return None
        name = f"pvc-{claim['metadata']['uid']}"
        folder = self._directory / name
        await asyncio.to_thread(_make_folder, folder)
        volume = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name, "annotations": {PROVISIONED_BY: self._provisioner}},
            "spec": {
                "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
                "accessModes": claim["spec"]["accessModes"],
                "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy", "Delete"),
                "storageClassName": class_name,
                "hostPath": {"path": str(folder), "type": "DirectoryOrCreate"},
                "claimRef": _reference(claim),
            },
        }
        try:
            created = await self._cluster.create(PERSISTENT_VOLUMES, volume)
        except AlreadyExists:
            return await self._cluster.get(PERSISTENT_VOLUMES, name)
        self._volumes.apply(created)
        await record(
            self._cluster,
            claim,
            "Normal",
            "ProvisioningSucceeded",
            f"Created the volume {name}.",
            component=COMPONENT,
        )
        return created

    async def _bind_to(self, claim: Object, volume: Object) -> None:
        """Bind claim and volume to each other: the volume first, so that no other claim gets it."""
        metadata, name = claim["metadata"], volume["metadata"]["name"]
        if (volume["spec"].get("claimRef") or {}).get("uid") != metadata["uid"]:
            patch: Object = {
                "metadata": {"resourceVersion": volume["metadata"]["resourceVersion"]},
                "spec": {"claimRef": _reference(claim)},
            }
            volume = await self._cluster.patch(PERSISTENT_VOLUMES, name, patch)
        if (volume.get("status") or {}).get("phase") != "Bound":
            volume = await self._cluster.patch(
                PERSISTENT_VOLUMES, name, {"status": {"phase": "Bound"}}, subresource="status"
            )
        self._volumes.apply(volume)
        if claim["spec"].get("volumeName") != name:
            # A claim without a class gets the name of the default one, as in Kubernetes.
            spec = {
                "volumeName": name,
                "storageClassName": claim["spec"].get(
                    "storageClassName", volume["spec"].get("storageClassName", "")
                ),
            }
            patch = {
                "metadata": {
                    "annotations": {BOUND: "yes"},
                    "resourceVersion": metadata["resourceVersion"],
                },
                "spec": spec,
            }
            claim = await self._cluster.patch(
                PERSISTENT_VOLUME_CLAIMS, metadata["name"], patch, metadata["namespace"]
            )
        await self._write_status(
            claim,
            "Bound",
            accessModes=volume["spec"]["accessModes"],
            capacity=volume["spec"]["capacity"],
        )

    async def _check_volume(self, claim: Object) -> None:
        """Set a bound claim to Lost if its volume is missing in the API server as well."""
        name = claim["spec"]["volumeName"]
        try:
            await self._cluster.get(PERSISTENT_VOLUMES, name)
        except NotFound:
            await self._write_status(claim, "Lost")
            await self._record_warning(
                claim, "ClaimLost", f"Volume '{name}' was deleted, and its files with it."
            )

    async def _grow(self, claim: Object) -> None:
        """Grant a larger request immediately: a folder has no size of its own."""
        requested, granted = (
            claim["spec"]["resources"]["requests"]["storage"],
            (claim["status"].get("capacity") or {}).get("storage", "0"),
        )
        if parse(requested) > parse(granted):
            capacity = {"storage": requested}
            await self._cluster.patch(
                PERSISTENT_VOLUMES, claim["spec"]["volumeName"], {"spec": {"capacity": capacity}}
            )
            await self._write_status(claim, "Bound", capacity=capacity)

    async def _write_status(self, claim: Object, phase: str, **fields: Any) -> None:
        metadata = claim["metadata"]
        body = {"status": {"phase": phase, **fields}}
        written = await self._cluster.patch(
            PERSISTENT_VOLUME_CLAIMS,
            metadata["name"],
            body,
            metadata["namespace"],
            subresource="status",
        )
        self._claims.apply(written)

    async def _reconcile_volume(self, key: Key) -> None:
        volume = self._volumes.get(key[1])
        reference = volume["spec"].get("claimRef") if volume is not None else None
        if (
            volume is None
            or reference is None
            or reference.get("uid") is None
            or volume["metadata"].get("deletionTimestamp")
        ):
            return
        try:
            # Not from the cache, because the files are deleted with the volume.
            claim = await self._cluster.get(
                PERSISTENT_VOLUME_CLAIMS, reference["name"], reference["namespace"]
            )
            if claim["metadata"]["uid"] == reference["uid"]:
                return
        except NotFound:
            pass
        if (volume.get("status") or {}).get("phase") != "Released":
            await self._cluster.patch(
                PERSISTENT_VOLUMES, key[1], {"status": {"phase": "Released"}}, subresource="status"
            )
        annotations = volume["metadata"].get("annotations") or {}
        ours = annotations.get(PROVISIONED_BY) == self._provisioner
        if not ours or volume["spec"].get("persistentVolumeReclaimPolicy") != "Delete":
            return
        folder = self._directory / key[1]
        if (volume["spec"].get("hostPath") or {}).get("path") == str(folder):
            try:
                await asyncio.to_thread(_remove_folder, folder)
            except OSError as error:
                message = f"Cannot delete all files in {folder}: {error}. This is retried."
                await record(
                    self._cluster,
                    volume,
                    "Warning",
                    "VolumeFailedDelete",
                    message,
                    component=COMPONENT,
                )
                raise
        try:
            await self._cluster.delete(PERSISTENT_VOLUMES, key[1], uid=volume["metadata"]["uid"])
        except NotFound:
            return

    def _is_used(self, claim: Object) -> bool:
        namespace, name = key_of(claim)
        return any(
            pod["metadata"]["namespace"] == namespace
            and name in claims_of(pod)
            and not finished(pod)
            for pod in self._pods.items()
        )

    async def _record_warning(self, claim: Object, reason: str, message: str) -> None:
        await record(self._cluster, claim, "Warning", reason, message, component=COMPONENT)


def _is_bound(claim: Object) -> bool:
    return bool(claim["spec"].get("volumeName")) and (claim.get("status") or {}).get("phase") in (
        "Bound",
        "Lost",
    )


def _reference(claim: Object) -> Object:
    metadata = claim["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        **{field: metadata[field] for field in ("name", "namespace", "uid")},
    }


def _make_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _remove_folder(folder: Path) -> None:
    """Delete a volume's files, including those in read-only folders. Raises `OSError`."""
    if not folder.exists():
        return
    try:
        shutil.rmtree(folder)
    except PermissionError:
        for path, _, _ in os.walk(folder):
            os.chmod(path, 0o700)
        shutil.rmtree(folder)
