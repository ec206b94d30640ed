"""The initial objects of a local cluster; changes of users are kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_cluster import small_cluster

from jupyter_workspaces.kube.catalog import (
    CONFIG_MAPS,
    CUSTOM_RESOURCE_DEFINITIONS,
    NAMESPACES,
    STORAGE_CLASSES,
)
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.local import initial_objects as installer
from jupyter_workspaces.resources import bundled
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS


def newer(manifests: list[Object]) -> list[Object]:
    """The samples as a later version of the package might bring them."""
    for manifest in manifests:
        if manifest["kind"] == "WorkspaceKind":
            manifest["spec"]["spawner"]["description"] = "from a newer version"
    return manifests


async def test_a_new_cluster_holds_kinds_namespaces_and_a_default_storage_class(
    tmp_path: Path,
) -> None:
    async with small_cluster(tmp_path, with_node=False) as small:
        namespaces = {
            found["metadata"]["name"] for found in (await small.cluster.list(NAMESPACES)).items
        }
        kinds = {
            found["metadata"]["name"] for found in (await small.cluster.list(WORKSPACE_KINDS)).items
        }
        standard = (await small.cluster.get(STORAGE_CLASSES, "standard"))["metadata"]

        assert {"default", "kube-system", "jupyter-workspaces"} <= namespaces
        assert {"jupyterlab", "codeserver", "rstudio"} <= kinds
        assert standard["labels"]["notebooks.kubeflow.org/can-use"] == "true"
        assert standard["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true"


async def test_a_second_installation_writes_nothing(tmp_path: Path) -> None:
    async with small_cluster(tmp_path, with_node=False) as small:
        before = (await small.cluster.get(WORKSPACE_KINDS, "jupyterlab"))["metadata"][
            "resourceVersion"
        ]
        record = (await small.cluster.get(CONFIG_MAPS, *installer.RECORD))["metadata"][
            "resourceVersion"
        ]

        await installer.install(small.cluster)

        assert (await small.cluster.get(WORKSPACE_KINDS, "jupyterlab"))["metadata"][
            "resourceVersion"
        ] == before
        assert (await small.cluster.get(CONFIG_MAPS, *installer.RECORD))["metadata"][
            "resourceVersion"
        ] == record


async def test_a_newer_sample_replaces_one_that_nobody_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with small_cluster(tmp_path, with_node=False) as small:
        monkeypatch.setattr(
            installer.bundled, "samples", lambda samples=bundled.samples: newer(samples())
        )

        await installer.install(small.cluster)

        kind = await small.cluster.get(WORKSPACE_KINDS, "jupyterlab")
        assert kind["spec"]["spawner"]["description"] == "from a newer version"


async def test_a_sample_that_was_changed_here_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with small_cluster(tmp_path, with_node=False) as small:
        await small.cluster.patch(
            WORKSPACE_KINDS, "jupyterlab", {"spec": {"spawner": {"description": "ours"}}}
        )
        monkeypatch.setattr(
            installer.bundled, "samples", lambda samples=bundled.samples: newer(samples())
        )

        await installer.install(small.cluster)

        kind = await small.cluster.get(WORKSPACE_KINDS, "jupyterlab")
        assert kind["spec"]["spawner"]["description"] == "ours"


async def test_a_sample_that_was_deleted_stays_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with small_cluster(tmp_path, with_node=False) as small:
        await small.cluster.delete(WORKSPACE_KINDS, "rstudio")
        await small.cluster.delete(STORAGE_CLASSES, "standard")
        monkeypatch.setattr(
            installer.bundled, "samples", lambda samples=bundled.samples: newer(samples())
        )

        await installer.install(small.cluster)

        kinds = {
            found["metadata"]["name"] for found in (await small.cluster.list(WORKSPACE_KINDS)).items
        }
        assert "rstudio" not in kinds
        assert (await small.cluster.list(STORAGE_CLASSES)).items == []


async def test_our_definitions_come_back(tmp_path: Path) -> None:
    async with small_cluster(tmp_path, with_node=False) as small:
        name = bundled.crds()[0]["metadata"]["name"]
        await small.cluster.delete(CUSTOM_RESOURCE_DEFINITIONS, name)
        await small.gone(CUSTOM_RESOURCE_DEFINITIONS, name, None)

        await installer.install(small.cluster)

        assert await small.cluster.get(CUSTOM_RESOURCE_DEFINITIONS, name)
