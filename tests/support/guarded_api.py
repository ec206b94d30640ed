"""A server that requires a credential, and a proxy in front of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from jupyter_workspaces.kube.types import Object


class GuardedApi:
    """Answers `/version` and WebSockets for the token `accepts`; `seen` has all headers."""

    def __init__(self) -> None:
        self.accepts: str | None = None
        self.seen: list[dict[str, str]] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(dict(request.headers))
        if (
            self.accepts is not None
            and request.headers.get("Authorization") != f"Bearer {self.accepts}"
        ):
            status = {
                "kind": "Status",
                "apiVersion": "v1",
                "code": 401,
                "reason": "Unauthorized",
                "message": "Unauthorized",
            }
            return web.json_response(status, status=401)
        if "Upgrade" in request.headers:
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            await socket.send_str("let in")
            await socket.close()
            return socket
        return web.json_response({"gitVersion": "v1.36.0", "path": request.path})


@asynccontextmanager
async def guarded_api(ssl_context: Any = None) -> AsyncIterator[GuardedApi]:
    api = GuardedApi()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl_context).start()
    api.url = f"{'https' if ssl_context else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield api
    finally:
        await runner.cleanup()


class ConnectProxy:
    """Tunnels that clients asked for, by target."""

    def __init__(self) -> None:
        self.targets: list[str] = []
        self.url = ""
        self._tunnels: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b" ", 2)
        assert method == b"CONNECT", head
        self.targets.append(target.decode())
        host, _, port = target.decode().rpartition(":")
        out_reader, out_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_copy(reader, out_writer), _copy(out_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def connect_proxy() -> AsyncIterator[ConnectProxy]:
    proxy = ConnectProxy()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        await server.wait_closed()


def kubeconfig(
    path: Path,
    user: Object,
    server: str = "http://127.0.0.1:1",
    name: str = "there",
    **cluster: Any,
) -> Path:
    """One context, cluster and user."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [
            {"name": name, "context": {"cluster": name, "user": name, "namespace": "lab"}}
        ],
        "clusters": [{"name": name, "cluster": {"server": server, **cluster}}],
        "users": [{"name": name, "user": user}],
    }
    path.write_text(json.dumps(document))
    return path


def login_program(
    path: Path, status: Object, *, fails: str = "", version: str = "client.authentication.k8s.io/v1"
) -> Object:
    """Return the `exec` part for a program that prints a credential and counts its runs."""
    answer = json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status})
    (path / "answer").write_text(answer)
    script = path / "login"
    ending = f"echo '{fails}' >&2; exit 3" if fails else f"cat {path / 'answer'}"
    script.write_text(f'#!/bin/sh\necho "$KUBERNETES_EXEC_INFO" >> {path / "runs"}\n{ending}\n')
    script.chmod(0o700)
    return {"exec": {"apiVersion": version, "command": str(script), "interactiveMode": "Never"}}


def runs(path: Path) -> int:
    return len((path / "runs").read_text().splitlines()) if (path / "runs").exists() else 0
