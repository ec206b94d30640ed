"""A small program as it may run in a workspace: cookies, POSTs, streams and WebSockets.

`python upstream.py ADDRESS [PORT]` prints its port.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import sys
import time
import zlib

from aiohttp import WSMsgType, web

from jupyter_workspaces.common.timeouts import timeout

PREFIX = "/workspace/connect/team-a/small/web/"
counts = {"cancelled": 0, "dropped": 0}


async def echo(request: web.Request) -> web.Response:
    """Return the request exactly as it arrived."""
    digest, length = hashlib.sha256(), 0
    async for chunk in request.content.iter_chunked(2**16):
        digest.update(chunk)
        length += len(chunk)
    headers = [
        [name.decode("latin-1"), value.decode("latin-1")] for name, value in request.raw_headers
    ]
    told = {
        "method": request.method,
        "target": request.raw_path,
        "headers": headers,
        "length": length,
        "sha256": digest.hexdigest(),
    }
    return web.json_response(told)


async def cookies(request: web.Request) -> web.Response:
    answer = web.Response(text="set")
    for header in (
        "session=one; Path=/; HttpOnly",
        f"deep=two; Path={PREFIX}cookies",
        "_xsrf=inner; Path=/; Domain=127.0.0.1; SameSite=Lax",
        "username-127-0-0-1-8888=somebody; HttpOnly",
        "__Host-safe=three; Path=/; Secure",
    ):
        answer.headers.add("Set-Cookie", header)
    return answer


async def download(request: web.Request) -> web.StreamResponse:
    size, piece = int(request.query["bytes"]), bytes(2**18)
    answer = web.StreamResponse()
    if "chunked" not in request.query:
        answer.content_length = size
    await answer.prepare(request)
    while size > 0 and request.method != "HEAD":
        await answer.write(piece[:size])
        size -= len(piece)
    return answer


async def endless(request: web.Request) -> web.StreamResponse:
    """Count the readers that disconnect."""
    answer = web.StreamResponse()
    await answer.prepare(request)
    try:
        while True:
            await answer.write(b"tick\n")
            await asyncio.sleep(0.02)
    except (ConnectionError, asyncio.CancelledError):
        counts["cancelled"] += 1
        raise


async def events(request: web.Request) -> web.StreamResponse:
    """Send the second event after POST `go`."""
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    await answer.write(b"data: first\n\n")
    async with timeout(10):
        await request.app["go"].wait()
    await answer.write(b"data: second\n\n")
    return answer


async def go(request: web.Request) -> web.Response:
    request.app["go"].set()
    return web.Response()


async def redirect(request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": request.query["to"]})


async def page(request: web.Request) -> web.StreamResponse:
    """Return HTML in the sizes of `pieces`, compressed with `gzip`."""
    body = PAGE.encode()
    headers = {"Content-Type": "text/html; charset=utf-8", "ETag": '"v1"'}
    if "gzip" in request.query:
        body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
    step = int(request.query.get("pieces", len(body)))
    answer = web.StreamResponse(headers=headers)
    answer.content_length = len(body)
    await answer.prepare(request)
    if request.method == "HEAD":
        return answer
    for start in range(0, len(body), step):
        await answer.write(body[start : start + step])
    return answer


async def bomb(request: web.Request) -> web.Response:
    """Return the request body as HTML, `times` times; with `gzip` compressed."""
    unit, times = await request.read(), int(request.query["times"])
    headers = {"Content-Type": "text/html"}
    if "gzip" not in request.query:
        return web.Response(body=unit * times, headers=headers)
    packer = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    packed = b"".join([*(packer.compress(unit) for _ in range(times)), packer.flush()])
    return web.Response(body=packed, headers={**headers, "Content-Encoding": "gzip"})


async def typed(request: web.Request) -> web.Response:
    """Return the request body as `type`, with `disposition`."""
    headers = {"Content-Type": request.query["type"]}
    if "disposition" in request.query:
        headers["Content-Disposition"] = request.query["disposition"]
    return web.Response(body=await request.read(), headers=headers)


async def breaks(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    answer.content_length = 1000
    await answer.prepare(request)
    await answer.write(b"half")
    assert request.transport is not None
    request.transport.abort()
    return answer


async def slow(request: web.Request) -> web.Response:
    """Respond after `seconds`; with `blocks`, no other request is served meanwhile."""
    seconds = float(request.query["seconds"])
    if "blocks" in request.query:
        time.sleep(seconds)  # noqa: ASYNC251 - as programs do that handle one request at a time
    else:
        await asyncio.sleep(seconds)
    return web.Response(text="at last")


async def refuses(request: web.Request) -> web.Response:
    """Respond before the body has been read, and never read it."""
    return web.Response(status=413, text="too large")


async def names(request: web.Request) -> web.Response:
    status, headers = (
        int(request.query.get("status", 200)),
        {"X-Name": "Grüße", "Service-Worker-Allowed": "/", "Connection": "X-Hop"},
    )
    return web.Response(
        status=status,
        headers={**headers, "X-Hop": "1", "Content-Security-Policy": "default-src 'self'"},
    )


async def socket(request: web.Request) -> web.WebSocketResponse:
    answer = web.WebSocketResponse(protocols=("two", "one"), autoping=False, max_msg_size=2**28)
    await answer.prepare(request)
    request.app["sockets"].add(answer)
    try:
        async for message in answer:
            if message.type is WSMsgType.BINARY:
                await answer.send_bytes(message.data)
            elif message.type is WSMsgType.PONG:
                await answer.send_str(f"pong {message.data.decode()}")
            elif message.data == "headers":
                await answer.send_str(json.dumps(dict(request.headers)))
            elif message.data == "ping":
                await answer.ping(b"are you there")
            elif message.data == "flood":
                for _ in range(2000):
                    await answer.send_bytes(bytes(2**16))
            elif message.data.startswith("send "):
                await answer.send_bytes(bytes(int(message.data[5:])))
            elif message.data.startswith("pings "):
                for _ in range(int(message.data[6:])):
                    await answer.ping(bytes(100))
            elif message.data.startswith("close "):
                await answer.close(code=int(message.data[6:]), message=b"said so")
            elif message.data == "abort":
                assert request.transport is not None
                request.transport.abort()
            else:
                await answer.send_str(message.data)
    finally:
        request.app["closed"].append(answer.close_code)
    return answer


async def kernelspecs(request: web.Request) -> web.Response:
    spec = {
        "name": "python3",
        "spec": {"display_name": "Python"},
        "resources": {"logo-svg": f"{PREFIX}kernelspecs/python3/logo.svg"},
    }
    return web.json_response({"default": "python3", "kernelspecs": {"python3": spec}})


async def state(request: web.Request) -> web.Response:
    return web.json_response({**counts, "closed": request.app["closed"]})


async def no_socket(request: web.Request) -> web.Response:
    return web.Response(status=404)


PAGE = f"""<!DOCTYPE html>
<html><head><base href="{PREFIX}"><!-- <a href="/comment"> -->
<script src="{PREFIX}static/main.js?x=1&amp;y=2"></script>
<script>const text = '<a href="/in-script">';</script>
<script id="jupyter-config-data" type="application/json">
{{"baseUrl": "{PREFIX}", "fullStaticUrl": "{PREFIX}static/lab", "appUrl": "/lab", "name": "</x>",
"nested": {{"list": ["{PREFIX}a"]}}}}
</script></head><body title="> src=/title">
<a href="/workspace/connect/team-a/small/web/tree">a</a><a href='/other'>b</a>
<a href=/bare>c</a><a href="relative">d</a>
<a href="//elsewhere.example/x">e</a><a href="https://elsewhere.example/y">f</a>
<form action="/post" method="post"></form>
<textarea><img src="/in-textarea"></textarea><img alt="1 < 2" src="/picture.png"> 3 < 4
</body></html>
"""


async def main(address: str, port: int = 0) -> None:
    app = web.Application(client_max_size=2**40)
    app["go"], app["sockets"], app["closed"] = asyncio.Event(), set(), []
    found = {
        name: handler for name, handler in globals().items() if asyncio.iscoroutinefunction(handler)
    }

    async def dispatch(request: web.Request) -> web.StreamResponse:
        name = request.path.rstrip("/").rpartition("/")[2].replace("-", "_")
        return await found.get(name, echo)(request)

    app.router.add_route("*", "/{path:.*}", dispatch)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, address, port)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)  # our parent's end is ours
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
