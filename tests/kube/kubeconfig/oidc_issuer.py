"""Small OpenID Connect issuer over HTTPS that rotates refresh tokens.

Each refresh token is valid for one refresh (RFC 6749 §6).
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

SECRET = "CANARY:secret/é"


def id_token(seconds: float, mark: str = "CANARY") -> str:
    """A JWT that expires in so many seconds. Nobody here checks its signature."""

    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return (
        f"{part({'alg': 'none'})}.{part({'exp': int(time.time() + seconds), 'jti': mark})}.CANARY"
    )


class Issuer:
    """Handler of the issuer's requests, with the state that tests read and set.

    `refresh` is the refresh token that it accepts next. `answers` holds the status and the body
    that replace the usual response at a path.
    """

    def __init__(self) -> None:
        self.url = ""
        self.refresh = "CANARY-refresh-0"
        self.answers: dict[str, tuple[int, str]] = {}
        self.by_body = False  # takes the client's secret in the body only
        self.asked: list[str] = []
        self.seconds = 3600.0
        self.token_url = ""
        self._count = itertools.count(1)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.method} {request.path}")
        if request.path in self.answers:
            status, body = self.answers[request.path]
            return web.Response(status=status, text=body, content_type="application/json")
        if request.path.endswith("/.well-known/openid-configuration"):
            return web.json_response(
                {"issuer": self.url, "token_endpoint": self.token_url or f"{self.url}/token"}
            )
        form = await request.post()
        given = request.headers.get("Authorization", "")
        expected = base64.b64encode(b"client%3Aid:CANARY%3Asecret%2F%C3%A9").decode()
        by_header = given == f"Basic {expected}" and not self.by_body
        if not by_header and (form.get("client_id"), form.get("client_secret")) != (
            "client:id",
            SECRET,
        ):
            return web.json_response(
                {"error": "invalid_client", "error_description": f"CANARY {given}"}, status=401
            )
        if form.get("grant_type") != "refresh_token" or form.get("refresh_token") != self.refresh:
            return web.json_response(
                {"error": "invalid_grant", "error_description": f"CANARY {form}"}, status=400
            )
        number = next(self._count)
        self.refresh = f"CANARY-refresh-{number}"
        return web.json_response(
            {
                "id_token": id_token(self.seconds, f"{number}"),
                "refresh_token": self.refresh,
                "access_token": "CANARY",
            }
        )


@contextmanager
def oidc_issuer(folder: Path) -> Iterator[Issuer]:
    """Run an issuer on a separate thread.

    It uses the certificates that `identity_echo.write_certificates` wrote to `folder`.
    """
    issuer, loop = Issuer(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", issuer.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "srv.pem", folder / "srv.key")

    async def start() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()

    asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    issuer.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield issuer
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()
