"""A namespace is reached once for all who wait, and who gives up does not spoil it for the next."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jupyter_workspaces.cluster.cache import Cache
from jupyter_workspaces.cluster.endpoint import Endpoint
from jupyter_workspaces.cluster.errors import Forbidden
from jupyter_workspaces.timeouts import timeout


class Narrow:
    """A cluster of which only single namespaces may be seen, and which answers for `slow` only after `go`."""

    def __init__(self) -> None:
        async def token() -> str:
            return "x"

        self.endpoint = Endpoint("http://127.0.0.1:1", "narrow", None, token, namespace="mine")
        self.go = asyncio.Event()
        self.lists: list[tuple[str, str | None]] = []

    async def list(self, resource: Any, namespace: str | None = None, **_: Any) -> Any:
        from jupyter_workspaces.cluster.client import Listing

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
        with pytest.raises(asyncio.TimeoutError):  # it waits as well, and does not say that there is no workspace
            async with timeout(0.1):
                await cache.reach("slow")
        cluster.go.set()
        async with timeout(5):
            await cache.reach("slow")
        assert cache.workspace("slow", "small") is not None
        assert [entry for entry in cluster.lists if entry == ("workspaces", "slow")] == [("workspaces", "slow")]
        assert ("pods", "slow") in cluster.lists
    finally:
        await cache.stop()


async def test_stopping_ends_what_still_reaches_for_a_namespace() -> None:
    cluster = Narrow()
    cache = Cache(cluster)  # type: ignore[arg-type]
    await cache.start()
    waiting = asyncio.ensure_future(cache.reach("slow"))
    await asyncio.sleep(0)
    async with timeout(5):
        await cache.stop()
        await asyncio.gather(waiting, return_exceptions=True)
