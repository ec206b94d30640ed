"""Reflectors: lists and events that arrive late, twice, broken, or from another cluster."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from failing_api import embedded, failing, faster
from waiting import until
from watched_api import Object, WatchedApi, known

from jupyter_workspaces.kube.catalog import PODS
from jupyter_workspaces.kube.errors import ClusterError, InvalidResponse, Unreachable
from jupyter_workspaces.kube.reflector import Reflector
from jupyter_workspaces.localkube.apiserver.http.server import ApiServer
from jupyter_workspaces.localkube.apiserver.store.store import Store

CANARY = "hunter2"


@asynccontextmanager
async def watching(api: WatchedApi) -> AsyncIterator[Reflector]:
    """A reflector of pods whose watch is open."""
    reflector = Reflector(api, PODS, times=faster())  # type: ignore[arg-type]
    reflector.start()
    try:
        await until(lambda: api.watched("pods") or api.broken)
        yield reflector
    finally:
        await reflector.stop()


def heard_by(reflector: Reflector) -> list[tuple[str, str]]:
    heard: list[tuple[str, str]] = []
    reflector.listen(lambda change, obj, previous: heard.append((change, obj["metadata"]["uid"])))
    return heard


async def test_a_late_deletion_of_an_old_object_does_not_drop_the_new_one_of_that_name() -> None:
    api = WatchedApi()
    api.objects["pods"] = [known("desk", "old", 5)]
    async with watching(api) as pods:
        heard = heard_by(pods)
        pods.apply(known("desk", "new", 20))
        api.put("pods", "DELETED", known("desk", "old", 19))
        api.put("pods", "ADDED", known("desk", "new", 20))
        api.put("pods", "MODIFIED", known("other", "other", 21))
        await until(lambda: pods.get("other", "team-a"))
        assert pods.get("desk", "team-a") == known("desk", "new", 20)
        assert heard == [("MODIFIED", "new"), ("ADDED", "other")]


async def test_a_late_change_of_an_old_object_does_not_replace_the_new_one_of_that_name() -> None:
    api = WatchedApi()
    async with watching(api) as pods:
        pods.apply(known("desk", "new", 20))
        api.put("pods", "MODIFIED", known("desk", "old", 18))
        api.put("pods", "ADDED", known("other", "other", 21))
        await until(lambda: pods.get("other", "team-a"))
        assert pods.get("desk", "team-a") == known("desk", "new", 20)


async def test_what_we_made_while_a_list_was_read_is_not_dropped_by_that_list() -> None:
    api, release = WatchedApi(), asyncio.Event()
    api.before_list = lambda plural, namespace: release.wait()
    reflector = Reflector(api, PODS, times=faster())  # type: ignore[arg-type]
    heard = heard_by(reflector)
    reflector.start()
    try:
        await until(lambda: api.asked["pods", None])
        reflector.apply(known("desk", "made", 30))
        release.set()
        await reflector.synced(5)
        assert reflector.get("desk", "team-a") == known("desk", "made", 30)
        assert heard == [("ADDED", "made")]
    finally:
        await reflector.stop()


async def test_the_list_of_a_cluster_that_counts_anew_replaces_what_was_known() -> None:
    api = WatchedApi()
    api.revision, api.objects["pods"] = (
        900,
        [known("desk", "before", 880), known("gone", "gone", 890)],
    )
    async with watching(api) as pods:
        await pods.stop()
        api.revision, api.objects["pods"] = 7, [known("desk", "after", 5)]
        pods.resource_version = ""
        pods.start()
        await until(lambda: pods.get("desk", "team-a") == known("desk", "after", 5))
        assert pods.get("gone", "team-a") is None


async def test_a_broken_listener_is_logged_once_and_keeps_nothing_from_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    api = WatchedApi()

    def broken(change: str, obj: Object, previous: Object | None) -> None:
        raise KeyError(CANARY)

    async with watching(api) as pods:
        pods.listen(broken)
        heard = heard_by(pods)
        for number in range(3):
            api.put("pods", "ADDED", known(f"desk-{number}", str(number), 20 + number))
        await until(lambda: len(heard) == 3)
        assert [pods.get(f"desk-{number}", "team-a") is not None for number in range(3)] == [
            True
        ] * 3
    assert caplog.text.count("A listener of pods failed") == 1
    assert CANARY not in caplog.text


async def test_a_fault_of_our_own_in_a_watch_does_not_end_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    api = WatchedApi()
    api.broken = RuntimeError(CANARY)
    async with watching(api) as pods:
        await until(lambda: pods.health[0].failures >= 3)
        assert not pods.health[0].healthy
        api.broken = None
        await until(lambda: pods.health[0].healthy)
        assert pods.health[0].total >= 3
    assert caplog.text.count("watch of pods failed") == 1
    assert CANARY not in caplog.text


async def test_what_the_cluster_says_in_an_error_is_not_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    api = WatchedApi()
    api.broken = ClusterError(f"a webhook said {CANARY}", status=500)
    async with watching(api) as pods:
        await until(lambda: pods.health[0].failures >= 1)
        assert pods.health[0].problem == "the cluster answered 500 (InternalError)"
    assert CANARY not in caplog.text


async def test_the_pause_that_a_server_asks_for_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    api, times = WatchedApi(), faster()
    busy = ClusterError("too many requests", status=429)
    busy.retry_after = 100.0
    reflector = Reflector(api, PODS, times=times)  # type: ignore[arg-type]
    assert reflector._pause(busy, times.first_pause) == times.longest_pause
    busy.retry_after = times.longest_pause / 2
    assert reflector._pause(busy, times.first_pause) == times.longest_pause / 2


async def test_a_list_that_failed_after_many_pages_is_repeated_later() -> None:
    reflector = Reflector(WatchedApi(), PODS)  # type: ignore[arg-type]
    failed = InvalidResponse("no list")
    failed.requests = 13
    pause = reflector._pause(failed, reflector.times.longest_pause)
    assert 60 / (pause + 0.1) * failed.requests <= 45


async def test_a_cluster_that_comes_back_without_changes_is_known_to_be_back(
    tmp_path: Path,
) -> None:
    async with embedded(tmp_path) as endpoint, failing(endpoint, faster()) as found:
        cache = found.cache
        found.api.fail("refuse")
        await until(
            lambda: (
                isinstance(cache.workspaces.error, Unreachable) and cache.stale_since is not None
            )
        )
        found.api.fail("ok")
        await until(
            lambda: cache.workspaces.error is None and cache.stale_since is None and cache.healthy
        )
        assert cache.stale_reason == ""


@pytest.mark.slow
async def test_an_idle_cluster_is_neither_stale_nor_ill(tmp_path: Path) -> None:
    times = faster()
    async with embedded(tmp_path) as endpoint, failing(endpoint, times) as found:
        await until(lambda: found.cache.stale_since is None)
        failures = [health.total for health in found.cache.health]
        for _ in range(60):  # twice as long as silence may last
            await asyncio.sleep(times.stale_after / 20)
            assert found.cache.stale_since is None
        assert [health.total for health in found.cache.health] == failures


async def test_a_cluster_that_freezes_is_stale_soon_though_its_watches_go_on(
    tmp_path: Path,
) -> None:
    times = replace(faster(), first_watch=60)
    async with embedded(tmp_path) as endpoint, failing(endpoint, times) as found:
        await until(lambda: found.cache.stale_since is None)
        found.api.fail("freeze")
        await until(
            lambda: found.cache.stale_since is not None,
            times.check_after + times.check_timeout + times.stale_after_error + 2,
        )
        assert found.cache.stale_reason == "The cluster does not answer."
        await found.change("made-meanwhile")
        found.api.fail("ok")
        await found.visible("made-meanwhile", 5)


@pytest.mark.slow
async def test_watches_that_a_server_ends_in_time_are_no_failures_and_grow_longer(
    tmp_path: Path,
) -> None:
    async with embedded(tmp_path) as endpoint, failing(endpoint, faster()) as found:
        pods = found.cache.pods
        await until(lambda: pods._period >= 4, seconds=8)
        assert [health.total for health in pods.health] == [0]
        assert found.api.asked["pods"] <= 4


async def test_a_watch_that_expired_long_after_its_list_lists_again_at_once() -> None:
    api = WatchedApi()
    async with watching(api) as pods:
        pods._listed_at -= pods.times.steady
        api.put("pods", "ADDED", known("desk", "desk", 12))
        await until(lambda: pods.get("desk", "team-a"))
        pods._expired()
        assert pods.resource_version == ""
        assert pods.health[0].total == 0


@asynccontextmanager
async def served(directory: Path, port: int = 0) -> AsyncIterator[int]:
    store = Store.open(directory / "cluster.db")
    server = ApiServer(store, "token")
    try:
        yield await server.start("127.0.0.1", port)
    finally:
        await server.stop()
        store.close()


async def test_a_reflector_outlives_a_restart_of_its_server(tmp_path: Path) -> None:
    from jupyter_workspaces.kube.catalog import NAMESPACES
    from jupyter_workspaces.kube.client import Cluster
    from jupyter_workspaces.kube.endpoint import Endpoint

    async def token() -> str:
        return "token"

    async with served(tmp_path) as port:
        cluster = Cluster(Endpoint(f"http://127.0.0.1:{port}", "test", None, token))
        reflector = Reflector(cluster, NAMESPACES, times=faster())
        reflector.start()
        await reflector.synced()
    try:
        await until(lambda: reflector.error is not None)
        async with served(tmp_path, port):
            await until(lambda: reflector.error is None and reflector.stale_since is None)
            manifest: dict[str, Any] = {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": "new"},
            }
            await cluster.create(NAMESPACES, manifest)
            await until(lambda: reflector.get("new"))
    finally:
        await reflector.stop()
        await cluster.close()


async def test_an_expected_failure_is_a_warning_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    api = WatchedApi()
    api.broken = InvalidResponse("it answered with what is not JSON")
    async with watching(api) as pods:
        await until(lambda: pods.health[0].failures >= 2)
    [record] = [record for record in caplog.records if "watch of pods" in record.getMessage()]
    assert (record.levelno, record.exc_info) == (logging.WARNING, None)
