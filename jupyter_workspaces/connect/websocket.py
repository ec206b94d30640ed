"""WebSockets into a workspace: the handshakes. What passes after them is `relay.Relay`'s."""

from __future__ import annotations

import asyncio
import base64
import os
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import ws_authenticated
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketProtocol13

from ..timeouts import timeout
from .asking import ConnectHandler, Refused
from .frames import Violation
from .limits import HANDSHAKE_SECONDS
from .target import Target
from .transfer import request_headers, upstream_url

if TYPE_CHECKING:
    import aiohttp

VERSION = "13"


class SocketHandler(ConnectHandler):
    """Dials the workspace first, so that its choice of subprotocol, or its refusal, is the answer to the browser."""

    action = "execute"

    @property
    def navigates(self) -> bool:
        return False

    @ws_authenticated
    async def get(self, **_: str) -> None:
        from .relay import Inside, Relay

        key = self._check_handshake()
        target = await self.find()
        response = await self._dial(target)
        try:
            inside = Inside(response)
            protocol = response.headers.get("Sec-WebSocket-Protocol", "").strip()
            self._accept(key, protocol if protocol in self._offered() else "")
            await self.finish()
            ping_seconds = self.settings.get("websocket_ping_interval") or None
            relay = Relay(self.detach(), inside, self.upstreams.limits.websocket_message_bytes, self._refused, ping_seconds)
            await self.upstreams.relay(relay.run(), self.place.path)
        except StreamClosedError:  # the browser went away while the workspace was dialled
            return
        finally:
            response.close()

    def _check_handshake(self) -> str:
        """The browser's key. Raises `Refused` (RFC 6455 §4.2.1)."""
        headers = self.request.headers
        options = {option.strip().lower() for option in headers.get("Connection", "").split(",")}
        key = headers.get("Sec-WebSocket-Key", "").strip()
        if "upgrade" not in options or not key:
            raise Refused(400, "This is not the opening request of a WebSocket.", "BadHandshake")
        if headers.get("Sec-WebSocket-Version", "").strip() != VERSION:
            raise Refused(426, "Only version 13 of the WebSocket protocol is known.", "BadHandshake")
        return key

    def _offered(self) -> list[str]:
        return [name.strip() for name in self.request.headers.get("Sec-WebSocket-Protocol", "").split(",") if name.strip()]

    async def _dial(self, target: Target) -> aiohttp.ClientResponse:
        """The workspace's 101. Raises `Refused`, `Absent`."""
        import aiohttp

        from .forwarding import NoWay

        token = await self.workspace_token(target)
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
        key = base64.b64encode(os.urandom(16)).decode()
        headers.update({"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": VERSION, "Sec-WebSocket-Key": key})
        if offered := self._offered():
            headers["Sec-WebSocket-Protocol"] = ", ".join(offered)
        url = upstream_url("http", target, path, self.request, self.guard)
        try:
            session = await self.upstreams.session(self.services.cluster.cluster, target)
            async with timeout(HANDSHAKE_SECONDS):
                response = await session.get(url, headers=headers, allow_redirects=False)
        except NoWay as error:
            raise await self.absent(error.why) from error
        except aiohttp.ClientConnectionError as error:
            raise Refused(503, f"{self.place.name} does not take connections yet.", "Starting") from error
        except asyncio.TimeoutError as error:
            raise self.silent(HANDSHAKE_SECONDS) from error
        except aiohttp.ClientError as error:
            raise Refused(502, f"The program in {self.place.name} did not answer with HTTP.", "BrokenOff") from error
        if response.status != 101:
            response.close()
            if response.status in (401, 403):
                self.upstreams.refused(self.place, target, token)
            status = response.status if response.status >= 400 else 502
            raise Refused(status, f"The program in {self.place.name} refused the WebSocket ({response.status}).", "Refused")
        if not _is_handshake(response, key):
            response.close()
            raise Refused(502, f"The program in {self.place.name} answered the WebSocket with a wrong handshake.", "BadHandshake")
        return response

    def _accept(self, key: str, protocol: str) -> None:
        self.clear_header("Content-Type")
        self.set_status(101)
        self.set_header("Upgrade", "websocket")
        self.set_header("Connection", "Upgrade")
        self.set_header("Sec-WebSocket-Accept", WebSocketProtocol13.compute_accept_value(key))
        if protocol:
            self.set_header("Sec-WebSocket-Protocol", protocol)

    def _refused(self, sender: str, violation: Violation) -> None:
        self.log.warning("WebSocket of %s closed (%d): %s Sent by the %s.", self.place.path, violation.code, violation.reason, sender)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        if status_code == 426:
            self.set_header("Sec-WebSocket-Version", VERSION)
        super().write_error(status_code, **kwargs)


def _is_handshake(response: aiohttp.ClientResponse, key: str) -> bool:
    """Whether a 101 is the answer to our own key, without an extension that nobody offered (RFC 6455 §4.1)."""
    headers = response.headers
    options = {option.strip().lower() for option in headers.get("Connection", "").split(",")}
    return (
        headers.get("Upgrade", "").lower() == "websocket"
        and "upgrade" in options
        and headers.get("Sec-WebSocket-Accept", "").strip() == WebSocketProtocol13.compute_accept_value(key)
        and "Sec-WebSocket-Extensions" not in headers
    )
