"""Events are counted, recorded in the right namespace and deleted after an hour."""

from __future__ import annotations

import asyncio
from pathlib import Path

from small_cluster import small_cluster

from jupyter_workspaces.kube.catalog import CONFIG_MAPS, EVENTS, NAMESPACES
from jupyter_workspaces.kube.event_recorder import record
from jupyter_workspaces.localkube.controllers import expiry


async def test_the_same_thing_said_again_is_counted(tmp_path: Path) -> None:
    async with small_cluster(tmp_path, with_node=False) as small:
        about = await small.make(CONFIG_MAPS, "settings")

        for _ in range(3):
            await record(small.cluster, about, "Warning", "Odd", "It looks odd.")
        await record(small.cluster, about, "Warning", "Odd", "It looks odder.")

        told = {event["message"]: event for event in await small.events("Odd")}
        assert {message: event["count"] for message, event in told.items()} == {
            "It looks odd.": 3,
            "It looks odder.": 1,
        }
        assert told["It looks odd."]["involvedObject"]["uid"] == about["metadata"]["uid"]


async def test_what_happens_to_an_object_of_the_cluster_is_told_in_the_default_namespace(
    tmp_path: Path,
) -> None:
    async with small_cluster(tmp_path, with_node=False) as small:
        await record(
            small.cluster,
            await small.cluster.get(NAMESPACES, "default"),
            "Normal",
            "Seen",
            "It is there.",
        )

        assert await small.events("Seen")


async def test_an_event_that_cannot_be_written_does_not_hold_up_what_it_tells_of(
    tmp_path: Path,
) -> None:
    async with small_cluster(tmp_path, with_node=False) as small:
        about = await small.make(CONFIG_MAPS, "settings")
        elsewhere = about | {"metadata": about["metadata"] | {"namespace": "nowhere"}}

        await record(small.cluster, elsewhere, "Normal", "Lost", "Nobody hears this.")


async def test_events_of_more_than_an_hour_ago_are_forgotten(tmp_path: Path) -> None:
    async with small_cluster(tmp_path, with_node=False) as small:
        about = await small.make(CONFIG_MAPS, "settings")
        await record(small.cluster, about, "Normal", "Recent", "Just now.")
        await record(small.cluster, about, "Normal", "Old", "Long ago.")
        name = (await small.events("Old"))[0]["metadata"]["name"]
        await small.cluster.patch(
            EVENTS, name, {"lastTimestamp": "2020-01-01T00:00:00Z"}, "default"
        )

        task = asyncio.create_task(expiry.expire_events(small.cluster))
        try:
            await small.gone(EVENTS, name)
        finally:
            task.cancel()

        assert await small.events("Recent")
