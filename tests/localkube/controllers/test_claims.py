"""Claims get folders, which are deleted with them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from small_cluster import SmallCluster, small_cluster

from jupyter_workspaces.kube.catalog import (
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    STORAGE_CLASSES,
)
from jupyter_workspaces.kube.types import Object


def spec(size: str = "1Gi", **fields: Any) -> Object:
    return {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": size}},
        **fields,
    }


def pod_with(claim: str) -> Object:
    return {
        "containers": [{"name": "main", "image": "lab"}],
        "volumes": [{"name": "home", "persistentVolumeClaim": {"claimName": claim}}],
    }


async def phase(small: SmallCluster, name: str, wanted: str) -> Object | None:
    claim = await small.cluster.get(PERSISTENT_VOLUME_CLAIMS, name, "default")
    return claim if claim["status"]["phase"] == wanted else None


async def test_a_claim_of_the_default_class_gets_a_folder_only_its_owner_may_enter(
    tmp_path: Path,
) -> None:
    async with small_cluster(tmp_path) as small:
        await small.make(PERSISTENT_VOLUME_CLAIMS, "home", spec=spec())

        claim = await small.until(lambda: phase(small, "home", "Bound"))

        volume = await small.cluster.get(PERSISTENT_VOLUMES, claim["spec"]["volumeName"])
        folder = Path(volume["spec"]["hostPath"]["path"])
        assert folder.parent == tmp_path / "volumes"
        assert stat.filemode(os.stat(folder).st_mode) == "drwx------"
        assert claim["status"]["capacity"] == {"storage": "1Gi"}
        assert claim["status"]["accessModes"] == ["ReadWriteOnce"]
        assert claim["spec"]["storageClassName"] == "standard"
        assert volume["spec"]["claimRef"]["uid"] == claim["metadata"]["uid"]
        assert volume["spec"]["storageClassName"] == "standard"
        assert volume["status"]["phase"] == "Bound"


async def test_a_claim_of_no_known_class_stays_pending_and_says_which_there_are(
    tmp_path: Path,
) -> None:
    async with small_cluster(tmp_path) as small:
        await small.make(PERSISTENT_VOLUME_CLAIMS, "home", spec=spec(storageClassName="fast"))

        events = await small.until(lambda: small.events("ProvisioningFailed"))

        assert "Storage class 'fast' does not exist" in events[0]["message"]
        assert "standard" in events[0]["message"]
        assert await phase(small, "home", "Pending")


async def test_a_class_that_comes_later_serves_the_claims_that_wait_for_it(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as small:
        await small.make(PERSISTENT_VOLUME_CLAIMS, "home", spec=spec(storageClassName="fast"))
        await small.until(lambda: small.events("ProvisioningFailed"))

        await small.make(STORAGE_CLASSES, "fast", None, provisioner="jupyter-workspaces/local")

        assert await small.until(lambda: phase(small, "home", "Bound"))


async def test_a_deleted_claim_takes_its_folder_along(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as small:
        await small.make(PERSISTENT_VOLUME_CLAIMS, "home", spec=spec())
        name = (await small.until(lambda: phase(small, "home", "Bound")))["spec"]["volumeName"]
        cache = tmp_path / "volumes" / name / "cache"
        cache.mkdir()
        (cache / "module").write_text("read-only, as package caches are")
        cache.chmod(0o500)

        await small.cluster.delete(PERSISTENT_VOLUME_CLAIMS, "home", "default")

        await small.gone(PERSISTENT_VOLUME_CLAIMS, "home")
        await small.gone(PERSISTENT_VOLUMES, name, None)
        assert not (tmp_path / "volumes" / name).exists()


async def test_a_link_in_a_folder_is_removed_and_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("kept")
    async with small_cluster(tmp_path) as small:
        await small.make(PERSISTENT_VOLUME_CLAIMS, "home", spec=spec())
        name = (await small.until(lambda: phase(small, "home", "Bound")))["spec"]["volumeName"]
        os.symlink(precious, tmp_path / "volumes" / name / "link")

        await small.cluster.delete(PERSISTENT_VOLUME_CLAIMS, "home", "default")

        await small.gone(PERSISTENT_VOLUMES, name, None)
        assert (precious / "file").read_text() == "kept"


async def test_a_claim_in_use_lingers_until_its_pod_is_gone(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as small:
        await small.make(PERSISTENT_VOLUME_CLAIMS, "home", spec=spec())
        name = (await small.until(lambda: phase(small, "home", "Bound")))["spec"]["volumeName"]
        await small.make(PODS, "user", spec=pod_with("home"))
        other = await small.make(PERSISTENT_VOLUME_CLAIMS, "other", spec=spec())

        await small.cluster.delete(PERSISTENT_VOLUME_CLAIMS, "home", "default")
        await small.cluster.delete(PERSISTENT_VOLUME_CLAIMS, "other", "default")
        await small.gone(PERSISTENT_VOLUME_CLAIMS, other["metadata"]["name"])

        held = await small.cluster.get(PERSISTENT_VOLUME_CLAIMS, "home", "default")
        assert held["metadata"]["deletionTimestamp"]
        assert (tmp_path / "volumes" / name).is_dir()
        await small.cluster.delete(PODS, "user", "default")
        await small.gone(PERSISTENT_VOLUME_CLAIMS, "home")
        await small.gone(PERSISTENT_VOLUMES, name, None)


async def test_a_class_that_retains_keeps_the_files(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as small:
        await small.make(
            STORAGE_CLASSES,
            "kept",
            None,
            provisioner="jupyter-workspaces/local",
            reclaimPolicy="Retain",
        )
        await small.make(PERSISTENT_VOLUME_CLAIMS, "home", spec=spec(storageClassName="kept"))
        name = (await small.until(lambda: phase(small, "home", "Bound")))["spec"]["volumeName"]

        await small.cluster.delete(PERSISTENT_VOLUME_CLAIMS, "home", "default")
        await small.until(lambda: _volume_is(small, name, "Released"))

        assert (tmp_path / "volumes" / name).is_dir()


async def test_a_volume_that_a_person_made_is_bound_and_never_deleted(tmp_path: Path) -> None:
    data = tmp_path / "data-set"
    data.mkdir()
    volume = {
        "capacity": {"storage": "5Gi"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": str(data)},
    }
    async with small_cluster(tmp_path) as small:
        await small.make(
            PERSISTENT_VOLUMES,
            "data-set",
            None,
            spec=volume | {"persistentVolumeReclaimPolicy": "Delete"},
        )
        await small.make(PERSISTENT_VOLUME_CLAIMS, "data", spec=spec(storageClassName=""))
        claim = await small.until(lambda: phase(small, "data", "Bound"))
        assert (claim["spec"]["volumeName"], claim["status"]["capacity"]) == (
            "data-set",
            {"storage": "5Gi"},
        )

        await small.cluster.delete(PERSISTENT_VOLUME_CLAIMS, "data", "default")
        await small.until(lambda: _volume_is(small, "data-set", "Released"))

        assert data.is_dir()


async def test_a_larger_request_is_granted(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as small:
        await small.make(PERSISTENT_VOLUME_CLAIMS, "home", spec=spec("1Gi"))
        await small.until(lambda: phase(small, "home", "Bound"))

        await small.cluster.patch(
            PERSISTENT_VOLUME_CLAIMS,
            "home",
            {"spec": {"resources": {"requests": {"storage": "2Gi"}}}},
            "default",
        )

        async def has_grown() -> bool:
            claim = await small.cluster.get(PERSISTENT_VOLUME_CLAIMS, "home", "default")
            return bool(claim["status"]["capacity"]["storage"] == "2Gi")

        await small.until(has_grown)


async def _volume_is(small: SmallCluster, name: str, wanted: str) -> bool:
    return bool((await small.cluster.get(PERSISTENT_VOLUMES, name))["status"]["phase"] == wanted)
