"""Provides hostPath volumes for claims, as a storage driver does, on a cluster that has none."""

from __future__ import annotations

import asyncio
from pathlib import Path

from jupyter_workspaces.kube.catalog import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import AlreadyExists, NotFound
from jupyter_workspaces.kube.reflector import Reflector
from jupyter_workspaces.kube.types import Object

NAME = "test-volume-"


class ClaimVolumes:
    """While it runs, binds every claim to a hostPath volume of its class, size and modes.

    It acts for any provisioner. A volume is deleted with its claim; other volumes are not touched.
    """

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster, self._folder = cluster, folder
        self._claims, self._volumes = (
            Reflector(cluster, PERSISTENT_VOLUME_CLAIMS),
            Reflector(cluster, PERSISTENT_VOLUMES),
        )
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Provide volumes until cancelled."""
        for reflector in (self._claims, self._volumes):
            reflector.listen(lambda *_: self._changed.set())
            reflector.start()
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                for claim in self._claims.items():
                    if not claim["spec"].get("volumeName") and not claim["metadata"].get(
                        "deletionTimestamp"
                    ):
                        await self._provide(claim)
                for volume in self._volumes.items():
                    if volume["metadata"]["name"].startswith(NAME) and volume.get("status", {}).get(
                        "phase"
                    ) in ("Released", "Failed"):
                        await self._remove(volume)
        finally:
            for reflector in (self._claims, self._volumes):
                await reflector.stop()

    async def _provide(self, claim: Object) -> None:
        metadata, spec = claim["metadata"], claim["spec"]
        reference = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        }
        volume = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"{NAME}{metadata['uid']}"},
            "spec": {
                "accessModes": spec["accessModes"],
                "capacity": {"storage": spec["resources"]["requests"]["storage"]},
                "claimRef": reference,
                "hostPath": {"path": str(self._folder / metadata["uid"])},
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": spec.get("storageClassName") or "",
            },
        }
        try:
            await self._cluster.create(PERSISTENT_VOLUMES, volume)
        except AlreadyExists:
            return  # made already; the claim will say so

    async def _remove(self, volume: Object) -> None:
        try:
            await self._cluster.delete(PERSISTENT_VOLUMES, volume["metadata"]["name"])
        except NotFound:
            return
