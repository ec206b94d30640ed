"""Carrying requests into workspaces: pooled connections, tokens, a body that waits for its reader."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Coroutine, MutableMapping
from typing import TYPE_CHECKING, Any

from multidict import CIMultiDict
from tornado import web
from yarl import URL

from jupyter_workspaces.common.supervision import Supervisor
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.server.proxy.limits import SETTING as LIMITS
from jupyter_workspaces.server.proxy.limits import Limits
from jupyter_workspaces.server.proxy.pages.rate_limits import Refusals, Repeats
from jupyter_workspaces.server.proxy.rewriting.public_path import PublicPath
from jupyter_workspaces.server.proxy.target import Place, Target, View
from jupyter_workspaces.server.proxy.tokens import Tokens

from .response_wait import Patience, answers

if TYPE_CHECKING:
    import aiohttp

    from .port_forward import PodConnector

CONNECT_SECONDS = 10
CONNECTIONS = 2048
CONNECTIONS_OF_A_WORKSPACE = 512
FORWARDS = 512
FORWARDS_OF_A_WORKSPACE = 128
"""Connections through the API server, which has to carry each of them."""

IDLE_SECONDS = (
    4  # below the 5 s after which common Python servers close an idle connection themselves
)
READ_BYTES = 256 * 2**10
HEADER_BYTES = 64 * 2**10
SETTING = "jupyter_workspaces_connect"


class Upstreams:
    """The way into all workspaces: one pool of connections, and their tokens."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.patience = Patience(limits)
        self._session: aiohttp.ClientSession | None = None
        self._forwarding: tuple[Cluster, PodConnector, aiohttp.ClientSession] | None = None
        self.refusals, self.repeats = Refusals(), Repeats()
        self._tokens: Tokens | None = None
        self._relays, self._exchanges = Supervisor(), Supervisor()

    @property
    def sockets(self) -> int:
        """WebSockets that are open now."""
        return self._relays.running

    @property
    def transfers(self) -> int:
        """Number of requests in progress, up to the last byte of the response."""
        return self._exchanges.running

    async def relay(self, relay: Coroutine[Any, Any, None], path: str) -> None:
        """Run a WebSocket's relay to its end. `close` ends it too."""
        await asyncio.wait({self._relays.run_once(f"connect {path} websocket", relay)})

    def exchange(
        self, exchange: Coroutine[Any, Any, web.HTTPError | None], path: str
    ) -> asyncio.Task[web.HTTPError | None]:
        """Run a request's exchange with a workspace. Logs exceptions. `close` cancels it."""
        return self._exchanges.run_once(f"connect {path}", exchange)

    async def session(self, cluster: Cluster, target: Target) -> aiohttp.ClientSession:
        """The one whose connections reach the target."""
        if target.forwarded is not None:
            return await self._forwarded_session(cluster)
        if self._session is None:
            from .dialling import WorkspaceConnector

            self._session = _session(
                WorkspaceConnector(
                    limit=CONNECTIONS,
                    limit_per_host=CONNECTIONS_OF_A_WORKSPACE,
                    keepalive_timeout=IDLE_SECONDS,
                    socket_factory=_socket,
                )
            )
        return self._session

    async def _forwarded_session(self, cluster: Cluster) -> aiohttp.ClientSession:
        from .port_forward import PodConnector

        if self._forwarding is not None and self._forwarding[0] is not cluster:
            await self._end_forwarding()  # another cluster is served from now on
        if self._forwarding is None:
            connector = PodConnector(
                cluster,
                limit=FORWARDS,
                limit_per_host=FORWARDS_OF_A_WORKSPACE,
                keepalive_timeout=IDLE_SECONDS,
            )
            self._forwarding = cluster, connector, _session(connector)
        return self._forwarding[2]

    async def _end_forwarding(self) -> None:
        forwarding, self._forwarding = self._forwarding, None
        if forwarding is not None:
            _, connector, session = forwarding
            await session.close()
            await connector.stop()

    async def token(self, view: View, place: Place, target: Target) -> str | None:
        """What opens the workspace; None where its kind has no token. Raises as `Tokens.get`."""
        if self._tokens is None or self._tokens.view is not view:
            before, self._tokens = self._tokens, Tokens(view)
            if before is not None:
                await before.stop()  # another cluster is served from now on
        return await self._tokens.get(place, target)

    def refused(self, place: Place, target: Target, token: str | None) -> None:
        """The workspace did not take its token."""
        if self._tokens is not None:
            self._tokens.refused(place, target, token)

    async def answers(
        self, cluster: Cluster, target: Target, path: PublicPath, token: str | None
    ) -> bool:
        """Whether the program in the workspace answers a request for its first page within 2 s, whatever it answers."""
        session = await self.session(cluster, target)
        headers: CIMultiDict[str] = CIMultiDict({"Host": path.public})
        if token is not None:
            headers["Authorization"] = f"token {token}"
        return await answers(
            session, URL(f"http://{target.dialled}{path.inward(path.outer)}", encoded=True), headers
        )

    async def close(self) -> None:
        await asyncio.gather(self._relays.stop(), self._exchanges.stop())
        session, self._session = self._session, None
        tokens, self._tokens = self._tokens, None
        if tokens is not None:
            await tokens.stop()
        if session is not None:
            await session.close()
        await self._end_forwarding()


def _session(connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
    import aiohttp

    from jupyter_workspaces.server.proxy.headers.raw_request import RawRequest

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
    """The web application's one."""
    found = settings.get(SETTING)
    if found is None:
        found = settings[SETTING] = Upstreams(settings.get(LIMITS) or Limits())
    assert isinstance(found, Upstreams)
    return found


def in_use(settings: MutableMapping[str, Any]) -> bool:
    """Whether a workspace is open or a request is in progress, so that an idle server stays up."""
    found = settings.get(SETTING)
    return found is not None and found.sockets + found.transfers > 0


async def close(settings: MutableMapping[str, Any]) -> None:
    """Close all connections into workspaces. Call it when the server ends."""
    found = settings.get(SETTING)
    if found is not None:
        await found.close()


class Body:
    """A request's body on its way in: four chunks at most wait, then the sender does. Nobody waits once it is abandoned."""

    def __init__(self) -> None:
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue(4)
        self._abandoned = False
        self._taken: float | None = (
            None  # when the workspace took the last chunk; None while the browser is waited for
        )

    async def put(self, chunk: bytes | None) -> None:
        """None ends it."""
        if not self._abandoned:
            await self._chunks.put(chunk)

    def abandon(self) -> None:
        """Nobody reads on: whatever else comes is dropped."""
        self._abandoned = True
        while not self._chunks.empty():
            self._chunks.get_nowait()

    async def chunks(self) -> AsyncIterator[bytes]:
        while (chunk := await self._chunks.get()) is not None:
            self._taken = asyncio.get_running_loop().time()
            yield chunk
            self._taken = None
        self._taken = asyncio.get_running_loop().time()

    def stalled(self) -> float:
        """For how many seconds the workspace has had what there is of the body; 0 while the browser has to send more of it."""
        return 0.0 if self._taken is None else asyncio.get_running_loop().time() - self._taken


def _socket(address: tuple[Any, ...]) -> socket.socket:
    """Streams may be silent for hours, so the system asks whether the other side still lives: half a minute, then gone after a minute."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family=family, type=kind, proto=protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, seconds in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)
    return made
