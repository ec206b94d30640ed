"""Handler of HTTP requests into a workspace: streamed both ways, with back-pressure.

The transfer is a task of its own, so that the response may begin before the request's body has
ended. If one side closes its connection, the other side's connection is closed, too.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from tornado import httputil, iostream, web

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.server.proxy.headers.credentials import has_token
from jupyter_workspaces.server.proxy.headers.request_headers import request_headers, upstream_url
from jupyter_workspaces.server.proxy.headers.response_headers import response_headers
from jupyter_workspaces.server.proxy.pages.tab_notice import SETTING as TAB_NOTICES
from jupyter_workspaces.server.proxy.pages.tab_notice import opens_tab, script_element
from jupyter_workspaces.server.proxy.response_body import body_change, body_pieces
from jupyter_workspaces.server.proxy.rewriting.public_path import PublicPath
from jupyter_workspaces.server.proxy.target import Target
from jupyter_workspaces.server.proxy.transfer.body_stream import BodyStream
from jupyter_workspaces.server.proxy.transfer.http_checks import (
    BadResponse,
    body_length,
    check_response,
    reason_phrase,
    request_fault,
)
from jupyter_workspaces.server.proxy.transfer.response_wait import ResponseTimeout, wait_for_head
from jupyter_workspaces.server.proxy.unavailable import Unavailable

from .base import ProxyHandler
from .errors import RedirectTo, RequestRefused

if TYPE_CHECKING:
    import aiohttp

CONNECT_RETRIES = (0.1, 0.3, 0.6)
"""Seconds before each retry of a refused connection: a pod may be Ready before it listens."""

UNLIMITED = 2**62
SMALL_BODY = 2**20
"""Bytes of a body that is read before an error response, because browsers have sent it already."""
DRAIN_SECONDS = 10
"""Seconds for which the rest of a body is read and dropped after an early response."""


@web.stream_request_body
class HttpHandler(ProxyHandler):
    """Handler of one HTTP request."""

    _body: BodyStream | None = None
    _transfer_task: asyncio.Task[web.HTTPError | None] | None = None
    _held_error: web.HTTPError | None = None
    _limit: int | None = None

    def initialize(self) -> None:
        """Prepare the state that every request needs."""
        self._request_read = asyncio.Event()  # set at the end of the request's body

    async def prepare(self) -> None:  # type: ignore[override]
        """Authorize, find the workspace, and start the transfer."""
        try:
            if (fault := request_fault(self.request)) is not None:
                raise RequestRefused(
                    400, f"This request cannot be forwarded. {fault}", "BadRequest"
                )
            await super().prepare()
            self._check_url()
            target = await self.find_target()
        except web.HTTPError as error:
            if not self._body_is_small():
                raise
            # `_respond` sends it: closing a connection that still receives may lose the response.
            self._held_error = error
            return
        if self._has_body():
            self._body = BodyStream()
            self._lift_limit()
        self._transfer_task = self.upstreams.start_transfer(
            self._run_transfer(target), self.workspace_port.path
        )
        self._transfer_task.add_done_callback(self._transfer_done)

    def _check_url(self) -> None:
        """Raise `RedirectTo` for a URL without its slash, and for a navigation with a token."""
        uri = self.request.uri or ""
        if not self.path_kwargs["rest"]:
            path, mark, query = uri.partition("?")
            status = 302 if self.request.method in ("GET", "HEAD") else 307
            raise RedirectTo(f"{path}/{mark}{query}", status)
        credentials = self.credential_filter
        if self.navigates and has_token(self.request.query, credentials.tokens):
            # Keeps the token out of the workspace's page and of the browser's history.
            raise RedirectTo(credentials.query_inward(uri, {}))

    async def data_received(self, chunk: bytes) -> None:
        """Forward a chunk of the body; waits while the workspace does not accept it."""
        if self._body is not None:
            await self._body.put(chunk)

    async def _respond(self, **_: str) -> None:
        """Wait for the end of the transfer, after the request has been read."""
        self._request_read.set()
        if self._held_error is not None:
            raise self._held_error
        assert self._transfer_task is not None
        if self._body is not None:
            await self._body.put(None)
        await asyncio.wait((self._transfer_task,))
        if not self._transfer_task.cancelled():
            error = self._transfer_task.result()
            if error is not None:
                raise error

    # `prepare` authenticates. `jupyter_server.auth.decorator.ws_authenticated` sets this mark, too.
    setattr(_respond, "__allow_unauthenticated", False)
    get = head = post = put = patch = delete = options = _respond

    def on_connection_close(self) -> None:
        """Cancel the transfer when the browser closes its connection."""
        if self._transfer_task is not None:
            self._transfer_task.cancel()

    def on_finish(self) -> None:
        """Cancel the transfer after another response, and restore the body limit."""
        if self._transfer_task is not None and self._transfer_task is not asyncio.current_task():
            self._transfer_task.cancel()
        setter = getattr(self.request.connection, "set_max_body_size", None)
        if self._limit is not None and setter is not None:
            setter(self._limit)  # the connection's next request may be for Jupyter itself

    def _transfer_done(self, transfer: asyncio.Task[web.HTTPError | None]) -> None:
        if self._body is not None:
            self._body.abandon()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Respond with an error, and close the connection if a body is left unread."""
        if not self._request_read.is_set() and self._has_body():
            self.set_header("Connection", "close")
        super().write_error(status_code, **kwargs)

    def _has_body(self) -> bool:
        headers = self.request.headers
        return "Transfer-Encoding" in headers or headers.get("Content-Length", "0") != "0"

    def _body_is_small(self) -> bool:
        """Return whether there is no body, or one that has probably been sent already."""
        if not self._has_body():
            return True
        length = body_length(self.request)
        return length is not None and length <= SMALL_BODY and "Expect" not in self.request.headers

    def _lift_limit(self) -> None:
        """Lift the server's body limit: uploads are streamed, and the workspace limits them."""
        connection = self.request.connection
        if (setter := getattr(connection, "set_max_body_size", None)) is not None:
            parameters = getattr(connection, "params", None)
            stream = getattr(connection, "stream", None)
            self._limit = getattr(parameters, "max_body_size", None) or getattr(
                stream, "max_buffer_size", 100 * 2**20
            )
            setter(UNLIMITED)
        # `common.listeners.http_server` has limits of its own, a Jupyter server has not.
        if (stream_body := getattr(connection, "stream_body", None)) is not None:
            stream_body()

    async def _run_transfer(self, target: Target) -> web.HTTPError | None:
        """Transfer. Returns an error for `_respond` to send, after the end of the body.

        Sends it itself if the browser goes on sending for `DRAIN_SECONDS`.
        """
        try:
            await self._transfer(target)
        except web.HTTPError as error:
            if self._body is None or await self._drain(self._body):
                return error
            self.send_error(error.status_code, exc_info=(type(error), error, error.__traceback__))
        return None

    async def _transfer(self, target: Target) -> None:
        """Send the request to the workspace, and its response to the browser.

        Raises:
            RequestRefused: The response cannot be forwarded.
            WorkspaceUnavailable: The workspace does not respond.
        """
        from .upstream_errors import UPSTREAM_ERRORS, describe, transfer_error

        path, port = self.public_path(target), self.workspace_port
        token = await self.workspace_token(target)
        try:
            async with await self._open(target, path, token) as response:
                if response.status in (401, 403):
                    self.upstreams.token_rejected(port, target, token)
                try:
                    check_response(response)
                except BadResponse:
                    response.close()  # nothing else in this connection can be trusted
                    raise
                await self._send_response(response, path)
        except iostream.StreamClosedError:
            return
        except httputil.HTTPOutputError:  # the body is not as long as its header says
            self._abort_connection()
        except UPSTREAM_ERRORS as error:
            if self._headers_written:
                self._abort_connection()
                return
            self._clear_headers()
            failure = transfer_error(error, port.name, forwarded=target.forwarded is not None)
            if isinstance(failure, Unavailable):
                raise await self.unavailable(failure) from error
            self.log.warning("No response of %s was forwarded: %s", port.path, describe(error))
            raise failure from error

    async def _open(
        self, target: Target, path: PublicPath, token: str | None
    ) -> aiohttp.ClientResponse:
        """Send the request. Returns the response when its head has arrived.

        A refused connection is retried for a read.
        """
        import aiohttp

        from jupyter_workspaces.server.proxy.transfer.port_forward import PortClosed

        headers = request_headers(
            self.request.headers.get_all(),
            addresses=self.address_mapping(path),
            target=target,
            credentials=self.credential_filter,
            token=token,
            token_authenticated=self.token_authenticated,
            remote=self.request.remote_ip or "",
            must_be_readable=self._opens_tab,
        )
        length = self.request.headers.get("Content-Length")
        if length is not None and "Transfer-Encoding" not in self.request.headers:
            headers["Content-Length"] = length
        url = upstream_url("http", target, path, self.request, self.credential_filter)
        method = self.request.method or "GET"
        session = await self.upstreams.session(self.services.cluster.cluster, target)
        is_read = self._body is None and method in ("GET", "HEAD", "OPTIONS")
        retries = list(CONNECT_RETRIES) if is_read else []
        while True:
            data = self._body.chunks() if self._body is not None else None
            try:
                return await self._wait_for_head(
                    session.request(method, url, headers=headers, data=data, allow_redirects=False),
                    target,
                    path,
                    token,
                )
            except (aiohttp.ClientConnectorError, PortClosed):
                if not retries:
                    raise
                await asyncio.sleep(retries.pop(0))

    async def _wait_for_head(
        self,
        request: Awaitable[aiohttp.ClientResponse],
        target: Target,
        path: PublicPath,
        token: str | None,
    ) -> aiohttp.ClientResponse:
        """Return the response when its head has arrived. Raises `ResponseTimeout`."""
        longest, timeouts = self.upstreams.limits.response_seconds, self.upstreams.page_timeouts
        stalled = self._body.stalled if self._body is not None else lambda: math.inf

        def responds() -> Awaitable[bool]:
            return self.upstreams.responds(self.services.cluster.cluster, target, path, token)

        if not self.navigates:
            return await wait_for_head(request, longest, stalled, responds, longest)
        seconds = timeouts.seconds(self.workspace_port)
        try:
            response = await wait_for_head(request, seconds, stalled, responds, longest)
        except ResponseTimeout:
            timeouts.failed(self.workspace_port)
            raise
        timeouts.succeeded(self.workspace_port)
        return response

    async def _send_response(self, response: aiohttp.ClientResponse, path: PublicPath) -> None:
        """Send the workspace's response to the browser."""
        change = body_change(response, path, self._notice(path))
        self._clear_headers()
        self.set_status(response.status, reason_phrase(response))
        forwarded = response_headers(
            response.headers.items(),
            self.address_mapping(path),
            self.credential_filter,
            page=self.request.path,
            status=response.status,
            rewritten=change is not None,
            cors="Access-Control-Allow-Origin" not in self._headers,
        )
        for name, value in forwarded:
            self.add_header(name, value)
        if change is not None and change.has_notice:
            self.add_header("Vary", "Sec-Fetch-Dest")  # other requests get other bytes
        await self.flush()
        if self.request.method != "HEAD":
            async for piece in body_pieces(response, change):
                self.write(piece)
                await self.flush()
        if self._body is not None and not self._request_read.is_set():
            await self._drain(self._body)
        await self.finish()

    def _notice(self, path: PublicPath) -> bytes | None:
        """Return the script element for the page of a tab, if the setting permits it."""
        if not self._opens_tab:
            return None
        port_id = self.workspace_port.port_id
        return script_element(path.outer[: -len(port_id) - 1], port_id)

    @property
    def _opens_tab(self) -> bool:
        return bool(self.settings.get(TAB_NOTICES, True)) and opens_tab(
            self.request.method or "GET", self.request.headers
        )

    async def _drain(self, body: BodyStream) -> bool:
        """Read and drop the rest of the body, so that the browser reads the early response.

        RFC 9112 §9.6: closing the connection at once may lose the response. Returns whether the
        whole body has been read.
        """
        body.abandon()
        try:
            async with timeout(DRAIN_SECONDS):
                await self._request_read.wait()
        except asyncio.TimeoutError:
            self.log.debug("%s responded before the end of an upload", self.workspace_port.path)
        return self._request_read.is_set()

    def _clear_headers(self) -> None:
        """Remove Jupyter's default headers, except CORS headers and cookies of a sign-in."""
        cors = {
            name: self._headers[name]
            for name in self._headers
            if name.lower().startswith("access-control-")
        }
        cookies = self._headers.get_list("Set-Cookie")
        self._headers = httputil.HTTPHeaders(cors)
        for cookie in cookies:
            self._headers.add("Set-Cookie", cookie)
        self._transforms = []  # the workspace decides about compression

    def _abort_connection(self) -> None:
        """Close the browser's connection, so that it does not take the response for complete."""
        self._auto_finish = False
        self.detach().close()
