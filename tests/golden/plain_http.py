"""One HTTP exchange without any processing of paths, headers and bodies."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

ASK_SECONDS = 60.0


def ask(
    url: str,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes | None = None,
    context: ssl.SSLContext | None = None,
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Status, headers and body; nothing is followed, unpacked or tidied up."""
    place = urlsplit(url)
    assert place.hostname is not None
    connection: http.client.HTTPConnection
    if place.scheme == "https":
        connection = http.client.HTTPSConnection(
            place.hostname, place.port, timeout=ASK_SECONDS, context=context
        )
    else:
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=ASK_SECONDS)
    try:
        connection.putrequest(method, place.path + path, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if body is not None or method in ("POST", "PUT", "PATCH"):
            connection.putheader("Content-Length", str(len(body or b"")))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()
