"""Checks of HTTP/1.1 messages that every hop must make: framing, validity, connection options.

Tornado parses requests and aiohttp parses responses, each as leniently as clients and programs
need. A message that they accept, and that another program in the chain could parse differently, is
rejected here before a byte of it is forwarded (request smuggling).

Sources: RFC 9110 (semantics), RFC 9112 (HTTP/1.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tornado.httputil import HTTPServerRequest

if TYPE_CHECKING:
    import aiohttp

LONGEST_BODY = 2**62

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
"""Headers for one connection only (RFC 9110 §7.6.1 and earlier versions of HTTP/1.1)."""

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A token (RFC 9110 §5.6.2)."""

_LINE_END = re.compile(rb"[\x00\r\n]")
_REASON = re.compile(r"[\t\x20-\x7e]*")
_LENGTH = re.compile(r"[0-9]{1,19}")
# Recipients of two of these use the first, the last or none.
_SINGLE = frozenset((b"content-length", b"content-type", b"location", b"transfer-encoding"))


class BadResponse(Exception):
    """A workspace's response cannot be forwarded.

    The message says what is wrong with the response, without its contents.
    """


def check_response(response: aiohttp.ClientResponse) -> None:
    """Raise `BadResponse` for a response that other programs may parse differently.

    A 101 is one: only a WebSocket handshake may end HTTP on a connection. aiohttp has skipped the
    other informational responses.
    """
    status, version = response.status, response.version
    if status < 200:
        raise BadResponse(
            f"its status {status} is not a final one"
            if status != 101
            else "it switched protocols without a request to do so"
        )
    if status > 599:
        raise BadResponse("its status is not between 200 and 599")
    if version is None or version.major != 1:
        raise BadResponse("it is not HTTP/1.1")
    for name, value in response.raw_headers:
        # `response_headers` drops headers with other control characters, which end no line.
        if not TOKEN.fullmatch(name) or _LINE_END.search(value):
            raise BadResponse("one of its headers has characters that HTTP does not allow")
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
        raise BadResponse("its transfer-encoding is not chunked, or contradicts its content-length")
    if length is not None and not _is_length(length):
        raise BadResponse("its content-length is not a number of bytes")


def reason_phrase(response: aiohttp.ClientResponse) -> str | None:
    """Return the reason phrase if it is plain text, else None for the standard one."""
    reason = response.reason or ""
    return reason if reason.strip() and _REASON.fullmatch(reason) else None


def request_fault(request: HTTPServerRequest) -> str | None:
    """Return what is wrong with the framing of a request, None if it is valid.

    Tornado checks the same headers, but only after a handler that streams its body has begun.
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
        return "Its Transfer-Encoding is not chunked, the only one of HTTP/1.1."
    return None


def body_length(request: HTTPServerRequest) -> int | None:
    """Return the size of the body by Content-Length, None without a valid one."""
    length = request.headers.get("Content-Length", "")
    return int(length) if _is_length(length) else None


def connection_options(lines: Iterable[str]) -> frozenset[str]:
    """Return the lower-case names in `Connection` headers: headers for this hop only."""
    return frozenset(option.strip(" \t").lower() for line in lines for option in line.split(","))


def _is_length(value: str) -> bool:
    return _LENGTH.fullmatch(value) is not None and int(value) <= LONGEST_BODY
