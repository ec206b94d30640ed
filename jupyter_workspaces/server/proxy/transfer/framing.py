"""What one hop of HTTP decides for itself: ends of messages, validity, upgrades.

Tornado reads requests and aiohttp reads responses, each as leniently as clients and programs need.
What they let through and could be read in two ways by the next program in the chain is refused
here, before a byte of it is passed on.

Sources: RFC 9110 (semantics), RFC 9112 (HTTP/1.1), RFC 6455 (WebSocket).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.websocket import WebSocketProtocol13

if TYPE_CHECKING:
    import aiohttp

LONGEST_BODY = 2**62

# RFC 9110 §7.6.1, and what HTTP/1.1 hops used before it.
HOP_BY_HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_ENDS = re.compile(rb"[\x00\r\n]")
_REASON = re.compile(r"[\t\x20-\x7e]*")
_LENGTH = re.compile(r"[0-9]{1,19}")
# A browser or proxy that gets two of them takes the first, the last or none.
_SINGLE = frozenset((b"content-length", b"content-type", b"location", b"transfer-encoding"))


class BadResponse(Exception):
    """A workspace's response that cannot be passed on.

    The text says what is wrong with it, without its contents.
    """


def check_response(response: aiohttp.ClientResponse) -> None:
    """Raise `BadResponse` for a response that other programs may read in another way than we do.

    A 101 is one: only a WebSocket handshake may end HTTP on a connection. aiohttp has skipped the
    other informational responses.
    """
    status, version = response.status, response.version
    if status < 200:
        raise BadResponse(
            f"it answered {status}, which is no final status"
            if status != 101
            else "it switched protocols, which was not asked for"
        )
    if status > 599:
        raise BadResponse("its status is not between 200 and 599")
    if version is None or version.major != 1:
        raise BadResponse("it does not answer by HTTP/1.1")
    for name, value in response.raw_headers:
        # Other control characters end no line: `response_headers` drops what has them.
        if not _TOKEN.fullmatch(name) or _ENDS.search(value):
            raise BadResponse("a header of it has characters that HTTP does not allow")
    names = [name.lower() for name, _ in response.raw_headers]
    for single in _SINGLE:
        if names.count(single) > 1:
            raise BadResponse(f"it has several {single.decode()} headers")
    coding, length = (
        response.headers.get("Transfer-Encoding"),
        response.headers.get("Content-Length"),
    )
    if coding is not None and (
        coding.strip().lower() != "chunked" or version.minor == 0 or length is not None
    ):
        raise BadResponse(
            "its transfer-encoding is not the one that HTTP/1.1 has, or contradicts its content-length"
        )
    if length is not None and not _is_length(length):
        raise BadResponse("its content-length is not a number of bytes")


def reason_phrase(response: aiohttp.ClientResponse) -> str | None:
    """Return the reason phrase where it is plain text, else None for the standard one."""
    reason = response.reason or ""
    return reason if reason.strip() and _REASON.fullmatch(reason) else None


def request_fault(request: HTTPServerRequest) -> str | None:
    """Return what is wrong with the framing of a request, None for a sound one.

    A body that another program could see end elsewhere must not be passed on.
    Tornado looks at the same headers, but only after a handler that streams its body has begun.
    """
    lengths = request.headers.get_list("Content-Length")
    codings = request.headers.get_list("Transfer-Encoding")
    if lengths and codings:
        return "It has both a Content-Length and a Transfer-Encoding."
    if len(lengths) > 1 or not all(map(_is_length, lengths)):
        return "Its Content-Length is not one number of bytes."
    if codings and (
        [coding.lower() for coding in codings] != ["chunked"] or request.version == "HTTP/1.0"
    ):
        return "Its Transfer-Encoding is not the one that HTTP/1.1 has: chunked."
    return None


def body_length(request: HTTPServerRequest) -> int | None:
    """Return the body's bytes by Content-Length; None where there is no sound one."""
    length = request.headers.get("Content-Length", "")
    return int(length) if _is_length(length) else None


def wants_websocket(request: HTTPServerRequest) -> bool:
    """Return whether a request asks to become a WebSocket (RFC 6455 §4.2.1).

    Another protocol, several of them, HTTP/1.0, or an `Upgrade` that `Connection` does not name is
    no such request: RFC 9110 §7.8 lets a server ignore it, and it is passed on as an ordinary one,
    without the header.
    """
    headers = request.headers
    return (
        request.method == "GET"
        and request.version == "HTTP/1.1"
        and headers.get("Upgrade", "").strip().lower() == "websocket"
        and "upgrade" in connection_options(headers.get_list("Connection"))
    )


def handshake_fault(headers: HTTPHeaders) -> str | None:
    """Return what is wrong with a browser's handshake (RFC 6455 §4.2.1), None for a sound one."""
    if [version.strip() for version in headers.get_list("Sec-WebSocket-Version")] != ["13"]:
        return "Its Sec-WebSocket-Version is not 13."
    try:
        key = base64.b64decode(headers.get("Sec-WebSocket-Key", "").strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 16:
        return "Its Sec-WebSocket-Key is not 16 bytes in Base64."
    if not all(_TOKEN.fullmatch(name.encode("latin-1")) for name in offered_protocols(headers)):
        return "Its Sec-WebSocket-Protocol names something that is no protocol."
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
    """Raise `BadResponse` for a 101 that is not the answer to our own handshake (RFC 6455 §4.1).

    `key` is our `Sec-WebSocket-Key`, `offered` the subprotocols. Extensions are never offered.
    """
    headers = response.headers
    if headers.get("Upgrade", "").lower() != "websocket" or "upgrade" not in connection_options(
        headers.getall("Connection", [])
    ):
        raise BadResponse("it switched to another protocol")
    if headers.get("Sec-WebSocket-Accept", "").strip() != WebSocketProtocol13.compute_accept_value(
        key
    ):
        raise BadResponse("its Sec-WebSocket-Accept does not answer our key")
    chosen = headers.getall("Sec-WebSocket-Protocol", [])
    if len(chosen) > 1 or not {name.strip() for name in chosen} <= set(offered):
        raise BadResponse("it chose a subprotocol that was not offered")
    if "Sec-WebSocket-Extensions" in headers:
        raise BadResponse("it chose an extension that was not offered")


def connection_options(lines: Iterable[str]) -> frozenset[str]:
    """Return the lower-case names in `Connection` headers.

    Those headers are meant for this hop only.
    """
    return frozenset(option.strip(" \t").lower() for line in lines for option in line.split(","))


def _is_length(value: str) -> bool:
    return _LENGTH.fullmatch(value) is not None and int(value) <= LONGEST_BODY
