"""Builds the request headers for the program in a workspace. Pure.

1. Hop-by-hop headers, and those that `Connection` names, are dropped.
2. Headers that identify the user, and credentials of this server, are dropped (`credentials`, `front`).
3. Headers with addresses are mapped by the table in `headers`.
4. `Host` is the public one, and `X-Forwarded-*` describe the browser's request.
5. The workspace's own token, and the headers of its kind, are added.

Values are bytes as Latin-1 text on both sides (`raw_request` writes them so): what a browser
sends arrives byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from multidict import CIMultiDict
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from yarl import URL

from jupyter_workspaces.server.proxy.rewriting.public_path import PublicPath
from jupyter_workspaces.server.proxy.target import Target
from jupyter_workspaces.server.proxy.transfer.framing import HOP_BY_HOP, connection_options

from . import address_fields as table
from .address_fields import Addresses
from .credentials import XSRF, Guard

# Said anew by us (RFC 9110 §10.1.1 for Expect: the web server has answered it).
OURS = frozenset(
    (
        "host",
        "content-length",
        "expect",
        "cookie",
        "forwarded",
        "x-real-ip",
        "x-scheme",
        "x-xsrftoken",
    )
)
_TOKEN_SCHEME = re.compile(r"[ \t]*token[ \t]", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def request_headers(
    received: Iterable[tuple[str, str]],
    *,
    addresses: Addresses,
    target: Target,
    guard: Guard,
    token: str | None,
    token_authenticated: bool,
    remote: str,
    read_here: bool = False,
) -> CIMultiDict[str]:
    """Return the headers for the program in a workspace.

    Args:
        received: the browser's headers.
        addresses: public and upstream address of the workspace.
        target: its upstream address, and the headers of its kind.
        guard: credentials to drop.
        token: the workspace's own token, None if its kind has none.
        token_authenticated: whether a token of ours in `Authorization` authenticated the user.
        remote: the browser's IP address.
        read_here: whether the response may be read here although its addresses do not change.
    """
    pairs = list(received)
    path = addresses.path
    cookie_headers = [value for name, value in pairs if name.lower() == "cookie"]
    cookies = guard.cookies_inward(cookie_headers)
    dropped = (
        HOP_BY_HOP
        | OURS
        | connection_options(value for name, value in pairs if name.lower() == "connection")
    )
    headers: CIMultiDict[str] = CIMultiDict()
    for name, given in pairs:
        lower = name.lower()
        if lower in dropped or lower.startswith("sec-websocket-") or guard.keeps_out(lower, given):
            continue
        if lower == "authorization" and (
            token is not None or token_authenticated or _TOKEN_SCHEME.match(given)
        ):
            continue
        if lower == "accept-encoding" and (read_here or not path.same):
            given = (
                "gzip, deflate" if "gzip" in given else "identity"
            )  # what we could read, should it be HTML
        value = table.inward(lower, given, addresses)
        if value is None or (lower in ("origin", "referer") and name in headers):
            continue
        headers.add(name, value)
    headers["Host"] = path.public
    if cookies:
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
    if token is not None:
        headers["Authorization"] = f"token {token}"
    given_xsrf = next((value for name, value in pairs if name.lower() == "x-xsrftoken"), None)
    if given_xsrf is not None:
        inner = inner_xsrf(guard, cookie_headers).get(given_xsrf, given_xsrf)
        if inner:
            headers["X-XSRFToken"] = inner
    headers["X-Forwarded-For"] = remote
    headers["X-Forwarded-Host"] = path.public
    headers["X-Forwarded-Proto"] = addresses.scheme
    headers["X-Forwarded-Port"] = _port(path.public, addresses.scheme)
    if path.prefix:
        headers["X-Forwarded-Prefix"] = path.prefix
    _as_the_kind_says(headers, target)
    return headers


def _as_the_kind_says(headers: CIMultiDict[str], target: Target) -> None:
    """Apply the headers of the kind, except values that HTTP does not allow."""
    for name in target.drop_headers:
        headers.popall(name, None)
    for name, value in target.set_headers.items():
        if _CONTROL.search(value) is None:
            headers[name] = _bytes(value)
    for name, value in target.add_headers.items():
        if _CONTROL.search(value) is None:
            headers.add(name, _bytes(value))


def upstream_url(
    scheme: str, target: Target, path: PublicPath, request: HTTPServerRequest, guard: Guard
) -> URL:
    """Return the upstream URL: the requested bytes without our base URL and our token."""
    asked = guard.query_inward(
        request.uri or "", inner_xsrf(guard, request.headers.get_list("Cookie"))
    )
    return URL(f"{scheme}://{target.dialled}{path.inward(asked)}", encoded=True)


def inner_xsrf(guard: Guard, cookie_headers: Iterable[str]) -> dict[str, str]:
    """The server's XSRF value → the workspace's ("" when it has none). A page in a workspace may read either: they share an origin."""
    lines = list(cookie_headers)
    inner = guard.cookies_inward(lines).get(XSRF, "")
    return dict.fromkeys(guard.outer_xsrf(lines), inner)


def public_scheme(headers: HTTPHeaders, protocol: str) -> str:
    """Return the scheme that the browser uses, by a proxy in front that ends TLS; else the connection's own.

    Without such a proxy, a forged value affects only the client's own workspace.
    """
    told = (
        headers.get("X-Forwarded-Proto", headers.get("X-Scheme", ""))
        .partition(",")[0]
        .strip()
        .lower()
    )
    return told if told in _DEFAULT_PORTS else protocol


def _port(host: str, scheme: str) -> str:
    _, mark, port = host.rpartition(":")
    return port if mark and port.isdecimal() else _DEFAULT_PORTS.get(scheme, "80")


def _bytes(text: str) -> str:
    """A text as UTF-8, as Latin-1 text."""
    return text.encode("utf-8").decode("latin-1")
