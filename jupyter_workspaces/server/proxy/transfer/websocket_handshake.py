"""Checks of WebSocket handshakes on both sides of the proxy (RFC 6455 §4).

The workspace is connected first, with a handshake of our own, so that its choice of a subprotocol,
or its refusal, becomes the response to the browser. Extensions are never offered, so frames have
the same form on both sides.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.websocket import WebSocketProtocol13

from .http_checks import TOKEN, BadResponse, connection_options

if TYPE_CHECKING:
    import aiohttp

VERSION = "13"


def wants_websocket(request: HTTPServerRequest) -> bool:
    """Return whether a request asks for a WebSocket (RFC 6455 §4.2.1).

    Returns False for another protocol, several protocols, HTTP/1.0, and an `Upgrade` that
    `Connection` does not name. Such requests are forwarded without the header, which RFC 9110 §7.8
    permits a server to ignore.
    """
    headers = request.headers
    return (
        request.method == "GET"
        and request.version == "HTTP/1.1"
        and headers.get("Upgrade", "").strip().lower() == "websocket"
        and "upgrade" in connection_options(headers.get_list("Connection"))
    )


def handshake_fault(headers: HTTPHeaders) -> str | None:
    """Return what is wrong with a browser's handshake (RFC 6455 §4.2.1), None if it is valid."""
    if [version.strip() for version in headers.get_list("Sec-WebSocket-Version")] != [VERSION]:
        return f"Its Sec-WebSocket-Version is not {VERSION}."
    try:
        key = base64.b64decode(headers.get("Sec-WebSocket-Key", "").strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 16:
        return "Its Sec-WebSocket-Key is not 16 bytes in Base64."
    if not all(TOKEN.fullmatch(name.encode("latin-1")) for name in offered_protocols(headers)):
        return "Its Sec-WebSocket-Protocol is not a list of names."
    return None


def offered_protocols(headers: HTTPHeaders) -> list[str]:
    """Return the subprotocols that a browser offers."""
    return [
        name.strip()
        for line in headers.get_list("Sec-WebSocket-Protocol")
        for name in line.split(",")
        if name.strip()
    ]


def check_handshake(response: aiohttp.ClientResponse, key: str, offered: Iterable[str]) -> None:
    """Raise `BadResponse` for a 101 that does not answer our handshake (RFC 6455 §4.1).

    Args:
        response: The workspace's response with status 101.
        key: Our `Sec-WebSocket-Key`.
        offered: The subprotocols that we offered.
    """
    headers = response.headers
    if headers.get("Upgrade", "").lower() != "websocket" or "upgrade" not in connection_options(
        headers.getall("Connection", [])
    ):
        raise BadResponse("it switched to another protocol")
    if headers.get("Sec-WebSocket-Accept", "").strip() != WebSocketProtocol13.compute_accept_value(
        key
    ):
        raise BadResponse("its Sec-WebSocket-Accept does not match our key")
    chosen = headers.getall("Sec-WebSocket-Protocol", [])
    if len(chosen) > 1 or not {name.strip() for name in chosen} <= set(offered):
        raise BadResponse("it chose a subprotocol that was not offered")
    if "Sec-WebSocket-Extensions" in headers:
        raise BadResponse("it chose an extension that was not offered")
