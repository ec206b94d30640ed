"""The embedded cluster as one process: API server, controllers and node, started in order and stopped in the reverse one."""

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
from jupyter_workspaces.localkube.apiserver.store.store import StorageError, Store
from jupyter_workspaces.localkube.directory import (
    Directory,
    LocalClusterError,
    refused,
    write,
)
from jupyter_workspaces.localkube.node import (
    PodAccess,
    PodLogs,
    SimulatedLogs,
    SimulatedNode,
)
from jupyter_workspaces.localkube.node.agent import NAME as PROCESSES
from jupyter_workspaces.localkube.node.simulated import NAME as SIMULATED
from jupyter_workspaces.localkube.processes import identity, listener

from . import accounts
from .admission import Admission
from .initial_objects import install, publish_api
from .parts import Parts

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
PORTS = range(16000, 32000)
"""Below the ports that systems give to outgoing connections, so that ours is still free after a pause."""

STOP_SECONDS = 10.0
CERTIFICATE_CHECK_SECONDS = 60.0
"""Clocks are corrected while we run, too, and then no client accepts a certificate from the future."""

_NODES = {"processes": PROCESSES, "simulated": SIMULATED}

Component = Callable[[], Awaitable[None]]


class AuthorityRenewed(Exception):
    """The cluster has a new certificate authority. Run it again: everybody who talks to it must learn of that."""


async def run(
    directory: Directory,
    port: int | None = None,
    ready: Callable[[str], None] = lambda url: None,
    parts: Parts | None = None,
) -> None:
    """Run the cluster of a directory until SIGTERM or SIGINT; `ready` is called with its URL once it answers. Workspaces outlive it.

    Whoever calls holds the directory's lock. Raises `LocalClusterError` when the cluster cannot run, `AuthorityRenewed`.
    """
    parts = parts or Parts()
    limits = _limits()
    stopped, over = _stop_signal(), asyncio.get_running_loop().create_future()
    certificates.ensure(directory)
    context = certificates.server_context(directory)
    identities = accounts.Identities.generate()
    keys = accounts.keys(directory)
    listening = _Listening(port, context, limits, over)
    async with (
        _server(directory, listening, identities, keys, parts) as server,
        _clusters(directory, identities) as clusters,
    ):
        try:
            await install(clusters[accounts.CONTROLLERS])
            await publish_api(clusters[accounts.CONTROLLERS])
            for name in {PROCESSES, SIMULATED} - {_NODES.get(parts.node)}:
                await node.absent(clusters[accounts.NODE], name)
        except ClusterError as error:
            raise LocalClusterError(
                f"The local cluster could not be set up in {directory.path}: {error}"
            ) from error
        tasks = Supervisor(log)
        server.problem = lambda: tasks.problem
        try:
            for name, component in _components(clusters, directory, keys, parts, server, tasks):
                tasks.start(name, component)
            tasks.start("certificates", lambda: _renew(directory, context, over))
            url = _url(server)
            record = {
                **identity(os.getpid()),
                "url": url,
                "version": __version__,
                "parts": parts.record(),
            }
            write(directory.process, json.dumps(record).encode())
            log.info("Ready at %s (pid %d)", url, os.getpid())
            ready(url)
            await _until(stopped, over)
            log.info("Stopping; workspaces keep running")
        finally:
            if stopped.is_set():
                # First, so that nobody takes a cluster that is about to go for one that died.
                directory.process.unlink(missing_ok=True)
            await tasks.stop(STOP_SECONDS)


@dataclass(frozen=True)
class _Listening:
    """How the API server listens; `over` is set when it no longer does."""

    port: int | None
    context: ssl.SSLContext
    limits: Limits
    over: asyncio.Future[Exception]

    def fail(self, why: str) -> None:
        if not self.over.done():
            text = f"The local cluster ends, because nobody can reach its API server any more. {why} Start it again."
            self.over.set_result(LocalClusterError(text))
            ending.exit_soon()


def _limits() -> Limits:
    try:
        return replace(LIMITS, connections=configured_connections())
    except ValueError as error:
        raise LocalClusterError(str(error)) from error


async def _until(stopped: asyncio.Event, over: asyncio.Future[Exception]) -> None:
    """Return when asked to stop; raise what `over` says."""
    asked = asyncio.ensure_future(stopped.wait())
    ends: set[asyncio.Future[Any]] = {asked, over}
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await ended([asked])
    if over.done() and not stopped.is_set():
        raise over.result()


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
                controllers.run, clusters[accounts.CONTROLLERS], directory.path, signing, tasks
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
                partial(node.run, clusters[accounts.NODE], directory.path, server.measure, tasks),
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
    """A client for each of our parts, signed in as itself."""
    endpoint = from_embedded(directory.kubeconfig)
    async with AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(Cluster(identities.endpoint(endpoint, name)))
            for name in identities.tokens
        }


async def _renew(
    directory: Directory, context: ssl.SSLContext, over: asyncio.Future[Exception]
) -> None:
    while True:
        await asyncio.sleep(CERTIFICATE_CHECK_SECONDS)
        authority = directory.authority.read_bytes() if directory.authority.exists() else b""
        if certificates.ensure(directory):
            if directory.authority.read_bytes() != authority and not over.done():
                over.set_result(AuthorityRenewed())
            certificates.load(directory, context)
            log.info("The server's certificate was renewed")


@asynccontextmanager
async def _server(
    directory: Directory,
    listening: _Listening,
    identities: accounts.Identities,
    keys: Keys,
    parts: Parts,
) -> AsyncIterator[ApiServer]:
    """The API server, listening, and the kubeconfig that names it."""
    token = kubeconfig_file.token(directory)
    store = _store(directory)
    try:
        server = ApiServer(
            store,
            token=token,
            admission=Admission(store) if parts.controller else None,
            identities=identities.users,
            keys=keys,
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
                write(directory.port, str(number).encode())
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
        # SQLite gives its side files the mode of the first one.
        os.close(os.open(directory.database, os.O_RDWR | os.O_CREAT, 0o600))
        return Store.open(directory.database)
    except StorageError as error:
        raise LocalClusterError(str(error)) from error
    except OSError as error:
        raise refused(directory.database, error) from error


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
        f"Stop that, then try again; or delete {directory.port} to let the cluster take another port "
        "(kubeconfigs copied elsewhere then need the new one)."
    )


def _stop_signal() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stopped.set)

    for wanted in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wanted, stop)
    return stopped
