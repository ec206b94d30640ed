"""Callers that reach a namespace share one task, which a cancelled caller does not stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from failing_api import faster
from waiting import until
from watched_api import WatchedApi, known

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.endpoint import Endpoint
from jupyter_workspaces.kube.errors import ClusterError, Forbidden
from jupyter_workspaces.server.cache import Cache


class Narrow:
    """Cluster that allows lists of single namespaces only.

    It lists the namespace `slow` only after `go` is set.
    """

    def __init__(self) -> None:
        async def token() -> str:
            return "x"

        self.endpoint = Endpoint("http://127.0.0.1:1", "narrow", None, token, namespace="mine")
        self.go = asyncio.Event()
        self.lists: list[tuple[str, str | None]] = []

    async def list(self, resource: Any, namespace: str | None = None, **_: Any) -> Any:
        from jupyter_workspaces.kube.responses import Listing

        if namespace is None and resource.namespaced:
            raise Forbidden(f"{resource.plural} is forbidden")
        self.lists.append((resource.plural, namespace))
        if namespace == "slow":
            await self.go.wait()
        metadata = {"namespace": namespace, "name": "small", "uid": "1", "resourceVersion": "5"}
        return Listing([{"metadata": metadata}] if resource.plural == "workspaces" else [], "5")

    async def watch(self, *_: Any, **__: Any) -> Any:
        await asyncio.Event().wait()
        yield None

    async def get(self, resource: Any, name: str, namespace: str | None = None) -> Any:
        return {"metadata": {"name": name}}

    async def close(self) -> None:
        return


async def test_who_gives_up_does_not_make_a_namespace_look_empty() -> None:
    cluster = Narrow()
    cache = Cache(cluster)  # type: ignore[arg-type]
    await cache.start()
    try:
        with pytest.raises(asyncio.TimeoutError):
            async with timeout(0.1):
                await cache.reach("slow")
        with pytest.raises(
            asyncio.TimeoutError
        ):  # it waits as well, and does not say that there is no workspace
            async with timeout(0.1):
                await cache.reach("slow")
        cluster.go.set()
        async with timeout(5):
            await cache.reach("slow")
        assert cache.workspace("slow", "small") is not None
        assert [entry for entry in cluster.lists if entry == ("workspaces", "slow")] == [
            ("workspaces", "slow")
        ]
        assert ("pods", "slow") in cluster.lists
    finally:
        await cache.stop()


async def test_stopping_ends_what_still_reaches_for_a_namespace() -> None:
    cluster = Narrow()
    cache = Cache(cluster)  # type: ignore[arg-type]
    await cache.start()
    waiting = asyncio.ensure_future(cache.reach("slow"))
    await until(lambda: ("workspaces", "slow") in cluster.lists)
    assert not waiting.done()
    async with timeout(5):
        await cache.stop()
        await asyncio.gather(waiting, return_exceptions=True)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert [task.get_name() for task in left if task.get_name().startswith("watch of")] == []


async def test_a_second_caller_waits_for_the_first_list_of_everything() -> None:
    api = narrow_api()
    go = asyncio.Event()
    api.before_list = lambda plural, namespace: (
        go.wait() if (plural, namespace) == ("pods", "team-b") else None
    )
    async with cache_of(api) as cache:
        first, second = (
            asyncio.ensure_future(cache.reach("team-b")),
            asyncio.ensure_future(cache.reach("team-b")),
        )
        await until(lambda: api.asked["pods", "team-b"])
        assert not first.done()
        assert not second.done()
        go.set()
        await asyncio.gather(first, second)
        assert cache.pods.get("pod", "team-b") is not None
        assert api.asked["pods", "team-b"] == 1


async def test_a_namespace_of_which_something_was_not_listed_is_not_taken_for_empty(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("jupyter_workspaces.server.namespace_caches.CHILD_SECONDS", 1.0)
    api = narrow_api()
    api.failures["pods", "team-b"] = ClusterError("etcd is slow", status=500)
    async with cache_of(api) as cache:
        for _ in range(2):
            with pytest.raises(ClusterError, match="etcd is slow"):
                await cache.reach("team-b")
        del api.failures["pods", "team-b"]
        async with timeout(30):
            while cache.pods.get("pod", "team-b") is None:
                with contextlib.suppress(ClusterError):
                    await cache.reach("team-b")


async def test_a_start_does_not_take_for_empty_what_was_not_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("jupyter_workspaces.server.namespace_caches.CHILD_SECONDS", 1.0)
    api = narrow_api()
    api.failures["workspaces", "team-a"] = ClusterError("etcd is slow", status=500)
    with pytest.raises(ClusterError, match="etcd is slow"):
        async with cache_of(api):
            pass


async def test_the_namespace_that_was_not_used_for_the_longest_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("jupyter_workspaces.server.cache.MOST_NAMESPACES", 3)
    api = narrow_api()
    async with cache_of(api) as cache:
        await cache.reach("team-b")
        await cache.reach("team-c")
        await cache.reach("team-b")
        heard: list[tuple[str, str]] = []
        cache.workspaces.listen(
            lambda change, obj, previous: heard.append((change, obj["metadata"]["namespace"]))
        )
        await cache.reach("team-d")
        assert sorted(cache.workspaces.parts) == ["team-a", "team-b", "team-d"]
        assert heard == [("DELETED", "team-c"), ("ADDED", "team-d")]
        await until(lambda: "team-c" not in api.watched("pods"))
        await cache.reach("team-c")
        assert cache.workspace("team-c", "desk") is not None
        assert cache.workspace("team-b", "desk") is None


async def test_a_namespace_that_somebody_follows_is_not_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("jupyter_workspaces.server.cache.MOST_NAMESPACES", 3)
    async with cache_of(narrow_api()) as cache:
        await cache.reach("team-b")
        await cache.reach("team-c")
        with cache.hold("team-b"):
            await cache.reach("team-d")
            assert sorted(cache.workspaces.parts) == ["team-a", "team-b", "team-d"]
            with cache.hold("team-d"), pytest.raises(Forbidden, match="all are in use"):
                await cache.reach("team-e")
        await cache.reach("team-e")


async def test_what_was_seen_one_by_one_is_not_announced_again_when_all_may_be_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("jupyter_workspaces.kube.reflector.DENIED_PAUSE", 0.05)
    api = narrow_api()
    async with cache_of(api) as cache:
        await cache.reach("team-b")
        heard: list[tuple[str, str]] = []
        cache.workspaces.listen(
            lambda change, obj, previous: heard.append((change, obj["metadata"]["namespace"]))
        )
        api.objects["workspaces"] = [
            known(
                "desk", "workspaces-team-b", 9, namespace="team-b"
            ),  # changed since; that of team-a is gone
            *(
                obj
                for obj in api.objects["workspaces"]
                if obj["metadata"]["namespace"] not in ("team-a", "team-b")
            ),
        ]
        api.wide = True
        await until(lambda: not cache.workspaces.parts)
        assert sorted(heard) == [
            ("ADDED", "team-c"),
            ("ADDED", "team-d"),
            ("ADDED", "team-e"),
            ("DELETED", "team-a"),
            ("MODIFIED", "team-b"),
        ]
        await until(lambda: api.watched("workspaces") == [None])


async def test_what_was_deleted_by_us_in_one_namespace_is_gone_at_once() -> None:
    async with cache_of(narrow_api()) as cache:
        cache.workspaces.deleted(
            {"kind": "Status", "details": {"uid": "workspaces-team-a"}}, "desk", "team-a"
        )
        assert cache.workspace("team-a", "desk") is None


async def test_requests_for_all_namespaces_in_a_span_are_few_while_they_are_forbidden() -> None:
    api = narrow_api()
    async with cache_of(api) as cache:
        await until(lambda: cache.healthy and cache.stale_since is None)
        await asyncio.sleep(2 * faster().longest_pause)  # the span in which requests are counted
        assert api.asked["workspaces", None] == 1


TEAMS = ("team-a", "team-b", "team-c", "team-d", "team-e")


def narrow_api() -> WatchedApi:
    """Single namespaces may be seen, each with a workspace and a pod."""
    api = WatchedApi()
    api.wide = False
    for plural, name in (("workspaces", "desk"), ("pods", "pod")):
        api.objects[plural] = [known(name, f"{plural}-{team}", 5, namespace=team) for team in TEAMS]
    return api


@contextlib.asynccontextmanager
async def cache_of(api: WatchedApi) -> AsyncIterator[Cache]:
    cache = Cache(api, times=faster())  # type: ignore[arg-type]
    try:
        await cache.start()
        yield cache
    finally:
        await cache.stop()
