"""HTTP into a workspace: streamed both ways, with back-pressure, cut off together."""

from __future__ import annotations

import asyncio
import math
import re
import zlib
from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING, Any

from tornado import httputil, iostream, web
from tornado.routing import PathMatches

from jupyter_workspaces.common.timeouts import timeout

from .access import (
    PORT,
    Absent,
    ConnectHandler,
    Elsewhere,
    Refused,
)
from .headers.credentials import has_token
from .headers.request_headers import request_headers, upstream_url
from .headers.response_headers import response_headers
from .pages.status import StatusHandler
from .pages.tab_handlers import tab_routes
from .pages.tab_notice import SETTING as TAB_NOTICES
from .pages.tab_notice import (
    Appender,
    element,
    opens_tab,
    takes_notice,
)
from .rewriting.content_types import Rewriter, rewriter
from .rewriting.decoding import Decoder, decoder
from .rewriting.public_path import PublicPath
from .target import Target, Unavailable
from .transfer.framing import (
    BadResponse,
    body_length,
    check_response,
    reason_phrase,
    request_fault,
    wants_websocket,
)
from .transfer.requests import Body
from .transfer.response_wait import NoAnswer, head
from .transfer.websocket import SocketHandler

if TYPE_CHECKING:
    import aiohttp

PAUSES = (0.1, 0.3, 0.6)
"""Seconds before a read is tried again whose connection was refused: the pod may be ready a moment before its port is."""

NO_LIMIT = 2**62
SMALL_BODY = 2**20
LINGER_SECONDS = 10


class Upgrades(PathMatches):
    """Matches only requests that want to become a WebSocket."""

    def match(self, request: httputil.HTTPServerRequest) -> dict[str, Any] | None:
        return super().match(request) if wants_websocket(request) else None


@web.stream_request_body
class HttpHandler(ConnectHandler):
    """One request. Its exchange with the workspace is a task of its own, so that the answer may begin before the body has ended."""

    _body: Body | None = None
    _exchange: asyncio.Task[web.HTTPError | None] | None = None
    _refusal: web.HTTPError | None = None
    _limit: int | None = None

    def initialize(self) -> None:
        self._whole = asyncio.Event()  # set when all of the request has been read

    async def prepare(self) -> None:  # type: ignore[override]
        try:
            if (fault := request_fault(self.request)) is not None:
                raise Refused(400, f"This request cannot be passed on. {fault}", "BadRequest")
            await super().prepare()
            self._check_address()
            target = await self.find()
        except web.HTTPError as refusal:
            if not self._is_soon_read():
                raise
            self._refusal = refusal  # said by `_answer`: a connection that is closed while the other side sends may lose what was said
            return
        if self._has_body():
            self._body = Body()
            self._lift_limit()
        self._exchange = self.upstreams.exchange(self._carry(target), self.place.path)
        self._exchange.add_done_callback(self._exchanged)

    def _check_address(self) -> None:
        """Raises `Elsewhere` for one that is not quite right."""
        uri = self.request.uri or ""
        if not self.path_kwargs["rest"]:
            path, mark, query = uri.partition("?")
            raise Elsewhere(
                f"{path}/{mark}{query}", 302 if self.request.method in ("GET", "HEAD") else 307
            )
        guard = self.guard
        if self.navigates and has_token(self.request.query, guard.tokens):
            raise Elsewhere(
                guard.query_inward(uri, {})
            )  # the token stays out of the workspace's page and of the history

    async def data_received(self, chunk: bytes) -> None:
        if self._body is not None:
            await self._body.put(chunk)

    async def _answer(self, **_: str) -> None:
        self._whole.set()
        if self._refusal is not None:
            raise self._refusal
        assert self._exchange is not None
        if self._body is not None:
            await self._body.put(None)
        await asyncio.wait((self._exchange,))
        if not self._exchange.cancelled() and (refusal := self._exchange.result()) is not None:
            raise refusal

    # `prepare` has asked who it is; by this Jupyter knows (`jupyter_server.auth.decorator.ws_authenticated` sets the same).
    setattr(_answer, "__allow_unauthenticated", False)
    get = head = post = put = patch = delete = options = _answer

    def on_connection_close(self) -> None:
        """The browser went away: so does the request into the workspace."""
        if self._exchange is not None:
            self._exchange.cancel()

    def on_finish(self) -> None:
        if self._exchange is not None and self._exchange is not asyncio.current_task():
            self._exchange.cancel()
        if self._limit is not None and (
            setter := getattr(self.request.connection, "set_max_body_size", None)
        ):
            setter(
                self._limit
            )  # the connection lives on and may next ask another part of the server

    def _exchanged(self, exchange: asyncio.Task[web.HTTPError | None]) -> None:
        if self._body is not None:
            self._body.abandon()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        if not self._whole.is_set() and self._has_body():
            self.set_header("Connection", "close")  # what is left of the body is not read
        super().write_error(status_code, **kwargs)

    def _has_body(self) -> bool:
        headers = self.request.headers
        return "Transfer-Encoding" in headers or headers.get("Content-Length", "0") != "0"

    def _is_soon_read(self) -> bool:
        """Whether there is no body, or so little that it is sent already."""
        if not self._has_body():
            return True
        length = body_length(self.request)
        return length is not None and length <= SMALL_BODY and "Expect" not in self.request.headers

    def _lift_limit(self) -> None:
        """Uploads into a workspace are its own matter; nothing of them is kept here."""
        connection = self.request.connection
        if (setter := getattr(connection, "set_max_body_size", None)) is not None:
            parameters = getattr(connection, "params", None)
            stream = getattr(connection, "stream", None)
            self._limit = getattr(parameters, "max_body_size", None) or getattr(
                stream, "max_buffer_size", 100 * 2**20
            )
            setter(NO_LIMIT)
        if (stream_body := getattr(connection, "stream_body", None)) is not None:
            stream_body()  # `serve`'s own bounds (`common/listeners/http_server.py`); a Jupyter server has none

    async def _carry(self, target: Target) -> web.HTTPError | None:
        """Transfer. Returns a refusal for `_answer` to say; says it before the end of an upload that takes longer than 10 s more."""
        try:
            await self._transfer(target)
        except web.HTTPError as refusal:
            if self._body is None or await self._drain(self._body):
                return refusal
            self.send_error(
                refusal.status_code, exc_info=(type(refusal), refusal, refusal.__traceback__)
            )
        return None

    async def _transfer(self, target: Target) -> None:
        """Raises `Refused`; a workspace that does not answer is a page or 503."""
        import aiohttp

        from .transfer.port_forward import NobodyListens, NoWay

        path = self.public_path(target)
        token = await self.workspace_token(target)
        try:
            async with await self._open(target, path, token) as response:
                if response.status in (401, 403):
                    self.upstreams.refused(self.place, target, token)
                try:
                    check_response(response)
                except BadResponse:
                    response.close()  # whatever else is in this connection is no HTTP that we could trust
                    raise
                await self._pass_on(response, path)
        except iostream.StreamClosedError:
            return
        except NoAnswer as error:
            self._begin_anew()
            raise self.silent(error.seconds) from error
        except httputil.HTTPOutputError:
            self._break_off()  # the body is not as long as its header says
        except (BadResponse, aiohttp.ClientResponseError) as error:
            if self._headers_written:
                self._break_off()
                return
            self._begin_anew()
            why = str(error) if isinstance(error, BadResponse) else "it is not HTTP"
            self.log.warning("The response of %s is not passed on: %s", self.place.path, why)
            raise Refused(
                502,
                f"The response of the program in {self.place.name} was not passed on: {why}.",
                "BadResponse",
            ) from error
        except NoWay as error:
            raise await self.absent(error.why) from error
        except (
            aiohttp.ClientConnectorError,
            NobodyListens,
            aiohttp.ConnectionTimeoutError,
        ) as error:
            self._begin_anew()
            slow = isinstance(error, aiohttp.ConnectionTimeoutError)
            if slow and target.forwarded is not None:
                raise Absent(
                    Unavailable(
                        "cluster",
                        "The cluster does not answer, and connections to it go through it. Trying again.",
                    )
                ) from error
            reason = "did not answer within 10 s" if slow else "does not take connections yet"
            raise await self.absent(
                Unavailable("starting", f"Its program {reason}; trying again.")
            ) from error
        except (aiohttp.ClientError, zlib.error, asyncio.TimeoutError) as error:
            if self._headers_written:
                self._break_off()
                return
            self._begin_anew()
            self.log.warning(
                "%s broke off: %s", self.place.path, str(error) or type(error).__name__
            )
            raise Refused(
                502,
                f"The program in {self.place.name} broke off before it answered. Try again; its log may say why.",
                "BrokenOff",
            ) from error

    async def _open(
        self, target: Target, path: PublicPath, token: str | None
    ) -> aiohttp.ClientResponse:
        """The response, begun. A read whose connection is refused is tried again a few times."""
        import aiohttp

        from .transfer.port_forward import NobodyListens

        headers = request_headers(
            self.request.headers.get_all(),
            addresses=self.addresses(path),
            target=target,
            guard=self.guard,
            token=token,
            token_authenticated=self.token_authenticated,
            remote=self.request.remote_ip or "",
            read_here=self._opens_tab,
        )
        length = self.request.headers.get("Content-Length")
        if length is not None and "Transfer-Encoding" not in self.request.headers:
            headers["Content-Length"] = length
        url = upstream_url("http", target, path, self.request, self.guard)
        method = self.request.method or "GET"
        session = await self.upstreams.session(self.services.cluster.cluster, target)
        pauses = list(PAUSES) if self._body is None and method in ("GET", "HEAD", "OPTIONS") else []
        while True:
            data = self._body.chunks() if self._body is not None else None
            try:
                return await self._head(
                    session.request(method, url, headers=headers, data=data, allow_redirects=False),
                    target,
                    path,
                    token,
                )
            except (aiohttp.ClientConnectorError, NobodyListens):
                if not pauses:
                    raise
                await asyncio.sleep(pauses.pop(0))

    async def _head(
        self,
        request: Awaitable[aiohttp.ClientResponse],
        target: Target,
        path: PublicPath,
        token: str | None,
    ) -> aiohttp.ClientResponse:
        """The response, begun in time. Raises `NoAnswer`."""
        most, patience = self.upstreams.limits.response_seconds, self.upstreams.patience
        stalled = self._body.stalled if self._body is not None else lambda: math.inf
        if not self.navigates:
            return await head(request, most, stalled, alive=_unasked, most=most)

        def alive() -> Awaitable[bool]:
            return self.upstreams.answers(self.services.cluster.cluster, target, path, token)

        try:
            response = await head(request, patience.seconds(self.place), stalled, alive, most)
        except NoAnswer:
            patience.failed(self.place)
            raise
        patience.succeeded(self.place)
        return response

    async def _pass_on(self, response: aiohttp.ClientResponse, path: PublicPath) -> None:
        changing = _rewriting(response, path, self._notice(path))
        self._begin_anew()
        self.set_status(response.status, reason_phrase(response))
        passed = response_headers(
            response.headers.items(),
            self.addresses(path),
            self.guard,
            page=self.request.path,
            status=response.status,
            rewritten=changing is not None,
            cors="Access-Control-Allow-Origin" not in self._headers,
        )
        for name, value in passed:
            self.add_header(name, value)
        if changing is not None and isinstance(changing[0], Appender):
            self.add_header(
                "Vary", "Sec-Fetch-Dest"
            )  # the same address has other bytes for scripts
        await self.flush()
        if self.request.method != "HEAD":
            async for chunk in _pieces(response, changing):
                self.write(chunk)
                await self.flush()
        if self._body is not None and not self._whole.is_set():
            await self._drain(self._body)
        await self.finish()

    def _notice(self, path: PublicPath) -> bytes | None:
        """The script element for the page of a tab, where the setting permits it."""
        if not self._opens_tab:
            return None
        return element(path.outer[: -len(self.place.port_id) - 1], self.place.port_id)

    @property
    def _opens_tab(self) -> bool:
        return bool(self.settings.get(TAB_NOTICES, True)) and opens_tab(
            self.request.method or "GET", self.request.headers
        )

    async def _drain(self, body: Body) -> bool:
        """The answer came before the body had ended: let the browser read it before its connection is closed under it (RFC 9112 §9.6)."""
        body.abandon()
        try:
            async with timeout(LINGER_SECONDS):
                await self._whole.wait()
        except asyncio.TimeoutError:
            self.log.debug("%s answered an upload before its end", self.place.path)
        return self._whole.is_set()

    def _begin_anew(self) -> None:
        """Our own default headers are for our own pages; what Jupyter wrote to sign somebody in stays."""
        cors = {
            name: self._headers[name]
            for name in self._headers
            if name.lower().startswith("access-control-")
        }
        cookies = self._headers.get_list("Set-Cookie")
        self._headers = httputil.HTTPHeaders(cors)
        for cookie in cookies:
            self._headers.add("Set-Cookie", cookie)
        self._transforms = []  # the workspace compresses, or nobody does

    def _break_off(self) -> None:
        """The workspace stopped in the middle: the browser must not take what it has for the whole."""
        self._auto_finish = False
        self.detach().close()


def routes(
    base_url: str,
) -> list[tuple[str | PathMatches, type[web.RequestHandler], dict[str, Any]]]:
    """For `Application.add_handlers`. A WebSocket and a plain request have the same address and different handlers."""
    room = re.escape(base_url) + "workspace/"
    inside = rf"{room}connect/{PORT}(?P<rest>/.*)?"
    return [
        (Upgrades(inside), SocketHandler, {}),
        (inside, HttpHandler, {}),
        (rf"{room}status/{PORT}", StatusHandler, {}),
        *tab_routes(base_url),
    ]


async def _unasked() -> bool:
    """Whatever is no document waits its whole time."""
    return False


def _rewriting(
    response: aiohttp.ClientResponse, path: PublicPath, notice: bytes | None
) -> tuple[Rewriter, Decoder] | None:
    """What changes this body and what reads it; None for nearly all. `notice` is appended where it can be."""
    if response.status in (204, 206, 304) or response.method == "HEAD":
        return None
    charset = response.charset or ""
    changes = rewriter(
        path,
        response.content_type,
        asked=response.url.raw_path,
        charset=charset,
        disposition=response.headers.get("Content-Disposition", ""),
    )
    if notice is not None and takes_notice(
        response.status, response.content_type, charset, response.headers.items()
    ):
        changes = Appender(notice, changes)
    read = decoder(response.headers.get("Content-Encoding", ""))
    return None if changes is None or read is None else (changes, read)


async def _pieces(
    response: aiohttp.ClientResponse, changing: tuple[Rewriter, Decoder] | None
) -> AsyncIterator[bytes]:
    """Yield the body; what is rewritten comes in small pieces, with a turn of the event loop after each."""
    async for chunk in response.content.iter_any():
        if changing is None:
            yield chunk
            continue
        changes, read = changing
        for piece in read.feed(chunk):
            if changed := changes.feed(piece):
                yield changed
            await asyncio.sleep(0)
    if changing is not None and (rest := changing[0].finish()):
        yield rest
