"""Objects without owners are deleted: background, foreground and orphan deletion."""

from __future__ import annotations

from pathlib import Path

from small_cluster import SmallCluster, small_cluster

from jupyter_workspaces.kube.catalog import (
    CONFIG_MAPS,
    CUSTOM_RESOURCE_DEFINITIONS,
    SECRETS,
    Resource,
)
from jupyter_workspaces.kube.errors import NotFound
from jupyter_workspaces.kube.types import Object

WIDGETS = Resource("example.org", "v1", "widgets", "Widget")
DEFINITION: Object = {
    "group": "example.org",
    "scope": "Namespaced",
    "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
    "versions": [
        {
            "name": "v1",
            "served": True,
            "storage": True,
            "schema": {"openAPIV3Schema": {"type": "object"}},
        }
    ],
}


def owned_by(resource: Resource, *owners: Object, block: bool = True) -> Object:
    return {
        "ownerReferences": [
            {
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"],
                "blockOwnerDeletion": block,
            }
            for owner in owners
        ]
    }


async def owners_of(small: SmallCluster, resource: Resource, name: str) -> list[str]:
    found = await small.cluster.get(resource, name, "default")
    return [owner["name"] for owner in found["metadata"].get("ownerReferences") or ()]


async def test_what_an_object_owned_goes_with_it_also_at_second_hand(tmp_path: Path) -> None:
    async with small_cluster(tmp_path, with_node=False) as small:
        top = await small.make(CONFIG_MAPS, "top")
        middle = await small.make(SECRETS, "middle", metadata=owned_by(CONFIG_MAPS, top))
        await small.make(CONFIG_MAPS, "bottom", metadata=owned_by(SECRETS, middle))

        await small.cluster.delete(CONFIG_MAPS, "top", "default", propagation="Background")

        await small.gone(SECRETS, "middle")
        await small.gone(CONFIG_MAPS, "bottom")


async def test_what_another_owner_holds_stays_and_forgets_the_one_that_went(tmp_path: Path) -> None:
    async with small_cluster(tmp_path, with_node=False) as small:
        first, second = (
            await small.make(CONFIG_MAPS, "first"),
            await small.make(CONFIG_MAPS, "second"),
        )
        await small.make(SECRETS, "shared", metadata=owned_by(CONFIG_MAPS, first, second))

        await small.cluster.delete(CONFIG_MAPS, "first", "default")

        async def only_the_second() -> bool:
            return await owners_of(small, SECRETS, "shared") == ["second"]

        await small.until(only_the_second)


async def test_what_is_made_for_an_owner_that_was_never_there_goes(tmp_path: Path) -> None:
    async with small_cluster(tmp_path, with_node=False) as small:
        ghost = {"metadata": {"name": "ghost", "uid": "00000000-0000-0000-0000-000000000000"}}
        try:
            await small.make(SECRETS, "stray", metadata=owned_by(CONFIG_MAPS, ghost))
        finally:
            await small.gone(SECRETS, "stray")


async def test_an_owner_of_the_same_name_but_another_uid_does_not_count(tmp_path: Path) -> None:
    async with small_cluster(tmp_path, with_node=False) as small:
        await small.make(CONFIG_MAPS, "owner")
        impostor = {"metadata": {"name": "owner", "uid": "00000000-0000-0000-0000-000000000001"}}
        await small.make(SECRETS, "stray", metadata=owned_by(CONFIG_MAPS, impostor))

        await small.gone(SECRETS, "stray")

        assert await small.cluster.get(CONFIG_MAPS, "owner", "default")


async def test_orphaned_children_stay_without_an_owner(tmp_path: Path) -> None:
    async with small_cluster(tmp_path, with_node=False) as small:
        owner = await small.make(CONFIG_MAPS, "owner")
        await small.make(SECRETS, "child", metadata=owned_by(CONFIG_MAPS, owner))
        await small.until(lambda: owners_of(small, SECRETS, "child"))

        await small.cluster.delete(CONFIG_MAPS, "owner", "default", propagation="Orphan")

        await small.gone(CONFIG_MAPS, "owner")
        assert await owners_of(small, SECRETS, "child") == []


async def test_deleted_in_the_foreground_the_owner_goes_last(tmp_path: Path) -> None:
    async with small_cluster(tmp_path, with_node=False) as small:
        owner = await small.make(CONFIG_MAPS, "owner")
        await small.make(
            SECRETS,
            "child",
            metadata=owned_by(CONFIG_MAPS, owner) | {"finalizers": ["example.org/hold"]},
        )

        await small.cluster.delete(CONFIG_MAPS, "owner", "default", propagation="Foreground")

        async def child_is_ending() -> bool:
            return bool(
                (await small.cluster.get(SECRETS, "child", "default"))["metadata"].get(
                    "deletionTimestamp"
                )
            )

        await small.until(child_is_ending)
        assert (await small.cluster.get(CONFIG_MAPS, "owner", "default"))["metadata"][
            "finalizers"
        ] == ["foregroundDeletion"]
        await small.cluster.patch(SECRETS, "child", {"metadata": {"finalizers": []}}, "default")
        await small.gone(SECRETS, "child")
        await small.gone(CONFIG_MAPS, "owner")


async def test_kinds_that_a_new_definition_brings_are_watched_too(tmp_path: Path) -> None:
    async with small_cluster(tmp_path, with_node=False) as small:
        await small.make(CUSTOM_RESOURCE_DEFINITIONS, "widgets.example.org", None, spec=DEFINITION)
        owner = await small.make(WIDGETS, "owner")
        await small.make(CONFIG_MAPS, "child", metadata=owned_by(WIDGETS, owner))

        await small.cluster.delete(WIDGETS, "owner", "default")

        await small.gone(CONFIG_MAPS, "child")


async def test_children_of_a_kind_that_is_not_served_are_left_alone(tmp_path: Path) -> None:
    async with small_cluster(tmp_path, with_node=False) as small:
        unknown = {"metadata": {"name": "who", "uid": "00000000-0000-0000-0000-000000000002"}}
        await small.make(
            CONFIG_MAPS,
            "child",
            metadata=owned_by(Resource("unknown.org", "v1", "things", "Thing"), unknown),
        )
        marker = await small.make(CONFIG_MAPS, "marker")
        await small.make(SECRETS, "other", metadata=owned_by(CONFIG_MAPS, marker))
        await small.cluster.delete(CONFIG_MAPS, "marker", "default")
        await small.gone(SECRETS, "other")

        try:
            kept = await small.cluster.get(CONFIG_MAPS, "child", "default")
        except NotFound:
            kept = {}

        assert kept
