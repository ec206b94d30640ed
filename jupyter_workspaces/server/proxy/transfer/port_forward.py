"""Connections into workspaces that cannot be dialled from here: each one is carried by the API server.

aiohttp speaks to one end of a pair of sockets; a relay carries the other end's bytes. So HTTP, WebSockets, reuse and back-pressure are
what they are for workspaces that can be dialled.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import aiohttp

from jupyter_workspaces.common.supervision import Supervisor
from jupyter_workspaces.kube.errors import (
    BadRequest,
    ClusterError,
    Forbidden,
    NotFound,
    Unreachable,
)
from jupyter_workspaces.kube.port_forward import (
    PIECE_BYTES,
    ForwardFailed,
    PortForward,
    forward,
)
from jupyter_workspaces.server.proxy.target import Forwarded, Target, Unavailable

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler

    from jupyter_workspaces.kube.client import Cluster

SETTLE_SECONDS = 0.5
"""So long a node may take to say that nobody listens at a port."""

RELAYS_END_SECONDS = 5.0


class NoWay(aiohttp.ClientConnectionError):
    """The API server did not open the way; `why` is for a person."""

    def __init__(self, why: Unavailable) -> None:
        super().__init__(why.message)
        self.why = why


class NobodyListens(aiohttp.ClientConnectionError):
    """The way is open, and the program does not take connections at its end."""


class PodConnector(aiohttp.BaseConnector):
    """For addresses of `Forwarded.host`. Reuse and numbers of connections are bounded as any connector's are."""

    def __init__(self, cluster: Cluster, **settings: Any) -> None:
        super().__init__(**settings)
        self._cluster = cluster
        self._relays = Supervisor()

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: Any, timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        """Raises `NoWay`. What aiohttp's own connectors for other transports implement."""
        place = Forwarded.of_host(req.url.raw_host or "")
        carried = await _open(self._cluster, place, req.url.port or 80)
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        try:
            _, protocol = await self._loop.create_connection(self._factory, sock=ours)
        except BaseException:
            ours.close()
            theirs.close()
            await carried.close()
            raise
        self._relays.run_once(f"port-forward to {place.pod}", _relay(theirs, carried, protocol))
        return protocol

    async def stop(self) -> None:
        """After the session has closed: end the relays, which carry nothing any more."""
        await self._relays.stop(RELAYS_END_SECONDS)


async def listens(cluster: Cluster, target: Target) -> bool:
    """Whether a port of a pod takes connections. Raises `Unavailable` when there is no way to it."""
    assert target.forwarded is not None
    try:
        carried = await _open(cluster, target.forwarded, target.port)
    except NoWay as error:
        raise error.why from error
    receiving = asyncio.ensure_future(carried.receive())
    try:
        done, _ = await asyncio.wait({receiving}, timeout=SETTLE_SECONDS)
        return not done or bool(receiving.result())
    except ForwardFailed:
        return False
    finally:
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
        await carried.close()


async def _open(cluster: Cluster, place: Forwarded, port: int) -> PortForward:
    try:
        return await forward(cluster, place.namespace, place.pod, port)
    except Forbidden as error:
        text = f"This server may not reach into the workspaces of {place.namespace}: {error.message} Ask who manages the cluster for that."
        raise NoWay(Unavailable("unreachable", text)) from error
    except (NotFound, BadRequest) as error:
        raise NoWay(
            Unavailable("starting", f"Its pod cannot be reached yet: {error.message}")
        ) from error
    except Unreachable as error:
        raise NoWay(
            Unavailable(
                "cluster",
                "The cluster does not answer, and connections to it go through it. Trying again.",
            )
        ) from error
    except ClusterError as error:
        raise NoWay(
            Unavailable(
                "unreachable", f"The cluster does not carry connections to it: {error.message}"
            )
        ) from error


async def _relay(end: socket.socket, carried: PortForward, protocol: ResponseHandler) -> None:
    """Until either side has ended; then both have."""
    loop = asyncio.get_running_loop()

    async def inward() -> None:
        while data := await loop.sock_recv(end, PIECE_BYTES):
            await carried.send(data)

    async def outward() -> None:
        while data := await carried.receive():
            await loop.sock_sendall(end, data)

    ways = [asyncio.ensure_future(inward()), asyncio.ensure_future(outward())]
    try:
        done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in done:
            if isinstance(error := way.exception(), ForwardFailed):
                protocol.set_exception(NobodyListens(str(error)))
            elif error is not None and not isinstance(error, OSError):
                raise error
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        end.close()
        await carried.close()
