"""One blocking request to an API server, for the set-up of clusters and tests."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

REQUEST_SECONDS = 10


def request(
    url: str,
    trust: ssl.SSLContext | None,
    method: str,
    path: str,
    body: Any = None,
    *,
    media: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> tuple[int, Any]:
    """Return status and body, decoded if it is JSON; status 0 if the server does not answer."""
    server = urlsplit(url)
    host = str(server.hostname)
    if trust is None:
        connection = http.client.HTTPConnection(host, server.port, timeout=REQUEST_SECONDS)
    else:
        connection = http.client.HTTPSConnection(
            host, server.port, timeout=REQUEST_SECONDS, context=trust
        )
    try:
        connection.request(
            method,
            path,
            None if body is None else json.dumps(body),
            {"Content-Type": media, **(headers or {})},
        )
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if "json" in answer.headers.get(
            "Content-Type", ""
        ) else text.decode()
    except OSError:
        return 0, None
    finally:
        connection.close()
