"""Namespaces get service accounts, and are emptied when they are deleted."""

from __future__ import annotations

from pathlib import Path

from small_cluster import small_cluster

from jupyter_workspaces.kube.catalog import (
    CONFIG_MAPS,
    NAMESPACES,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    SERVICE_ACCOUNTS,
    STATEFUL_SETS,
)
from jupyter_workspaces.kube.event_recorder import record


async def test_each_namespace_has_its_account_and_gets_it_back(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as small:
        await small.make(NAMESPACES, "team", None)
        await small.until(lambda: small.cluster.get(SERVICE_ACCOUNTS, "default", "team"))
        await small.until(lambda: small.cluster.get(SERVICE_ACCOUNTS, "default", "default"))

        await small.cluster.delete(SERVICE_ACCOUNTS, "default", "team")

        await small.until(lambda: small.cluster.get(SERVICE_ACCOUNTS, "default", "team"))


async def test_a_deleted_namespace_goes_with_all_that_was_in_it(tmp_path: Path) -> None:
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": "lab"}]},
    }
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    async with small_cluster(tmp_path) as small:
        await small.make(NAMESPACES, "team", None)
        held = await small.make(CONFIG_MAPS, "settings", "team")
        await record(small.cluster, held, "Normal", "Made", "For a test.")
        await small.make(PERSISTENT_VOLUME_CLAIMS, "home", "team", spec=claim)
        await small.make(
            STATEFUL_SETS,
            "web",
            "team",
            spec={"selector": {"matchLabels": {"app": "web"}}, "template": template},
        )
        await small.until(lambda: small.cluster.get(PODS, "web-0", "team"))

        await small.cluster.delete(NAMESPACES, "team")

        await small.gone(NAMESPACES, "team", None)
        assert (await small.cluster.list(PODS, "team")).items == []
        assert (await small.cluster.list(PERSISTENT_VOLUME_CLAIMS, "team")).items == []
        assert (await small.cluster.list(CONFIG_MAPS, "team")).items == []


async def test_a_namespace_that_cannot_be_emptied_says_what_is_left(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as small:
        await small.make(NAMESPACES, "team", None)
        await small.make(CONFIG_MAPS, "held", "team", metadata={"finalizers": ["example.org/hold"]})

        await small.cluster.delete(NAMESPACES, "team")

        async def says_so() -> bool:
            status = (await small.cluster.get(NAMESPACES, "team"))["status"]
            return any("configmaps" in found["message"] for found in status.get("conditions") or ())

        await small.until(says_so)
        await small.cluster.patch(CONFIG_MAPS, "held", {"metadata": {"finalizers": []}}, "team")
        await small.gone(NAMESPACES, "team", None)
