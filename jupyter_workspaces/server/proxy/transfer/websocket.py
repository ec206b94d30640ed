"""WebSockets into a workspace: the handshakes. What passes after them is `relay.Relay`'s."""

from __future__ import annotations

import asyncio
import base64
import os
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import ws_authenticated
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketProtocol13

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.server.proxy.access import ConnectHandler, Refused
from jupyter_workspaces.server.proxy.headers.request_headers import request_headers, upstream_url
from jupyter_workspaces.server.proxy.limits import HANDSHAKE_SECONDS
from jupyter_workspaces.server.proxy.target import Target

from .frames import Violation
from .framing import (
    BadResponse,
    check_handshake,
    handshake_fault,
    offered_protocols,
)

if TYPE_CHECKING:
    import aiohttp

    from .relay import Relay

VERSION = "13"


class SocketHandler(ConnectHandler):
    """Dials the workspace first, so that its choice of subprotocol, or its refusal, is the answer to the browser."""

    action = "execute"
    _relay: Relay | None = None
    _ending: Violation | None = None

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
            self._accept(key, protocol)
            await self.finish()
            limits = self.upstreams.limits
            ping_seconds = (
                self.settings.get("websocket_ping_interval") or limits.ping_seconds or None
            )
            relay = self._relay = Relay(
                self.detach(), inside, limits.websocket_message_bytes, self._refused, ping_seconds
            )
            if self._ending is not None:
                relay.end(self._ending)
            await self.upstreams.relay(relay.run(), self.place.path)
        except StreamClosedError:  # the browser went away while the workspace was dialled
            return
        finally:
            response.close()

    def end(self, why: Violation) -> None:
        """Close both sides, now or as soon as the WebSocket is open."""
        self._ending = why
        if self._relay is not None:
            self._relay.end(why)

    def _check_handshake(self) -> str:
        """Return the browser's key. Raises `Refused`."""
        headers = self.request.headers
        if (fault := handshake_fault(headers)) is not None:
            supported = headers.get("Sec-WebSocket-Version", "").strip() == VERSION
            raise Refused(
                400 if supported else 426, f"This WebSocket cannot be opened. {fault}", "BadRequest"
            )
        return headers["Sec-WebSocket-Key"].strip()

    async def _dial(self, target: Target) -> aiohttp.ClientResponse:
        """The workspace's 101. Raises `Refused`, `Absent`."""
        import aiohttp

        from .port_forward import NoWay

        token = await self.workspace_token(target)
        path = self.public_path(target)
        headers = request_headers(
            self.request.headers.get_all(),
            addresses=self.addresses(path),
            target=target,
            guard=self.guard,
            token=token,
            token_authenticated=self.token_authenticated,
            remote=self.request.remote_ip or "",
        )
        key = base64.b64encode(os.urandom(16)).decode()
        headers.update(
            {
                "Upgrade": "websocket",
                "Connection": "Upgrade",
                "Sec-WebSocket-Version": VERSION,
                "Sec-WebSocket-Key": key,
            }
        )
        offered = offered_protocols(self.request.headers)
        if offered:
            headers["Sec-WebSocket-Protocol"] = ", ".join(offered)
        url = upstream_url("http", target, path, self.request, self.guard)
        try:
            session = await self.upstreams.session(self.services.cluster.cluster, target)
            async with timeout(HANDSHAKE_SECONDS):
                response = await session.get(url, headers=headers, allow_redirects=False)
        except NoWay as error:
            raise await self.absent(error.why) from error
        except aiohttp.ClientConnectionError as error:
            raise Refused(
                503, f"{self.place.name} does not take connections yet.", "Starting"
            ) from error
        except asyncio.TimeoutError as error:
            raise self.silent(HANDSHAKE_SECONDS) from error
        except aiohttp.ClientError as error:
            raise Refused(
                502, f"The program in {self.place.name} did not answer with HTTP.", "BadResponse"
            ) from error
        if response.status != 101:
            response.close()
            if response.status in (401, 403):
                self.upstreams.refused(self.place, target, token)
            status = response.status if 400 <= response.status < 600 else 502
            raise Refused(
                status,
                f"The program in {self.place.name} refused the WebSocket ({response.status}).",
                "Refused",
            )
        try:
            check_handshake(response, key, offered)
        except BadResponse as error:
            response.close()
            raise Refused(
                502,
                f"The WebSocket of the program in {self.place.name} was not passed on: {error}.",
                "BadResponse",
            ) from error
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
        self.log.warning(
            "WebSocket of %s closed (%d): %s Sent by the %s.",
            self.place.path,
            violation.code,
            violation.reason,
            sender,
        )

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        if status_code == 426:
            self.set_header("Sec-WebSocket-Version", VERSION)
        super().write_error(status_code, **kwargs)
