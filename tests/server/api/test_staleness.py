"""How stale the cache is: in responses, in the stream, and in the server's health."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from failing_api import faster
from flaky_api import FlakyApi, flaky_api
from requests_and_objects import Ask, Object
from test_live_changes import Listener
from waiting import until

from jupyter_workspaces.kube.endpoint import from_kubeconfig
from jupyter_workspaces.kube.reflector import Times
from jupyter_workspaces.localkube.apiserver.http.server import ApiServer
from jupyter_workspaces.server.cache import Cache

HEADER = "Jupyter-Workspaces-Stale-Since"


@pytest.fixture
def flaky(
    cluster: ApiServer, tmp_path: Path, jp_asyncio_loop: Any, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """The proxy between the server and its cluster; the caches' times are a tenth."""
    serving = flaky_api(from_kubeconfig(tmp_path / "kubeconfig"))
    api = jp_asyncio_loop.run_until_complete(serving.__aenter__())
    document = yaml.safe_load((tmp_path / "kubeconfig").read_text())
    document["clusters"][0]["cluster"], document["users"][0]["user"] = (
        {"server": api.url},
        {},
    )  # the proxy signs in itself
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(document))
    times, init = faster(), Cache.__init__

    def quick(self: Cache, cluster: Any, *, times: Times = times) -> None:
        init(self, cluster, times=times)

    monkeypatch.setattr(Cache, "__init__", quick)
    monkeypatch.setattr("jupyter_workspaces.server.http.event_feed.STALE_CHECK_SECONDS", 0.05)
    yield api
    jp_asyncio_loop.run_until_complete(serving.__aexit__(None, None, None))


@pytest.fixture
def jp_server_config(flaky: FlakyApi, jp_server_config: Object) -> Object:
    return jp_server_config


@pytest.fixture
def cache(jp_serverapp: Any) -> Any:
    """The server's cache, once it is up."""
    return lambda: jp_serverapp.web_app.settings["jupyter_workspaces"].services.cluster


def is_about(told: str, since: datetime) -> bool:
    """Whether a time is `since`, or shortly before, if another type became stale first."""
    at = datetime.strptime(told, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    return abs((at - since).total_seconds()) <= 3


async def when_stale(cache: Any) -> datetime:
    await until(lambda: cache().stale_since is not None)
    since: datetime = cache().stale_since
    return since


async def test_answers_from_a_stale_cache_say_since_when(
    raw: Any, flaky: FlakyApi, cache: Any
) -> None:
    await raw("GET", "workspaces")
    await until(lambda: cache().stale_since is None)
    for path in (
        "workspaces",
        "workspaces/default",
        "workspacekinds",
        "storageclasses",
        "namespaces",
    ):
        assert HEADER not in (await raw("GET", path)).headers
    flaky.fail("refuse")
    since = await when_stale(cache)
    for path in (
        "workspaces",
        "workspaces/default",
        "workspacekinds",
        "storageclasses",
        "namespaces",
    ):
        answer = await raw("GET", path)
        assert answer.code == 200
        assert is_about(answer.headers[HEADER], since)
    assert (datetime.now(timezone.utc) - since).total_seconds() < 30
    unchanged = await raw(
        "GET",
        "workspaces",
        headers={"If-None-Match": (await raw("GET", "workspaces")).headers["ETag"]},
    )
    assert (unchanged.code, HEADER in unchanged.headers) == (304, True)
    assert HEADER not in (await raw("GET", "workspaces/default/nobody")).headers
    flaky.fail("ok")
    await until(lambda: cache().stale_since is None)
    assert HEADER not in (await raw("GET", "workspaces")).headers


async def test_the_stream_tells_when_it_turns_stale_and_live(
    ask: Ask, jp_fetch: Any, flaky: FlakyApi, cache: Any
) -> None:
    await ask("GET", "workspaces")
    await until(lambda: cache().stale_since is None)
    listener = Listener(jp_fetch)
    assert [event[0] for event in await listener.until(1)] == ["snapshot"]
    flaky.fail("refuse")
    since = await when_stale(cache)
    event, number, data = (await listener.until(2))[1]
    assert (event, number) == ("stale", "")
    assert is_about(data.pop("since"), since)
    assert data == {"reason": "The cluster does not answer."}
    late = Listener(jp_fetch, namespace="default")
    assert [event[0] for event in await late.until(2)] == ["snapshot", "stale"]
    flaky.fail("ok")
    assert (await listener.until(3))[2] == ("stale", "", {"since": None, "reason": ""})
    assert (await late.until(3))[2] == ("stale", "", {"since": None, "reason": ""})
    await asyncio.gather(listener.stop(), late.stop())


async def test_the_health_names_what_fails_and_nothing_of_what_is_in_the_cluster(
    ask: Ask, raw: Any, flaky: FlakyApi, cache: Any
) -> None:
    await ask("GET", "workspaces")
    await until(lambda: cache().healthy and cache().stale_since is None)
    code, health = await ask("GET", "healthcheck")
    assert (code, health["status"], sorted(health)) == (200, "Healthy", ["status", "systemInfo"])
    flaky.fail("html")
    await when_stale(cache)
    await until(lambda: not cache().healthy)
    answer = await raw("GET", "healthcheck")
    health = json.loads(answer.body)
    assert (answer.code, health["status"]) == (200, "Degraded")
    assert "watch of workspaces" in health["failing"]
    assert health["staleSince"].endswith("Z")
    assert flaky.url not in answer.body.decode()
    assert HEADER not in answer.headers


async def test_a_stream_goes_on_after_a_change_that_cannot_be_told(
    ask: Ask, jp_fetch: Any, cache: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from requests_and_objects import workspace

    from jupyter_workspaces.server.api.workspaces.feed import Feed

    await ask("GET", "workspaces")
    listener = Listener(jp_fetch)
    await listener.until(1)
    encoded = Feed.encode

    def broken(self: Feed, what: str, obj: Object) -> bytes:
        if obj["metadata"]["name"] == "broken":
            raise RuntimeError("a fault of ours")
        return encoded(self, what, obj)

    monkeypatch.setattr(Feed, "encode", broken)
    await ask("POST", "workspaces/default", workspace("broken"))
    await ask("POST", "workspaces/default", workspace("whole"))
    assert (await listener.until(2))[1][2]["object"]["name"] == "whole"
    await listener.stop()
