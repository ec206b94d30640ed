"""Megabytes of HTML per second through the proxy with URL rewriting, and without it."""

from __future__ import annotations

import asyncio
import gzip
import time

import aiohttp
from aiohttp import web as upstream
from measure import Figure, at_least, at_most, median
from tornado import httpserver, web
from tornado.testing import bind_unused_port

from jupyter_workspaces.server.proxy.response_body import body_change, body_pieces
from jupyter_workspaces.server.proxy.rewriting.public_path import PublicPath

REPEATS = 3
INNER = "/workspace/connect/team/bench/web/"
BEHIND_BASE = PublicPath("/user/x/", INNER)
AT_ROOT = PublicPath("/", INNER)
ROW = (
    b'<tr class="odd"><td><a href="/item/17?x=1&amp;y=2" title="An item">17</a></td>'
    b'<td>some text</td><td><img src="/p.png"></td></tr>\n'
)
CONFIG = (
    b'<script id="jupyter-config-data">{"many": ["'
    + b'/static/file.js", "' * (4 * 2**20 // 19)
    + b'"]}</script>'
)

# What is sent, and the goal in megabytes per second on two shared cores.
PAGES = {
    "an ordinary page of 10 MB": (ROW * (10 * 2**20 // len(ROW)), 3.0),
    "1 MB of `<`": (b"<" * 2**20, 3.0),
    "128 KB of `<a b='`": (b"<a b='" * (2**17 // 6), 1.0),
    "256 KB of small tags with URLs": (b"<a href=/>" * (2**18 // 10), 0.5),
    "256 KB of small tags": (b"<a b=c></a x>" * (2**18 // 13), 2.0),
    "20 MB of tags, gzip": (b"<a>" * (20 * 2**20 // 3), 3.0),
    "a configuration of 4 MB": (CONFIG, 1.0),
}
PACKED = {name: gzip.compress(body) for name, (body, _) in PAGES.items() if name.endswith("gzip")}


class Proxy(web.RequestHandler):
    """The part of the proxy that passes a response on."""

    async def get(self, name: str) -> None:
        path = AT_ROOT if self.get_argument("copy", "") else BEHIND_BASE
        session: aiohttp.ClientSession = self.settings["session"]
        async with session.get(f"{self.settings['upstream']}/{name}") as response:
            async for piece in body_pieces(response, body_change(response, path)):
                self.write(piece)
                await self.flush()


async def page(request: upstream.Request) -> upstream.Response:
    name = list(PAGES)[int(request.path[1:])]
    headers = {"Content-Encoding": "gzip"} if name in PACKED else {}
    return upstream.Response(
        body=PACKED.get(name, PAGES[name][0]), content_type="text/html", headers=headers
    )


async def longest_stall(found: list[float]) -> None:
    """Keep the longest time between two turns of the event loop, in milliseconds."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0)
        found[0] = max(found[0], 1000 * (time.perf_counter() - before))


async def seconds(session: aiohttp.ClientSession, url: str) -> float:
    began = time.perf_counter()
    async with session.get(url) as answer:
        async for _ in answer.content.iter_any():
            pass
    return time.perf_counter() - began


async def run() -> list[Figure]:
    figures = []
    app = upstream.Application()
    app.router.add_get("/{page}", page)
    runner = upstream.AppRunner(app, access_log=None)
    await runner.setup()
    await upstream.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession(auto_decompress=False, read_bufsize=2**18) as session:
        settings = {"session": session, "upstream": f"http://127.0.0.1:{runner.addresses[0][1]}"}
        server = httpserver.HTTPServer(web.Application([(r"/(\d+)", Proxy)], **settings))
        listener, port = bind_unused_port()
        server.add_sockets([listener])
        for number, (name, (body, goal)) in enumerate(PAGES.items()):
            url, stall = f"http://127.0.0.1:{port}/{number}", [0.0]
            copied = median([await seconds(session, f"{url}?copy=1") for _ in range(REPEATS)])
            watching = asyncio.create_task(longest_stall(stall))
            rewritten = median([await seconds(session, url) for _ in range(REPEATS)])
            watching.cancel()
            await asyncio.wait((watching,))
            size = len(body) / 2**20
            reference = f"passed on as it is: {size / copied:.4g} MB/s" + (
                " (of what it holds)" if name in PACKED else ""
            )
            figures.append(at_least(f"rewriting {name}", size / rewritten, goal, "MB/s", reference))
            figures.append(
                at_most(f"longest stall of the event loop meanwhile, {name}", stall[0], 50, "ms")
            )
        server.stop()
        await server.close_all_connections()
    await runner.cleanup()
    return figures


def measure() -> list[Figure]:
    return asyncio.run(run())
