"""WebSockets into a workspace: messages, pings and close codes pass as they are, and the slower side sets the pace."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import ws_authenticated
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from ..cluster.errors import ClusterError
from .asking import ConnectHandler, Refused, unreadable_token
from .framing import BadResponse, check_handshake, handshake_fault, offered_protocols
from .transfer import request_headers, upstream_url

if TYPE_CHECKING:
    import aiohttp

LONGEST_MESSAGE = 256 * 2**20
CLOSE_SECONDS = 10

# RFC 6455 §7.4.1: they tell what happened here and never go over the wire.
_UNSPOKEN = frozenset((1005, 1006, 1015))


class SocketHandler(ConnectHandler, WebSocketHandler):
    """Dials the workspace first, so that its choice of subprotocol, or its refusal, is the answer to the browser."""

    action = "execute"
    _upstream: aiohttp.ClientWebSocketResponse | None = None
    _pump: asyncio.Task[None] | None = None
    _ponging: asyncio.Task[None] | None = None
    _asked: bytes | None = None

    @property
    def max_message_size(self) -> int:
        return LONGEST_MESSAGE

    @property
    def navigates(self) -> bool:
        return False

    def check_origin(self, origin_to_satisfy_tornado: str = "") -> bool:
        """`prepare` has checked."""
        return True

    @ws_authenticated
    async def get(self, *args: Any, **kwargs: Any) -> None:
        import aiohttp

        from .forwarding import NoWay
        from .upstream_socket import UpstreamSocket

        if (fault := handshake_fault(self.request.headers)) is not None:
            raise Refused(400, f"This WebSocket cannot be opened. {fault}", "BadRequest")
        target = await self.find()
        try:
            token = await self.upstreams.token(self.services.cluster.cluster, self.place.namespace, target)
        except ClusterError as error:
            raise unreadable_token(target, error) from error
        path = self.public_path(target)
        headers = request_headers(
            self.request.headers.get_all(),
            path=path,
            target=target,
            guard=self.guard,
            token=token,
            token_authenticated=self.token_authenticated,
            remote=self.request.remote_ip or "",
            scheme=self.request.protocol,
        )
        offered = offered_protocols(self.request.headers)
        try:
            session = await self.upstreams.session(self.services.cluster.cluster, target)
            upstream = await session.ws_connect(
                upstream_url("ws", target, path, self.request, self.guard),
                headers=headers,
                protocols=offered,
                autoping=False,
                max_msg_size=LONGEST_MESSAGE,
                compress=0,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS),
            )
        except aiohttp.WSServerHandshakeError as error:
            if error.status in (401, 403):
                self.upstreams.forget(self.place.namespace, target)
            status = error.status if 400 <= error.status < 600 else 502
            raise Refused(status, f"The program in {self.place.name} refused the WebSocket ({error.status}).", "Refused") from error
        except NoWay as error:
            raise await self.absent(error.why) from error
        except aiohttp.ClientResponseError as error:
            raise Refused(502, f"The program in {self.place.name} answered the WebSocket with what is not HTTP.", "BadResponse") from error
        except (aiohttp.ClientConnectionError, asyncio.TimeoutError) as error:
            raise Refused(503, f"{self.place.name} does not take connections yet.", "Starting") from error
        assert isinstance(upstream, UpstreamSocket)
        try:
            check_handshake(upstream.handshake, offered)
        except BadResponse as error:
            upstream.handshake.close()  # at once: whoever breaks the protocol is not waited for
            raise Refused(502, f"The WebSocket of the program in {self.place.name} was not passed on: {error}.", "BadResponse") from error
        self._upstream = upstream
        try:
            await super().get(*args, **kwargs)
        finally:
            if self.ws_connection is None or self._pump is None:
                await self._upstream.close(code=aiohttp.WSCloseCode.GOING_AWAY)

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return self._upstream.protocol if self._upstream is not None else None

    def open(self, *args: Any, **kwargs: Any) -> None:
        self._pump = asyncio.create_task(self._to_browser(), name=f"connect {self.place.path} websocket")

    async def on_message(self, message: str | bytes) -> None:
        """Tornado reads on only after this has returned."""
        import aiohttp

        assert self._upstream is not None
        try:
            if isinstance(message, str):
                await self._upstream.send_str(message)
            else:
                await self._upstream.send_bytes(message)
        except (aiohttp.ClientError, ConnectionError):  # the pump hears of it too and tells the browser
            return

    def on_pong(self, data: bytes) -> None:
        """The browser's answer to the workspace's question; answers to Tornado's own pings are not passed on."""
        if data == self._asked and self._upstream is not None and (self._ponging is None or self._ponging.done()):
            self._asked = None
            self._ponging = asyncio.create_task(self._pong(data), name=f"connect {self.place.path} pong")

    def on_close(self) -> None:
        for task in (self._pump, self._ponging):
            if task is not None:
                task.cancel()

    async def _pong(self, data: bytes) -> None:
        import aiohttp

        assert self._upstream is not None
        try:
            await self._upstream.pong(data)
        except (aiohttp.ClientError, ConnectionError):
            return

    async def _to_browser(self) -> None:
        """Owns the workspace's side: reads it to its end, and closes it."""
        import aiohttp

        upstream = self._upstream
        assert upstream is not None
        self.upstreams.sockets += 1
        try:
            while True:
                message = await upstream.receive()
                if message.type is aiohttp.WSMsgType.TEXT:
                    await self.write_message(message.data)
                elif message.type is aiohttp.WSMsgType.BINARY:
                    await self.write_message(message.data, binary=True)
                elif message.type is aiohttp.WSMsgType.PING:
                    self._asked = bytes(message.data)
                    self.ping(self._asked)
                elif message.type is not aiohttp.WSMsgType.PONG:
                    break
            self._close_browser(message)
        except (WebSocketClosedError, StreamClosedError):
            return
        finally:
            self.upstreams.sockets -= 1
            code = self.close_code or aiohttp.WSCloseCode.GOING_AWAY
            reason = (self.close_reason or "").encode()
            await upstream.close(code=aiohttp.WSCloseCode.OK if code in _UNSPOKEN else code, message=reason)

    def _close_browser(self, last: aiohttp.WSMessage) -> None:
        import aiohttp

        if last.type is aiohttp.WSMsgType.ERROR:
            self.close(1009 if getattr(last.data, "code", None) == 1009 else 1011, "The workspace sent what cannot be passed on.")
            return
        code = self._upstream.close_code if self._upstream is not None else None
        if code is None or code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE:
            self.close(1011, "The workspace broke off.")
        elif code in _UNSPOKEN:
            self.close()
        else:
            self.close(code, last.extra if isinstance(last.extra, str) and last.extra else None)
