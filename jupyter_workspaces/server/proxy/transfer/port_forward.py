"""Connections to workspaces by port-forwards through the API server.

They are used where pods have no address that this server can connect to. aiohttp gets one end of a
pair of sockets, and a relay carries the bytes of the other end over the port-forward. So HTTP,
WebSockets, reuse of connections and back-pressure work as they do for direct connections. This
module imports aiohttp, so it is imported with the first request.
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
from jupyter_workspaces.server.proxy.target import ForwardedPod, Target
from jupyter_workspaces.server.proxy.unavailable import CLUSTER_IS_SILENT, Unavailable

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler

    from jupyter_workspaces.kube.client import Cluster

SETTLE_SECONDS = 0.5
"""Seconds within which a node reports that no program listens at a port."""

STOP_SECONDS = 5.0


class NotConnected(aiohttp.ClientConnectionError):
    """There is no connection to a workspace, for a reason that people can read.

    `why` is that reason.
    """

    def __init__(self, why: Unavailable) -> None:
        """Store the reason."""
        super().__init__(why.message)
        self.why = why


class PortClosed(aiohttp.ClientConnectionError):
    """The pod was reached, and no program listens at its port."""


class PortForwardConnector(aiohttp.BaseConnector):
    """Connector for hosts of `ForwardedPod.host`, with the limits and reuse of any connector."""

    def __init__(self, cluster: Cluster, **settings: Any) -> None:
        """Create a connector for the pods of `cluster`; `settings` are those of the base class."""
        super().__init__(**settings)
        self._cluster = cluster
        self._relays = Supervisor()

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: Any, timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        """Connect; aiohttp's connectors for other transports implement the same method.

        Raises:
            NotConnected: The API server does not forward to the pod.
        """
        pod = ForwardedPod.from_host(req.url.raw_host or "")
        forwarded = await _open(self._cluster, pod, req.url.port or 80)
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        try:
            _, protocol = await self._loop.create_connection(self._factory, sock=ours)
        except BaseException:
            ours.close()
            theirs.close()
            await forwarded.close()
            raise
        self._relays.run_once(f"port-forward to {pod.pod}", _relay(theirs, forwarded, protocol))
        return protocol

    async def stop(self) -> None:
        """Stop the relays. Call it after the session has been closed."""
        await self._relays.stop(STOP_SECONDS)


async def listens(cluster: Cluster, target: Target) -> bool:
    """Return whether a port of a forwarded pod accepts connections.

    Raises:
        Unavailable: The API server does not forward to the pod.
    """
    assert target.forwarded is not None
    try:
        forwarded = await _open(cluster, target.forwarded, target.port)
    except NotConnected as error:
        raise error.why from error
    receiving = asyncio.ensure_future(forwarded.receive())
    try:
        done, _ = await asyncio.wait({receiving}, timeout=SETTLE_SECONDS)
        return not done or bool(receiving.result())
    except ForwardFailed:
        return False
    finally:
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
        await forwarded.close()


async def _open(cluster: Cluster, pod: ForwardedPod, port: int) -> PortForward:
    """Open a port-forward. Raises `NotConnected`."""
    try:
        return await forward(cluster, pod.namespace, pod.pod, port)
    except Forbidden as error:
        why = Unavailable(
            "unreachable",
            f"This server is not permitted to forward ports in namespace '{pod.namespace}':"
            f" {error.message} Ask your administrator for this permission.",
        )
    except (NotFound, BadRequest) as error:
        why = Unavailable("starting", f"Its pod cannot be reached yet: {error.message}")
    except Unreachable:
        why = Unavailable("cluster", CLUSTER_IS_SILENT)
    except ClusterError as error:
        why = Unavailable(
            "unreachable", f"The cluster does not forward connections to it: {error.message}"
        )
    raise NotConnected(why)


async def _relay(end: socket.socket, forwarded: PortForward, protocol: ResponseHandler) -> None:
    """Carry bytes both ways until one side ends, then close both."""
    loop = asyncio.get_running_loop()

    async def to_workspace() -> None:
        while data := await loop.sock_recv(end, PIECE_BYTES):
            await forwarded.send(data)

    async def from_workspace() -> None:
        while data := await forwarded.receive():
            await loop.sock_sendall(end, data)

    directions = [asyncio.ensure_future(to_workspace()), asyncio.ensure_future(from_workspace())]
    try:
        done, _ = await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        for direction in done:
            if isinstance(error := direction.exception(), ForwardFailed):
                protocol.set_exception(PortClosed(str(error)))
            elif error is not None and not isinstance(error, OSError):
                raise error
    finally:
        for direction in directions:
            direction.cancel()
        await asyncio.gather(*directions, return_exceptions=True)
        end.close()
        await forwarded.close()
