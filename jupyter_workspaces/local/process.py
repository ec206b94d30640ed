"""The process of a local cluster: API server, controllers and node.

They are started in this order, supervised, and stopped in reverse order. Pods are processes of
their own and keep running when this process ends.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import random
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from jupyter_workspaces import controller
from jupyter_workspaces._version import __version__
from jupyter_workspaces.common.listeners import ending
from jupyter_workspaces.common.listeners.connections import Limits, configured_connections
from jupyter_workspaces.common.supervision import Supervisor, ended
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import from_embedded
from jupyter_workspaces.kube.errors import ClusterError
from jupyter_workspaces.localkube import (
    certificates,
    controllers,
    kubeconfig_file,
    node,
)
from jupyter_workspaces.localkube.apiserver.access.tokens import Keys
from jupyter_workspaces.localkube.apiserver.http.server import LIMITS, ApiServer
from jupyter_workspaces.localkube.apiserver.openapi.discovery import GIT_VERSION
from jupyter_workspaces.localkube.apiserver.store.store import StorageError, Store
from jupyter_workspaces.localkube.directory import Directory, LocalClusterError
from jupyter_workspaces.localkube.node import (
    PodAccess,
    PodLogs,
    SimulatedLogs,
    SimulatedNode,
)
from jupyter_workspaces.localkube.node.agent import NAME as PROCESSES
from jupyter_workspaces.localkube.node.simulated import NAME as SIMULATED
from jupyter_workspaces.localkube.processes import identity, listener
from jupyter_workspaces.resources.metadata_keys import LOCAL_BUILD

from . import accounts
from .admission import Admission
from .initial_objects import install, publish_api
from .parts import Parts
from .settings import PROVISIONER, node_settings

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
PORTS = range(16000, 32000)
"""Ports below those of outgoing connections, so that ours is still free at the next start."""

STOP_SECONDS = 10.0
CERTIFICATE_CHECK_SECONDS = 60.0
"""The clock can be set back while we run; clients then reject certificates from the future."""

_NODES = {"processes": PROCESSES, "simulated": SIMULATED}

Component = Callable[[], Awaitable[None]]


class AuthorityRenewed(Exception):
    """The cluster has a new certificate authority and must be run again to use it."""


async def run(
    directory: Directory,
    port: int | None = None,
    ready: Callable[[str], None] = lambda url: None,
    parts: Parts | None = None,
) -> None:
    """Run the cluster of a directory until SIGTERM or SIGINT.

    The caller holds the directory's lock.

    Args:
        directory: The cluster's directory.
        port: Port of the API server; by default the last one, or a free one.
        ready: Called with the API server's URL once the cluster is ready.
        parts: The parts to run; all by default.

    Raises:
        LocalClusterError: The cluster cannot run.
        AuthorityRenewed: The cluster must be run again.
    """
    parts = parts or Parts()
    limits = _limits()
    stopped, failure = _stop_signal(), asyncio.get_running_loop().create_future()
    certificates.ensure(directory)
    context = certificates.server_context(directory)
    identities = accounts.Identities.generate()
    keys = accounts.keys(directory)
    listening = _Listening(port, context, limits, failure)
    async with (
        _server(directory, listening, identities, keys, parts) as server,
        _clusters(directory, identities) as clusters,
    ):
        try:
            await install(clusters[accounts.CONTROLLERS])
            await publish_api(clusters[accounts.CONTROLLERS])
            for name in {PROCESSES, SIMULATED} - {_NODES.get(parts.node)}:
                await node.mark_unavailable(clusters[accounts.NODE], name)
        except ClusterError as error:
            raise LocalClusterError(
                f"Cannot set up the local cluster in {directory.path}: {error}"
            ) from error
        tasks = Supervisor(log)
        server.problem = lambda: tasks.problem
        try:
            for name, component in _components(clusters, directory, keys, parts, server, tasks):
                tasks.start(name, component)
            tasks.start("certificates", lambda: _renew(directory, context, failure))
            url = _url(server)
            record = {
                **identity(os.getpid()),
                "url": url,
                "version": __version__,
                "parts": parts.record(),
            }
            directory.write(directory.process, json.dumps(record).encode())
            log.info("Ready at %s (pid %d)", url, os.getpid())
            ready(url)
            await _until(stopped, failure)
            log.info("Stopping. Workspaces keep running.")
        finally:
            if stopped.is_set():
                # First, so that a cluster that stops is not mistaken for one that crashed.
                directory.process.unlink(missing_ok=True)
            await tasks.stop(STOP_SECONDS)


@dataclass(frozen=True)
class _Listening:
    """How the API server listens. `failure` is set when it no longer does."""

    port: int | None
    context: ssl.SSLContext
    limits: Limits
    failure: asyncio.Future[Exception]

    def fail(self, why: str) -> None:
        if not self.failure.done():
            text = (
                "The local cluster ends because its API server cannot be reached any more. "
                f"{why} Start it again."
            )
            self.failure.set_result(LocalClusterError(text))
            ending.exit_soon()


def _limits() -> Limits:
    try:
        return replace(LIMITS, connections=configured_connections())
    except ValueError as error:
        raise LocalClusterError(str(error)) from error


async def _until(stopped: asyncio.Event, failure: asyncio.Future[Exception]) -> None:
    """Wait until the process is to stop. Raises the exception in `failure` when it is set."""
    stopping = asyncio.ensure_future(stopped.wait())
    ends: set[asyncio.Future[Any]] = {stopping, failure}
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await ended([stopping])
    if failure.done() and not stopped.is_set():
        raise failure.result()


def _components(
    clusters: dict[str, Cluster],
    directory: Directory,
    keys: Keys,
    parts: Parts,
    server: ApiServer,
    tasks: Supervisor,
) -> list[tuple[str, Component]]:
    signing = controllers.Signing(keys, directory.authority.read_text(encoding="ascii"))
    found: list[tuple[str, Component]] = [
        (
            "built-in controllers",
            partial(
                controllers.run,
                clusters[accounts.CONTROLLERS],
                directory.path,
                PROVISIONER,
                signing,
                tasks,
            ),
        )
    ]
    if parts.controller:
        found.append(
            (
                "workspace controller",
                partial(controller.run, clusters[accounts.WORKSPACES], within=tasks),
            )
        )
    if parts.node == "processes":
        found.append(
            (
                "node",
                partial(
                    node.run,
                    clusters[accounts.NODE],
                    directory.path,
                    node_settings(),
                    server.measure,
                    tasks,
                ),
            )
        )
    elif parts.node == "simulated":
        found.append(
            (
                "simulated node",
                lambda: SimulatedNode(clusters[accounts.NODE], parts.ready_after).run(),
            )
        )
    return found


@asynccontextmanager
async def _clusters(
    directory: Directory, identities: accounts.Identities
) -> AsyncIterator[dict[str, Cluster]]:
    """Open a client for each of the cluster's parts, authenticated as that part."""
    endpoint = from_embedded(directory.kubeconfig)
    async with AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(Cluster(identities.endpoint(endpoint, name)))
            for name in identities.tokens
        }


async def _renew(
    directory: Directory, context: ssl.SSLContext, failure: asyncio.Future[Exception]
) -> None:
    while True:
        await asyncio.sleep(CERTIFICATE_CHECK_SECONDS)
        authority = directory.authority.read_bytes() if directory.authority.exists() else b""
        if certificates.ensure(directory):
            if directory.authority.read_bytes() != authority and not failure.done():
                failure.set_result(AuthorityRenewed())
            certificates.load(directory, context)
            log.info("Renewed the certificate of the API server")


@asynccontextmanager
async def _server(
    directory: Directory,
    listening: _Listening,
    identities: accounts.Identities,
    keys: Keys,
    parts: Parts,
) -> AsyncIterator[ApiServer]:
    """Start the API server and write the kubeconfig with its URL."""
    token = kubeconfig_file.token(directory)
    store = _store(directory)
    try:
        server = ApiServer(
            store,
            token=token,
            admission=Admission(store) if parts.controller else None,
            identities=identities.users,
            keys=keys,
            version=f"{GIT_VERSION}+{LOCAL_BUILD}.{__version__}",
        )
        if parts.node == "processes":
            server.logs, server.programs = PodLogs(directory.path), PodAccess(directory.path)
        elif parts.node == "simulated":
            server.logs = SimulatedLogs(Path(parts.pod_log) if parts.pod_log else None)
        number = listening.port or _kept_port(directory) or _free_port()
        try:
            await server.start(
                HOST, number, listening.context, limits=listening.limits, lost=listening.fail
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise _taken(number, directory) from error
            raise LocalClusterError(
                f"The local cluster cannot listen on {HOST}:{number}: {error.strerror}."
            ) from error
        try:
            if number != _kept_port(directory):
                directory.write(directory.port, str(number).encode())
            kubeconfig_file.save(directory, _url(server), token)
            yield server
        finally:
            await server.stop()
    finally:
        store.close()


def _url(server: ApiServer) -> str:
    return f"https://{server.address}"


def _store(directory: Directory) -> Store:
    try:
        # SQLite creates its other files with the mode of the database.
        os.close(os.open(directory.database, os.O_RDWR | os.O_CREAT, 0o600))
        return Store.open(directory.database)
    except StorageError as error:
        raise LocalClusterError(str(error)) from error
    except OSError as error:
        raise directory.refused(directory.database, error) from error


def _kept_port(directory: Directory) -> int | None:
    try:
        found = int(directory.port.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return found if 0 < found < 65536 else None


def _free_port() -> int:
    for number in random.sample(PORTS, 50):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, number))
                return number
            except OSError:
                continue
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _taken(port: int, directory: Directory) -> LocalClusterError:
    holder = listener(port)
    return LocalClusterError(
        f"The local cluster's port {port} is taken by {holder or 'another program'}. "
        f"Stop that program, or delete {directory.port} to let the cluster use another port "
        "(then update copies of its kubeconfig)."
    )


def _stop_signal() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stopped.set)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return stopped
