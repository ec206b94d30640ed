"""Leader election: one of several instances works, and never two at the same time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from waiting import until

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.controller.leader_election import Leadership, StillWorking, Times
from jupyter_workspaces.kube.catalog import (
    CONFIG_MAPS,
    LEASES,
    NAMESPACES,
    Resource,
)
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import Endpoint
from jupyter_workspaces.kube.errors import Fenced, Unreachable
from jupyter_workspaces.localkube.apiserver.http.server import ApiServer
from jupyter_workspaces.localkube.apiserver.store.store import Store

TIMES = Times(lease=1.5, deadline=1.0, renew=0.3, stop=0.5)
LIMIT_SECONDS = 10.0
TOKEN = "a-token-for-tests"


class Cuttable(Cluster):
    """Client whose requests fail while `cut` is true."""

    cut = False

    async def get(
        self, resource: Resource, name: str, namespace: str | None = None
    ) -> dict[str, Any]:
        if self.cut:
            raise Unreachable("the network is cut")
        return await super().get(resource, name, namespace)


class Instance:
    """Instance whose work is to record when it runs."""

    def __init__(self, name: str, endpoint: Endpoint) -> None:
        self.cluster = Cuttable(endpoint)
        self.leadership = Leadership(self.cluster, "default", "test", name, TIMES)
        self.spans: list[list[float]] = []
        self.task: asyncio.Task[None] | None = None
        self.working = asyncio.Event()

    def start(self, work: Callable[[], Awaitable[None]] | None = None) -> Instance:
        self.task = asyncio.create_task(self.leadership.lead(work or self._work))
        return self

    async def _work(self) -> None:
        self.spans.append([time.monotonic(), 0.0])
        self.working.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.working.clear()
            self.spans[-1][1] = time.monotonic()

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        await self.cluster.close()


Start = Callable[..., Instance]


@asynccontextmanager
async def instances(directory: Path) -> AsyncIterator[Start]:
    async def token() -> str:
        return TOKEN

    store = Store.open(directory / "cluster.db")
    server = ApiServer(store, TOKEN)
    endpoint = Endpoint(
        f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}", "test", None, token
    )
    async with Cluster(endpoint) as cluster:
        await cluster.create(NAMESPACES, {"metadata": {"name": "default"}})
    made: list[Instance] = []

    def make(name: str) -> Instance:
        made.append(Instance(name, endpoint))
        return made[-1]

    try:
        yield make
    finally:
        for instance in made:
            await instance.stop()
        await server.stop()
        store.close()


async def works(instance: Instance) -> None:
    async with timeout(LIMIT_SECONDS):
        await instance.working.wait()


async def test_an_instance_that_stops_releases_the_lease(tmp_path: Path) -> None:
    async with instances(tmp_path) as make:
        first = make("first").start()
        await works(first)
        second = make("second").start()
        await asyncio.sleep(2 * TIMES.renew)
        assert not second.working.is_set()
        began = time.monotonic()
        await first.stop()
        await works(second)
        assert time.monotonic() - began < TIMES.lease


async def test_a_leader_that_cannot_renew_stops_before_another_starts(tmp_path: Path) -> None:
    async with instances(tmp_path) as make:
        first, second = make("first").start(), make("second")
        await works(first)
        second.start()
        first.cluster.cut = True
        await works(second)
        assert first.spans[0][1], "the first still works"
        assert first.spans[0][1] < second.spans[0][0]


async def test_an_instance_that_lost_the_lease_can_acquire_it_again(tmp_path: Path) -> None:
    async with instances(tmp_path) as make:
        first = make("first").start()
        await works(first)
        held = await first.cluster.get(LEASES, "test", "default")
        held["spec"] |= {
            "holderIdentity": "somebody",
            "leaseDurationSeconds": 1,
            "leaseTransitions": 7,
        }
        await make("writer").cluster.replace(LEASES, held)
        await until(lambda: len(first.spans) == 2)
        assert first.spans[0][1]
        assert first.spans[1][0] - first.spans[0][1] >= 0.9
        assert (await first.cluster.get(LEASES, "test", "default"))["spec"]["leaseTransitions"] == 8


async def test_a_lease_renewed_with_a_slow_clock_is_not_taken_over(tmp_path: Path) -> None:
    async with instances(tmp_path) as make:
        writer, second = make("writer").cluster, make("second")
        spec = {
            "holderIdentity": "slow",
            "leaseDurationSeconds": 1,
            "renewTime": "2001-01-01T00:00:00.000000Z",
        }
        await writer.create(LEASES, {"metadata": {"name": "test"}, "spec": spec}, "default")
        second.start()
        for number in range(8):
            await asyncio.sleep(0.25)
            renewed = {"spec": {"renewTime": f"2001-01-01T00:00:00.{number + 1:06}Z"}}
            await writer.patch(LEASES, "test", renewed, "default")
            assert not second.working.is_set()
        await works(second)


async def test_failing_work_ends_the_instance_and_releases_the_lease(tmp_path: Path) -> None:
    async def work() -> None:
        raise OSError("a disk is full")

    async with instances(tmp_path) as make:
        first = make("first").start(work)
        assert first.task is not None
        with pytest.raises(OSError, match="a disk is full"):
            async with timeout(LIMIT_SECONDS):
                await asyncio.shield(first.task)
        assert (await first.cluster.get(LEASES, "test", "default"))["spec"]["holderIdentity"] == ""


async def test_work_that_does_not_stop_is_an_error(tmp_path: Path) -> None:
    async def work() -> None:
        deaf = asyncio.ensure_future(asyncio.sleep(3 * TIMES.stop))
        while not deaf.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(deaf)

    async with instances(tmp_path) as make:
        first = make("first").start(work)
        assert first.task is not None
        await until(lambda: first.leadership.leading)
        held = await first.cluster.get(LEASES, "test", "default")
        await first.cluster.replace(
            LEASES, held | {"spec": held["spec"] | {"holderIdentity": "somebody"}}
        )
        with pytest.raises(StillWorking):
            async with timeout(LIMIT_SECONDS):
                await asyncio.shield(first.task)
        await asyncio.sleep(2 * TIMES.stop)


async def test_without_the_lease_writes_are_refused(tmp_path: Path) -> None:
    async with instances(tmp_path) as make:
        first = make("first")
        body = {"metadata": {"name": "written"}}
        async with Cluster(
            first.cluster.endpoint, may_write=lambda: first.leadership.leading
        ) as cluster:
            with pytest.raises(Fenced):
                await cluster.create(CONFIG_MAPS, body, "default")
            first.start()
            await works(first)
            await cluster.create(CONFIG_MAPS, body, "default")
            await first.stop()
            with pytest.raises(Fenced):
                await cluster.delete(CONFIG_MAPS, "written", "default")
            assert (await cluster.get(CONFIG_MAPS, "written", "default"))["metadata"][
                "name"
            ] == "written"
