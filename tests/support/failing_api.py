"""A cache behind an API that fails: number of its requests, and time until it recovers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from filled_store import installed_store
from flaky_api import FlakyApi, flaky_api
from waiting import until

from jupyter_workspaces.kube import client, transport
from jupyter_workspaces.kube.catalog import NAMESPACES
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import Endpoint
from jupyter_workspaces.kube.reflector import Times
from jupyter_workspaces.localkube.apiserver.http.server import ApiServer
from jupyter_workspaces.server.cache import Cache

TOKEN = "a-token-for-tests"
HANGING = ("hang", "freeze", "body", "silent")
"""Modes in which open requests get no answer, even after the API is healthy again."""
MOST_A_MINUTE, VISIBLE_SECONDS, VISIBLE_AFTER_HANG_SECONDS = 40, 10.0, 30.0
SCALE = 10
"""So much faster do the quick tests run."""


def faster() -> Times:
    """The same clock, ten times as fast; whole seconds stay, for a server takes no others."""
    short = {
        name: value / SCALE
        for name, value in vars(Times()).items()
        if name not in ("first_watch", "longest_watch", "settled")
    }
    return Times(**short, first_watch=1, longest_watch=8, settled=0.05)


def shorten_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "FIRST_BYTE_SECONDS", transport.FIRST_BYTE_SECONDS / SCALE)
    monkeypatch.setattr(client, "WATCH_MARGIN_SECONDS", client.WATCH_MARGIN_SECONDS / SCALE)


@pytest.fixture
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_limits(monkeypatch)


@dataclass
class Failing:
    """`direct` reaches the API past the proxy."""

    api: FlakyApi
    cache: Cache
    direct: Cluster

    async def change(self, name: str) -> None:
        """Make a namespace behind the cache's back."""
        await self.direct.create(
            NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        )

    async def visible(self, name: str, limit: float) -> float:
        """Seconds until the cache shows a namespace, at most `limit`."""
        began = time.monotonic()
        await until(
            lambda: self.cache.namespaces.get(name) is not None,
            f"namespace {name} in the cache",
            limit,
        )
        return time.monotonic() - began


async def _token() -> str:
    return TOKEN


@asynccontextmanager
async def embedded(directory: Path) -> AsyncIterator[Endpoint]:
    """An embedded API server with our definitions."""
    store = await installed_store(directory, admission=False)
    server = ApiServer(store, TOKEN)
    endpoint = Endpoint(
        f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}", "direct", None, _token
    )
    try:
        yield endpoint
    finally:
        await server.stop()
        store.close()


@asynccontextmanager
async def failing(
    endpoint: Endpoint, times: Times | None = None, slow_seconds: float = 5.0
) -> AsyncIterator[Failing]:
    """A cache of all types, behind a proxy that works until it is told to fail."""
    async with flaky_api(endpoint, slow_seconds) as api, Cluster(endpoint) as direct:
        cache = Cache(Cluster(Endpoint(api.url, "test", None, _token)), times=times)
        try:
            await cache.start()
            yield Failing(api, cache, direct)
        finally:
            await cache.stop()


@dataclass(frozen=True)
class Measured:
    """What one failure cost.

    `requests` is the highest number for one resource type in `seconds` of failure. `visible` is the
    time in seconds from the end of the failure until the cache shows the change.
    """

    mode: str
    requests: int
    seconds: float
    visible: float
    stale: bool


async def measure(
    endpoint: Endpoint,
    mode: str,
    seconds: float,
    times: Times | None = None,
    slow_seconds: float = 5.0,
) -> Measured:
    """Let the API fail for `seconds`, change an object, and wait until the cache shows it."""
    async with failing(endpoint, times, slow_seconds) as found:
        await until(lambda: found.cache.healthy and found.cache.stale_since is None)
        await asyncio.sleep(
            1.0
        )  # so long the first watches are open, as they mostly are when a server fails
        found.api.reset()
        found.api.fail(mode)
        await asyncio.sleep(seconds / 2)
        await found.change(f"made-while-{mode}")
        await asyncio.sleep(seconds / 2)
        asked, stale = found.api.reset(), found.cache.stale_since is not None
        asked.pop("version", None)
        found.api.fail("ok")
        visible = await found.visible(f"made-while-{mode}", VISIBLE_AFTER_HANG_SECONDS * 2)
        await until(
            lambda: found.cache.healthy and found.cache.stale_since is None,
            f"a cache that recovers from {mode}",
            VISIBLE_AFTER_HANG_SECONDS,
        )
        return Measured(mode, max(asked.values(), default=0), seconds, visible, stale)
