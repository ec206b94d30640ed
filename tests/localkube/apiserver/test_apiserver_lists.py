"""Lists and watches: selectors, pages, revisions, events."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import aiohttp
import pytest
from api_objects import WIDGETS, pod, widget

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube import catalog, errors
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.reflector import Reflector
from jupyter_workspaces.localkube.apiserver.store import store

PATH = WIDGETS.path("default")


async def labelled(cluster: Cluster, count: int, namespace: str = "default") -> None:
    for number in range(count):
        body = widget(f"w{number}")
        body["metadata"]["labels"] = {
            "number": str(number),
            "team": "red" if number % 2 else "blue",
        }
        await cluster.create(WIDGETS, body, namespace)


@pytest.mark.parametrize(
    ("selector", "numbers"),
    [
        ("team=red", "13"),
        ("team==red", "13"),
        ("team!=red", "024"),
        ("number in (0, 3)", "03"),
        ("number notin (0,3)", "124"),
        ("team", "01234"),
        ("!team", ""),
        ("other!=x", "01234"),
        ("team=red,number=1", "1"),
        ("team in (red),number notin (1)", "3"),
        ("number>2", "34"),
        ("number < 1,team", "0"),
        ("team>0", ""),
    ],
)
async def test_labels_select(api: Any, selector: str, numbers: str) -> None:
    async with api.cluster() as cluster:
        await labelled(cluster, 5)

        found = await cluster.list(WIDGETS, "default", label_selector=selector)
        assert "".join(item["metadata"]["labels"]["number"] for item in found.items) == numbers


async def test_fields_select(api: Any) -> None:
    async with api.cluster() as cluster:
        await cluster.create(catalog.PODS, pod("a", nodeName="local"), "default")
        await cluster.create(catalog.PODS, pod("b"), "default")
        event = {
            "metadata": {"name": "e"},
            "involvedObject": {"kind": "Pod", "name": "a"},
            "reason": "Started",
            "type": "Normal",
        }
        await cluster.create(catalog.EVENTS, event, "default")

        async def names(resource: catalog.Resource, selector: str) -> list[str]:
            return [
                item["metadata"]["name"]
                for item in (await cluster.list(resource, field_selector=selector)).items
            ]

        assert await names(catalog.PODS, "spec.nodeName=local") == ["a"]
        assert await names(catalog.PODS, "spec.nodeName=") == ["b"]
        assert await names(catalog.PODS, "metadata.name!=a,status.phase=Pending") == ["b"]
        assert await names(
            catalog.EVENTS,
            "involvedObject.kind=Pod,involvedObject.name=a,reason=Started,type=Normal",
        ) == ["e"]
        assert await names(catalog.EVENTS, "involvedObject.name=b") == []
        with pytest.raises(errors.BadRequest):
            await names(catalog.PODS, "spec.colour=red")


async def test_pages_show_the_list_as_it_was(api: Any) -> None:
    async with api.cluster() as cluster:
        await labelled(cluster, 5)
        first = await cluster.raw("GET", PATH, query={"limit": "2"})
        assert first["metadata"]["remainingItemCount"] == 3

        await cluster.delete(WIDGETS, "w3", "default")
        await cluster.create(WIDGETS, widget("w2a"), "default")
        names = [item["metadata"]["name"] for item in first["items"]]
        page = first
        while token := page["metadata"].get("continue"):
            page = await cluster.raw("GET", PATH, query={"limit": "2", "continue": token})
            assert page["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
            names += [item["metadata"]["name"] for item in page["items"]]

        assert names == ["w0", "w1", "w2", "w3", "w4"]


async def test_a_page_of_an_expired_list_is_gone(api: Any) -> None:
    async with api.cluster() as cluster:
        await labelled(cluster, 3)
        token = base64.urlsafe_b64encode(json.dumps(["unknown", 2]).encode()).decode()

        with pytest.raises(errors.Expired):
            await cluster.raw("GET", PATH, query={"limit": "2", "continue": token})
        with pytest.raises(errors.BadRequest):
            await cluster.raw("GET", PATH, query={"limit": "2", "continue": "nonsense!"})


async def test_a_list_shows_the_state_at_a_revision(
    api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with api.cluster() as cluster:
        await labelled(cluster, 2)
        then = (await cluster.list(WIDGETS)).resource_version
        await cluster.delete(WIDGETS, "w0", "default")
        await cluster.patch(WIDGETS, "w1", {"metadata": {"labels": {"team": "blue"}}}, "default")
        await cluster.create(WIDGETS, widget("w2"), "default")

        for query in ({"resourceVersionMatch": "Exact"}, {"limit": "10"}):
            found = await cluster.raw("GET", PATH, query={"resourceVersion": then, **query})
            assert [item["metadata"]["labels"]["team"] for item in found["items"]] == [
                "blue",
                "red",
            ]
            assert found["metadata"]["resourceVersion"] == then
        newer = await cluster.raw(
            "GET", PATH, query={"resourceVersion": then, "resourceVersionMatch": "NotOlderThan"}
        )
        assert [item["metadata"]["name"] for item in newer["items"]] == ["w1", "w2"]

        monkeypatch.setattr(store, "LOG_EVENTS", 1)
        await labelled(cluster, 2, "other")
        with pytest.raises(errors.Expired):
            await cluster.raw(
                "GET", PATH, query={"resourceVersion": then, "resourceVersionMatch": "Exact"}
            )


@pytest.mark.parametrize(
    ("query", "code", "fields"),
    [
        ({"resourceVersion": "x"}, 400, set()),
        ({"resourceVersion": "999999"}, 504, {""}),
        ({"resourceVersion": "1", "continue": "x"}, 400, set()),
        ({"resourceVersionMatch": "Exact"}, 422, {"resourceVersionMatch"}),
        ({"resourceVersionMatch": "Exact", "resourceVersion": "0"}, 422, {"resourceVersionMatch"}),
        ({"resourceVersionMatch": "Newest", "resourceVersion": "1"}, 422, {"resourceVersionMatch"}),
        ({"sendInitialEvents": "true"}, 422, {"sendInitialEvents"}),
        ({"watch": "true", "sendInitialEvents": "true"}, 422, {"resourceVersionMatch"}),
        (
            {"watch": "true", "resourceVersion": "1", "resourceVersionMatch": "Exact"},
            422,
            {"resourceVersionMatch"},
        ),
    ],
)
async def test_options_that_exclude_each_other_are_rejected(
    api: Any, query: dict[str, str], code: int, fields: set[str]
) -> None:
    async with api.cluster() as cluster:
        with pytest.raises(errors.ClusterError) as refused:
            await cluster.raw("GET", PATH, query=query)
        assert (refused.value.status, {cause.field for cause in refused.value.causes}) == (
            code,
            fields,
        )


async def test_a_limit_below_one_means_no_limit(api: Any) -> None:
    async with api.cluster() as cluster:
        await labelled(cluster, 3)
        for limit in ("0", "-1"):
            assert len((await cluster.raw("GET", PATH, query={"limit": limit}))["items"]) == 3


async def test_a_long_list_is_complete(api: Any) -> None:
    async with api.cluster() as cluster:
        for start in range(0, 600, 50):
            await asyncio.gather(
                *(
                    cluster.create(WIDGETS, widget(f"w{number:04}"), "default")
                    for number in range(start, start + 50)
                )
            )

        whole = await cluster.raw("GET", PATH)
        assert [item["metadata"]["name"] for item in whole["items"]] == [
            f"w{number:04}" for number in range(600)
        ]
        assert len((await cluster.list(WIDGETS)).items) == 600


async def events(
    cluster: Cluster, query: dict[str, str], accept: str = "application/json"
) -> list[dict[str, Any]]:
    """Return all events of a watch of at most one second."""
    async with cluster.stream(PATH, query={"watch": "1", "timeoutSeconds": "1"} | query) as content:
        return [json.loads(line) async for line in content]


async def test_a_watch_resumes_from_a_revision(api: Any) -> None:
    async with api.cluster() as cluster:
        await cluster.create(WIDGETS, widget("old"), "default")
        since = (await cluster.list(WIDGETS)).resource_version
        await cluster.create(WIDGETS, widget("a"), "default")
        await cluster.patch(WIDGETS, "a", {"spec": {"size": 4}}, "default")
        await cluster.delete(WIDGETS, "a", "default")
        await cluster.create(WIDGETS, widget("b"), "other")

        received = await events(cluster, {"resourceVersion": since})
        assert [(event["type"], event["object"]["metadata"]["name"]) for event in received] == [
            ("ADDED", "a"),
            ("MODIFIED", "a"),
            ("DELETED", "a"),
        ]
        versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in received]
        assert versions == sorted(set(versions))


async def test_a_watch_without_a_revision_sends_existing_objects_by_revision(
    api: Any,
) -> None:
    async with api.cluster() as cluster:
        for name in ("c", "a", "b"):
            await cluster.create(WIDGETS, widget(name), "default")
        await cluster.patch(WIDGETS, "c", {"spec": {"size": 9}}, "default")

        received = await events(cluster, {})
        assert [(event["type"], event["object"]["metadata"]["name"]) for event in received] == [
            ("ADDED", "a"),
            ("ADDED", "b"),
            ("ADDED", "c"),
        ]


async def test_a_watch_with_initial_events_marks_their_end(api: Any) -> None:
    async with api.cluster() as cluster:
        await cluster.create(WIDGETS, widget("a"), "default")

        query = {
            "sendInitialEvents": "true",
            "allowWatchBookmarks": "true",
            "resourceVersionMatch": "NotOlderThan",
        }
        received = await events(cluster, query)
        assert [event["type"] for event in received[:2]] == ["ADDED", "BOOKMARK"]
        assert received[1]["object"]["metadata"]["annotations"] == {
            "k8s.io/initial-events-end": "true"
        }
        assert received[1]["object"]["kind"] == "Widget"


async def test_an_object_that_starts_or_ceases_to_match_is_added_or_deleted(api: Any) -> None:
    async with api.cluster() as cluster:
        await cluster.create(WIDGETS, widget("a"), "default")
        since = (await cluster.list(WIDGETS)).resource_version
        for team in ("red", "red", "blue", "green"):
            await cluster.patch(
                WIDGETS,
                "a",
                {"metadata": {"labels": {"team": team}, "annotations": {"at": str(id(team))}}},
                "default",
            )

        received = await events(cluster, {"resourceVersion": since, "labelSelector": "team=red"})
        assert [event["type"] for event in received] == ["ADDED", "DELETED"]
        assert [event["object"]["metadata"]["labels"]["team"] for event in received] == [
            "red",
            "red",
        ], "the last state that was selected"
        assert int(received[1]["object"]["metadata"]["resourceVersion"]) > int(
            received[0]["object"]["metadata"]["resourceVersion"]
        )


async def test_a_watch_from_an_old_revision_gets_410(
    api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "LOG_EVENTS", 3)
    async with api.cluster() as cluster:
        since = (await cluster.list(WIDGETS)).resource_version
        await labelled(cluster, 5)

        (received,) = await events(cluster, {"resourceVersion": since})
        assert received["type"] == "ERROR"
        assert (received["object"]["code"], received["object"]["reason"]) == (410, "Expired")


async def test_after_a_restart_old_watches_get_410_and_no_object_is_lost(api: Any) -> None:
    async with api.cluster() as cluster:
        since = (await cluster.list(WIDGETS)).resource_version
        last = await cluster.create(WIDGETS, widget("a"), "default")

    api.stop()
    api.start()
    async with api.cluster() as cluster:
        (received,) = await events(cluster, {"resourceVersion": since})
        assert received["object"]["code"] == 410
        assert await cluster.get(WIDGETS, "a", "default") == last
        later = await cluster.create(WIDGETS, widget("b"), "default")
        assert int(later["metadata"]["resourceVersion"]) > int(last["metadata"]["resourceVersion"])


async def test_a_watch_responds_before_the_first_event(api: Any) -> None:
    async with api.session() as session:
        started = asyncio.get_running_loop().time()
        async with session.get(PATH, params={"watch": "true", "timeoutSeconds": "30"}) as response:
            assert response.status == 200
            assert asyncio.get_running_loop().time() - started < 5


async def test_a_stopping_server_ends_its_watches(api: Any) -> None:
    async with api.session() as session, session.get(PATH, params={"watch": "true"}) as response:
        await asyncio.to_thread(api.call, api.server.stop())
        try:
            async with timeout(10):
                assert await response.content.read() == b""
        except aiohttp.ClientPayloadError:
            pass


async def test_a_reflector_follows(api: Any) -> None:
    async with api.cluster() as cluster:
        await cluster.create(WIDGETS, widget("a"), "default")
        reflector = Reflector(cluster, WIDGETS)
        reflector.start()
        try:
            await reflector.synced(5)
            assert [item["metadata"]["name"] for item in reflector.items()] == ["a"]
            followed = asyncio.Event()
            reflector.listen(
                lambda *_: (
                    followed.set()
                    if [item["metadata"]["name"] for item in reflector.items()] == ["b"]
                    else None
                )
            )

            await cluster.create(WIDGETS, widget("b"), "other")
            await cluster.delete(WIDGETS, "a", "default")

            async with timeout(5):
                await followed.wait()
        finally:
            await reflector.stop()


async def test_tables_have_the_columns_of_the_definition(api: Any) -> None:
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
    async with api.cluster() as cluster, api.session(**accept) as session:
        body = widget("a")
        body["metadata"]["labels"] = {"example.org/team": "red"}
        await cluster.create(WIDGETS, body, "default")
        await cluster.patch(
            WIDGETS,
            "a",
            {
                "status": {
                    "conditions": [
                        {"type": "Other", "status": "False"},
                        {"type": "Ready", "status": "True"},
                    ]
                }
            },
            "default",
            subresource="status",
        )

        async with session.get(PATH) as response:
            table = await response.json()
        assert table["kind"] == "Table"
        assert [column["name"] for column in table["columnDefinitions"]] == [
            "Name",
            "Size",
            "Ready",
            "Team",
            "Age",
        ]
        (row,) = table["rows"]
        assert row["cells"][:4] == ["a", 3, "True", "red"]
        assert row["cells"][4].endswith("s")
        assert row["object"]["kind"] == "PartialObjectMetadata"

        async with session.get(PATH, params={"watch": "1", "timeoutSeconds": "1"}) as response:
            (event,) = [json.loads(line) async for line in response.content]
        assert event["object"]["kind"] == "Table"
        assert event["object"]["rows"][0]["cells"][0] == "a"
