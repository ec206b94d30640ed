"""Handler of WebSockets into a workspace: both handshakes, then a `WebSocketRelay`."""

from __future__ import annotations

import asyncio
import base64
import os
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import ws_authenticated
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketProtocol13

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.server.proxy.headers.request_headers import request_headers, upstream_url
from jupyter_workspaces.server.proxy.limits import HANDSHAKE_SECONDS
from jupyter_workspaces.server.proxy.target import Target
from jupyter_workspaces.server.proxy.transfer.http_checks import BadResponse
from jupyter_workspaces.server.proxy.transfer.websocket_frames import Violation
from jupyter_workspaces.server.proxy.transfer.websocket_handshake import (
    VERSION,
    check_handshake,
    handshake_fault,
    offered_protocols,
)
from jupyter_workspaces.server.proxy.unavailable import Unavailable

from .base import ProxyHandler
from .errors import RequestRefused

if TYPE_CHECKING:
    import aiohttp

    from jupyter_workspaces.server.proxy.transfer.websocket_relay import WebSocketRelay


class WebSocketHandler(ProxyHandler):
    """Handler of one WebSocket.

    It connects to the workspace first, so that the workspace's choice of a subprotocol, or its
    refusal, becomes the response to the browser.
    """

    action = "execute"
    _relay: WebSocketRelay | None = None
    _ending: Violation | None = None

    @property
    def navigates(self) -> bool:
        """Always False: errors are JSON."""
        return False

    @ws_authenticated
    async def get(self, **_: str) -> None:
        """Open the WebSocket and relay it until it ends."""
        from jupyter_workspaces.server.proxy.transfer.websocket_relay import (
            WebSocketRelay,
            WorkspaceConnection,
        )

        key = self._check_handshake()
        target = await self.find_target()
        response = await self._connect(target)
        try:
            workspace = WorkspaceConnection(response)
            self._accept(key, response.headers.get("Sec-WebSocket-Protocol", "").strip())
            await self.finish()
            limits = self.upstreams.limits
            ping_seconds = (
                self.settings.get("websocket_ping_interval") or limits.ping_seconds or None
            )
            relay = self._relay = WebSocketRelay(
                self.detach(),
                workspace,
                limits.websocket_message_bytes,
                self._log_violation,
                ping_seconds,
            )
            if self._ending is not None:
                relay.end(self._ending)
            await self.upstreams.run_relay(relay.run(), self.workspace_port.path)
        except StreamClosedError:  # the browser closed its connection in the meantime
            return
        finally:
            response.close()

    def end(self, why: Violation) -> None:
        """Close both sides, now or as soon as the WebSocket is open."""
        self._ending = why
        if self._relay is not None:
            self._relay.end(why)

    def _check_handshake(self) -> str:
        """Return the browser's key. Raises `RequestRefused` for an invalid handshake."""
        headers = self.request.headers
        if (fault := handshake_fault(headers)) is not None:
            supported = headers.get("Sec-WebSocket-Version", "").strip() == VERSION
            raise RequestRefused(
                400 if supported else 426, f"This WebSocket cannot be opened. {fault}", "BadRequest"
            )
        return headers["Sec-WebSocket-Key"].strip()

    async def _connect(self, target: Target) -> aiohttp.ClientResponse:
        """Return the workspace's 101.

        Raises:
            RequestRefused: The workspace refused the WebSocket, or its response is invalid.
            WorkspaceUnavailable: The workspace cannot be reached.
        """
        import aiohttp

        from .upstream_errors import handshake_error

        name = self.workspace_port.name
        token = await self.workspace_token(target)
        path = self.public_path(target)
        headers = request_headers(
            self.request.headers.get_all(),
            addresses=self.address_mapping(path),
            target=target,
            credentials=self.credential_filter,
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
        url = upstream_url("http", target, path, self.request, self.credential_filter)
        try:
            session = await self.upstreams.session(self.services.cluster.cluster, target)
            async with timeout(HANDSHAKE_SECONDS):
                response = await session.get(url, headers=headers, allow_redirects=False)
        except (aiohttp.ClientError, asyncio.TimeoutError) as error:
            failure = handshake_error(error, name, HANDSHAKE_SECONDS)
            if isinstance(failure, Unavailable):
                raise await self.unavailable(failure) from error
            raise failure from error
        if response.status != 101:
            response.close()
            if response.status in (401, 403):
                self.upstreams.token_rejected(self.workspace_port, target, token)
            raise RequestRefused(
                response.status if 400 <= response.status < 600 else 502,
                f"The program in workspace '{name}' refused the WebSocket ({response.status}).",
                "Refused",
            )
        try:
            check_handshake(response, key, offered)
        except BadResponse as error:
            response.close()
            raise RequestRefused(
                502,
                f"The WebSocket of the program in workspace '{name}' was not forwarded: {error}.",
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

    def _log_violation(self, sender: str, violation: Violation) -> None:
        self.log.warning(
            "WebSocket of %s closed (%d) because of the %s: %s",
            self.workspace_port.path,
            violation.code,
            sender,
            violation.reason,
        )

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Respond as the base class, with the supported version if that is the error."""
        if status_code == 426:
            self.set_header("Sec-WebSocket-Version", VERSION)
        super().write_error(status_code, **kwargs)
