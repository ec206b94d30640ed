"""A hostile program in a workspace: pages hard to rewrite, and WebSockets that flood.

`python program.py ADDRESS PORT`. The node runs it for an image in `images.yaml` of `servers.py`.
"""

from __future__ import annotations

import asyncio
import gzip
import sys

from aiohttp import web

ROW = (
    '<tr class="row"><td><a href="/workspace/connect/default/soak/codeserver/item">an item</a></td>'
    "<td>some words of text</td></tr>\n"
)
MESSAGES = 20


def pages() -> dict[str, bytes]:
    return {
        "ordinary": b"<!DOCTYPE html><html><body><table>"
        + ROW.encode() * (10 * 2**20 // len(ROW))
        + b"</table></body></html>",
        "brackets": b"<" * 2**20,
        "quotes": b"<a b='" * (128 * 2**10 // 6),
        "comments": b"<!--" + b"<!" * 2**19,
        "script": b"<script>" + b"</scrip" * (2**20 // 7),
        "attributes": b"<a " + b"b=c " * 2**18 + b">",
    }


async def page(request: web.Request) -> web.Response:
    body = request.app["pages"][request.match_info["name"]]
    return web.Response(body=body, content_type="text/html")


async def packed(request: web.Request) -> web.Response:
    """63 KB that become about 60 MB of tags."""
    return web.Response(
        body=request.app["packed"],
        headers={"Content-Type": "text/html", "Content-Encoding": "gzip"},
    )


async def flood(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(max_msg_size=0)
    await socket.prepare(request)
    message = bytes(int(request.query["bytes"]))
    for _ in range(MESSAGES):
        try:
            await socket.send_bytes(message)
        except ConnectionError:
            break
    await asyncio.sleep(0)
    return socket


async def ready(request: web.Request) -> web.Response:
    return web.Response(text="ready")


def main() -> None:
    address, port = sys.argv[1:]
    app = web.Application()
    app["pages"] = pages()
    app["packed"] = gzip.compress(b"<a href='/x'>" * (60 * 2**20 // 13))
    app.add_routes(
        [
            web.get("/pages/{name}", page),
            web.get("/packed", packed),
            web.get("/flood", flood),
            web.get("/{rest:.*}", ready),
        ]
    )
    web.run_app(app, host=address, port=int(port), print=None, access_log=None)


if __name__ == "__main__":
    main()
