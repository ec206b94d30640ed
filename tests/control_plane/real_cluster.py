"""Fixtures for the real control plane, and options for the clusters that tests run on.

`--cluster embedded`, `--cluster real` or `--cluster embedded,real` select the clusters of tests
with the fixture `cluster_kind`. `JW_TEST_KUBECONFIG` names another cluster to use, if it has
nothing that the tests would delete.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import control_plane_binaries
import pytest
from claim_volumes import ClaimVolumes
from control_plane import ControlPlane
from plain_requests import request
from shared_cluster import foreign

from jupyter_workspaces.kube import endpoint
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import Endpoint

KUBECONFIG = "JW_TEST_KUBECONFIG"
KINDS = ("embedded", "real")
STOP_SECONDS = 10.0


class RealCluster:
    """The real cluster. `own` is the control plane that we started, or None."""

    def __init__(self, kubeconfig: Path, own: ControlPlane | None = None) -> None:
        self.kubeconfig, self.own = kubeconfig, own
        self._endpoint = endpoint.from_kubeconfig(kubeconfig)
        self._headers = dict(asyncio.run(self._endpoint.headers()))

    def endpoint(self) -> Endpoint:
        return self._endpoint

    def ask(
        self, method: str, path: str, body: Any = None, *, media: str = "application/json"
    ) -> tuple[int, Any]:
        """Send a request as the user of the kubeconfig (`plain_requests`)."""
        return request(
            self._endpoint.url,
            self._endpoint.ssl_context,
            method,
            path,
            body,
            media=media,
            headers=self._headers,
        )

    def require_own(self) -> ControlPlane:
        """Skip the test unless the cluster is ours, with its nodes, logs and users."""
        if self.own is None:
            pytest.skip(f"needs a control plane of our own, and {KUBECONFIG} names another")
        return self.own


@contextmanager
def started(folder: Path) -> Iterator[RealCluster]:
    """Yield the named cluster, or a new control plane where every claim gets a volume."""
    if named := os.environ.get(KUBECONFIG):
        given = RealCluster(Path(named).expanduser())
        if held := asyncio.run(_foreign(given)):
            pytest.exit(
                f"{KUBECONFIG} names a cluster that is in use; the tests would delete: "
                f"{', '.join(held[:10])}",
                2,
            )
        yield given
        return
    plane = ControlPlane(folder)
    plane.start()
    try:
        with _claim_volumes(plane):
            yield RealCluster(plane.kubeconfig, plane)
    finally:
        plane.stop()


async def _foreign(given: RealCluster) -> list[str]:
    async with Cluster(given.endpoint()) as cluster:
        return await foreign(cluster)


@contextmanager
def _claim_volumes(plane: ControlPlane) -> Iterator[None]:
    """Provide volumes in a thread with its own event loop, because tests have their own."""
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def provide() -> None:
        async with Cluster(endpoint.from_kubeconfig(plane.kubeconfig)) as cluster:
            running = asyncio.create_task(ClaimVolumes(cluster, plane.folder / "volumes").run())
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in (running, stopping):
                task.cancel()
            ended = (await asyncio.gather(running, stopping, return_exceptions=True))[0]
            if not isinstance(ended, asyncio.CancelledError):
                raise AssertionError("claims get no volumes any more") from ended

    thread = threading.Thread(
        target=loop.run_until_complete, args=(provide(),), name="claim volumes", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        if thread.is_alive():
            loop.call_soon_threadsafe(stop.set)
        thread.join(STOP_SECONDS)
        loop.close()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cluster",
        default="embedded",
        help="what tests of both clusters run on: embedded, real, or embedded,real",
    )
    parser.addoption(
        "--real-cluster",
        action="store_true",
        help="build the real control plane's programs where they are missing",
    )


def chosen(config: pytest.Config) -> list[str]:
    """Return the kinds of clusters of this session."""
    found = [kind.strip() for kind in config.getoption("--cluster").split(",")]
    if unknown := set(found) - set(KINDS):
        raise pytest.UsageError(
            f"--cluster: {', '.join(sorted(unknown))} is not one of {', '.join(KINDS)}"
        )
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cluster_kind" in metafunc.fixturenames:
        metafunc.parametrize("cluster_kind", chosen(metafunc.config), scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests that need another cluster, or that would only be repeated."""
    kinds = chosen(config)
    dropped = [item for item in items if ("real" if _needs_real(item) else "embedded") not in kinds]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in dropped]
    may_start = os.environ.get(KUBECONFIG) or config.getoption("--real-cluster")
    if (
        not may_start
        and any(_needs_real(item) for item in items)
        and (absent := control_plane_binaries.missing()) is not None
    ):
        raise pytest.UsageError(f"The real control plane is {absent}.")


def _needs_real(item: pytest.Item) -> bool:
    kind = item.callspec.params.get("cluster_kind") if hasattr(item, "callspec") else None
    return kind == "real" or (kind is None and "real_cluster" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def real_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    """One real cluster for the session; each test deletes what it created."""
    with started(tmp_path_factory.mktemp("real-cluster")) as cluster:
        yield cluster
