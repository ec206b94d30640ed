"""Connections, tokens, timeouts and rate limits that all requests into workspaces share.

`upstreams(settings)` returns the web application's `Upstreams`, `close(settings)` closes it.
aiohttp is imported with the first request: it took two thirds of the extension's share of the
server's start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, MutableMapping
from typing import TYPE_CHECKING, Any

from multidict import CIMultiDict
from tornado import web
from yarl import URL

from jupyter_workspaces.common.supervision import Supervisor
from jupyter_workspaces.kube.client import Cluster

from .interfaces import ClusterView
from .limits import SETTING as LIMITS
from .limits import Limits
from .rate_limits import ErrorDelays, LogLimit
from .rewriting.public_path import PublicPath
from .target import Target, WorkspacePort
from .tokens import Tokens
from .transfer.response_wait import PageTimeouts, responds_to_head

if TYPE_CHECKING:
    import aiohttp

    from .transfer.port_forward import PortForwardConnector

CONNECT_SECONDS = 10
CONNECTIONS = 2048
CONNECTIONS_OF_A_WORKSPACE = 512
FORWARDS = 512
"""Number of port-forwards, fewer than direct connections because the API server carries them."""
FORWARDS_OF_A_WORKSPACE = 128

IDLE_SECONDS = 4
"""Seconds that a connection is kept for reuse. Common Python servers close theirs after 5 s."""
READ_BYTES = 256 * 2**10
HEADER_BYTES = 64 * 2**10
SETTING = "jupyter_workspaces_connect"


class Upstreams:
    """Everything that requests into workspaces share: one pool of connections, and tokens.

    Attributes:
        limits: Timeouts and size limits.
        page_timeouts: Timeouts for documents.
        error_delays: Delays of error responses.
        log_limit: Limit of equal log lines.
    """

    def __init__(self, limits: Limits) -> None:
        """Start without connections."""
        self.limits = limits
        self.page_timeouts = PageTimeouts(limits)
        self.error_delays, self.log_limit = ErrorDelays(), LogLimit()
        self._session: aiohttp.ClientSession | None = None
        self._forwarding: tuple[Cluster, PortForwardConnector, aiohttp.ClientSession] | None = None
        self._tokens: Tokens | None = None
        self._relays, self._transfers = Supervisor(), Supervisor()

    @property
    def sockets(self) -> int:
        """Number of open WebSockets."""
        return self._relays.running

    @property
    def transfers(self) -> int:
        """Number of requests in progress, up to the last byte of the response."""
        return self._transfers.running

    async def run_relay(self, relay: Coroutine[Any, Any, None], path: str) -> None:
        """Run a WebSocket's relay until it ends, or `close` is called."""
        await asyncio.wait({self._relays.run_once(f"connect {path} websocket", relay)})

    def start_transfer(
        self, transfer: Coroutine[Any, Any, web.HTTPError | None], path: str
    ) -> asyncio.Task[web.HTTPError | None]:
        """Start the transfer of a request as a task. Logs exceptions. `close` cancels it."""
        return self._transfers.run_once(f"connect {path}", transfer)

    async def session(self, cluster: Cluster, target: Target) -> aiohttp.ClientSession:
        """Return the session whose connections reach the target."""
        if target.forwarded is not None:
            return await self._forwarded_session(cluster)
        if self._session is None:
            from .transfer.direct import DirectConnector, keepalive_socket

            self._session = _session(
                DirectConnector(
                    limit=CONNECTIONS,
                    limit_per_host=CONNECTIONS_OF_A_WORKSPACE,
                    keepalive_timeout=IDLE_SECONDS,
                    socket_factory=keepalive_socket,
                )
            )
        return self._session

    async def _forwarded_session(self, cluster: Cluster) -> aiohttp.ClientSession:
        from .transfer.port_forward import PortForwardConnector

        if self._forwarding is not None and self._forwarding[0] is not cluster:
            await self._stop_forwarding()  # the server now uses another cluster
        if self._forwarding is None:
            connector = PortForwardConnector(
                cluster,
                limit=FORWARDS,
                limit_per_host=FORWARDS_OF_A_WORKSPACE,
                keepalive_timeout=IDLE_SECONDS,
            )
            self._forwarding = cluster, connector, _session(connector)
        return self._forwarding[2]

    async def _stop_forwarding(self) -> None:
        forwarding, self._forwarding = self._forwarding, None
        if forwarding is not None:
            _, connector, session = forwarding
            await session.close()
            await connector.stop()

    async def token(
        self, view: ClusterView, workspace_port: WorkspacePort, target: Target
    ) -> str | None:
        """Return the workspace's token, None if its kind has none. Raises as `Tokens.get`."""
        if self._tokens is None or self._tokens.view is not view:
            before, self._tokens = self._tokens, Tokens(view)
            if before is not None:
                await before.stop()  # the server now uses another cluster
        return await self._tokens.get(workspace_port, target)

    def token_rejected(
        self, workspace_port: WorkspacePort, target: Target, token: str | None
    ) -> None:
        """Note that the workspace did not accept its token."""
        if self._tokens is not None:
            self._tokens.rejected(workspace_port, target, token)

    async def responds(
        self, cluster: Cluster, target: Target, path: PublicPath, token: str | None
    ) -> bool:
        """Return whether a program responds to a request for its first page within 2 s."""
        session = await self.session(cluster, target)
        headers: CIMultiDict[str] = CIMultiDict({"Host": path.public})
        if token is not None:
            headers["Authorization"] = f"token {token}"
        url = URL(f"http://{target.connect_netloc}{path.inward(path.outer)}", encoded=True)
        return await responds_to_head(session, url, headers)

    async def close(self) -> None:
        """Close all connections, and remove all tokens."""
        await asyncio.gather(self._relays.stop(), self._transfers.stop())
        session, self._session = self._session, None
        tokens, self._tokens = self._tokens, None
        if tokens is not None:
            await tokens.stop()
        if session is not None:
            await session.close()
        await self._stop_forwarding()


def _session(connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
    import aiohttp

    from .transfer.raw_request import RawRequest

    return aiohttp.ClientSession(
        connector=connector,
        request_class=RawRequest,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        read_bufsize=READ_BYTES,
        max_line_size=HEADER_BYTES,
        max_field_size=HEADER_BYTES,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        timeout=aiohttp.ClientTimeout(
            total=None, connect=CONNECT_SECONDS, sock_connect=CONNECT_SECONDS
        ),
    )


def upstreams(settings: MutableMapping[str, Any]) -> Upstreams:
    """Return the web application's `Upstreams`, created on first use."""
    found = settings.get(SETTING)
    if found is None:
        found = settings[SETTING] = Upstreams(settings.get(LIMITS) or Limits())
    assert isinstance(found, Upstreams)
    return found


def in_use(settings: MutableMapping[str, Any]) -> bool:
    """Return whether a workspace is open or a request is in progress, so the server stays up."""
    found = settings.get(SETTING)
    return found is not None and found.sockets + found.transfers > 0


async def close(settings: MutableMapping[str, Any]) -> None:
    """Close all connections into workspaces. Call it when the server stops."""
    found = settings.get(SETTING)
    if found is not None:
        await found.close()
