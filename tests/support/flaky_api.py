"""A proxy to a Kubernetes API that fails on demand and counts requests by resource type."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web
from yarl import URL

from jupyter_workspaces.kube.endpoint import Endpoint

EXPIRED = {
    "kind": "Status",
    "apiVersion": "v1",
    "status": "Failure",
    "reason": "Expired",
    "code": 410,
    "message": "too old resource version",
}
HUNG_SECONDS = 600.0

MODES = {
    "refuse": "connections are closed at once",
    "html": "a gateway's page, as 200",
    "json": "JSON that is no list and no event, as 200",
    "error": "500 for everything",
    "busy": "429 with Retry-After",
    "gone": "watches are answered with 410",
    "short": "watches end at once",
    "told": "watches end after one bookmark",
    "garbage": "a watch has a line that is not JSON",
    "half": "a watch ends in the middle of a line",
    "silent": "watches are accepted, and stay empty for ever",
    "hang": "nothing is answered, open connections are cut",
    "freeze": "nothing is answered, open connections stay, and are silent",
    "body": "lists stop in the middle of their body",
    "slow": "everything takes longer",
}
"""What each does to requests below /api, /apis and /version.

Open watches are cut, except by `freeze`.
"""


class FlakyApi:
    """The proxy: `mode` is a key of `MODES` or `ok`; `asked` counts requests by plural."""

    def __init__(self, upstream: Endpoint, slow_seconds: float = 5.0) -> None:
        self.url = ""
        self.mode = "ok"
        self.asked: Counter[str] = Counter()
        self.slow_seconds = slow_seconds
        self._upstream = upstream
        self._streams: set[asyncio.Transport] = set()
        self._freezes = 0
        self.session: aiohttp.ClientSession

    def fail(self, mode: str) -> None:
        """Start to fail, or to work again with `ok`. Requests that hang are never answered."""
        assert mode == "ok" or mode in MODES
        self.mode = mode
        if mode == "freeze":
            self._freezes += 1
        elif mode != "ok":
            for transport in list(self._streams):
                transport.abort()

    def reset(self) -> Counter[str]:
        """The counts so far, which begin anew."""
        asked, self.asked = self.asked, Counter()
        return asked

    async def answer(self, request: web.Request) -> web.StreamResponse:
        is_watch = request.query.get("watch") == "true"
        self.asked[request.path.rpartition("/")[2]] += 1
        transport = request.transport
        assert transport is not None
        match self.mode:
            case "refuse":
                transport.abort()
            case "hang" | "freeze":
                await asyncio.sleep(HUNG_SECONDS)
            case "slow":
                await asyncio.sleep(self.slow_seconds)
            case "html":
                return web.Response(text="<html>maintenance</html>", content_type="text/html")
            case "json":
                return web.json_response({"status": "UP"})
            case "error":
                return web.Response(status=500, text="upstream connect error")
            case "busy":
                return web.Response(
                    status=429, headers={"Retry-After": "1"}, text="too many requests"
                )
            case "gone" if is_watch:
                return web.Response(
                    text=json.dumps({"type": "ERROR", "object": EXPIRED}) + "\n",
                    content_type="application/json",
                )
            case "short" if is_watch:
                return web.Response(content_type="application/json")
            case "told" if is_watch:
                bookmark = {"metadata": {"resourceVersion": request.query["resourceVersion"]}}
                return web.Response(
                    text=json.dumps({"type": "BOOKMARK", "object": bookmark}) + "\n",
                    content_type="application/json",
                )
            case "garbage" if is_watch:
                return web.Response(text='\x00{"type": nonsense\n', content_type="application/json")
            case "half" if is_watch:
                return web.Response(
                    text='{"type": "ADDED", "object": {"meta', content_type="application/json"
                )
            case "silent" if is_watch:
                return await self._hold(request, b"")
            case "body" if not is_watch and request.path != "/version":
                return await self._hold(request, b'{"kind": "List", "items": [')
            case "body" if is_watch:
                return web.Response(
                    text=json.dumps({"type": "ERROR", "object": EXPIRED}) + "\n",
                    content_type="application/json",
                )
        return await self._pass_on(request, transport)

    async def _hold(self, request: web.Request, begun: bytes) -> web.StreamResponse:
        held = web.StreamResponse(headers={"Content-Type": "application/json"})
        held.enable_chunked_encoding()
        await held.prepare(request)
        if begun:
            await held.write(begun)
        await asyncio.sleep(HUNG_SECONDS)
        return held

    async def _pass_on(
        self, request: web.Request, transport: asyncio.Transport
    ) -> web.StreamResponse:
        left_out = ("host", "content-length", "connection", "accept-encoding", "authorization")
        headers = {
            key: value for key, value in request.headers.items() if key.lower() not in left_out
        }
        headers |= await self._upstream.headers()
        data, url = (
            await request.read() or None,
            URL(self._upstream.url + request.raw_path, encoded=True),
        )
        async with self.session.request(request.method, url, headers=headers, data=data) as answer:
            passed = web.StreamResponse(
                status=answer.status, headers={"Content-Type": answer.headers["Content-Type"]}
            )
            await passed.prepare(request)
            self._streams.add(transport)
            freezes = self._freezes
            try:
                async for chunk in answer.content.iter_any():
                    if freezes != self._freezes:
                        break
                    await passed.write(chunk)
                if freezes != self._freezes:  # what was open then stays silent for ever
                    await asyncio.sleep(HUNG_SECONDS)
                await passed.write_eof()
            finally:
                self._streams.discard(transport)
        return passed


@asynccontextmanager
async def flaky_api(upstream: Endpoint, slow_seconds: float = 5.0) -> AsyncIterator[FlakyApi]:
    """Serve in front of `upstream`, with its credentials."""
    api = FlakyApi(upstream, slow_seconds)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.answer)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    connector = aiohttp.TCPConnector(limit=0, ssl=upstream.ssl_context or True)
    async with aiohttp.ClientSession(
        connector=connector, timeout=aiohttp.ClientTimeout(total=None), auto_decompress=False
    ) as api.session:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield api
        finally:
            api.fail("refuse")
            await runner.cleanup()
