"""Builds the request headers for the program in a workspace. Pure.

1. Hop-by-hop headers, and those that `Connection` names, are dropped.
2. Headers that identify the user, and credentials of this server, are dropped (`credentials`,
   `front_proxies`).
3. Headers with addresses are mapped (`address_fields`).
4. `Host` is the public one, and `X-Forwarded-*` describe the browser's request.
5. The workspace's own token, and the headers of its kind, are added.

Values are bytes as Latin-1 text on both sides (`transfer.raw_request` writes them so), so they
arrive as the browser sent them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from multidict import CIMultiDict
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from yarl import URL

from jupyter_workspaces.server.proxy.rewriting.public_path import PublicPath
from jupyter_workspaces.server.proxy.target import Target
from jupyter_workspaces.server.proxy.transfer.http_checks import HOP_BY_HOP, connection_options

from .address_fields import AddressMapping, inward
from .credentials import XSRF, CredentialFilter

REPLACED = frozenset(
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
"""Headers that this module writes itself, or that the web server has answered (`Expect`)."""
_TOKEN_SCHEME = re.compile(r"[ \t]*token[ \t]", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def request_headers(
    received: Iterable[tuple[str, str]],
    *,
    addresses: AddressMapping,
    target: Target,
    credentials: CredentialFilter,
    token: str | None,
    token_authenticated: bool,
    remote: str,
    must_be_readable: bool = False,
) -> CIMultiDict[str]:
    """Return the headers for the program in a workspace.

    Args:
        received: The browser's headers.
        addresses: Public and upstream address of the workspace.
        target: The target, with the headers of its kind.
        credentials: The filter of credentials.
        token: The workspace's own token, None if its kind has none.
        token_authenticated: Whether a token of this server in `Authorization` authenticated the
            user.
        remote: The browser's IP address.
        must_be_readable: Whether the proxy reads the body of the response, although its addresses
            do not change.
    """
    pairs = list(received)
    path = addresses.path
    cookie_headers = [value for name, value in pairs if name.lower() == "cookie"]
    cookies = credentials.cookies_inward(cookie_headers)
    dropped = (
        HOP_BY_HOP
        | REPLACED
        | connection_options(value for name, value in pairs if name.lower() == "connection")
    )
    headers: CIMultiDict[str] = CIMultiDict()
    for name, given in pairs:
        lower = name.lower()
        if (
            lower in dropped
            or lower.startswith("sec-websocket-")
            or credentials.drops_header(lower, given)
        ):
            continue
        if lower == "authorization" and (
            token is not None or token_authenticated or _TOKEN_SCHEME.match(given)
        ):
            continue
        if lower == "accept-encoding" and (must_be_readable or not path.same):
            # Encodings that `rewriting.decoding` reads, in case the response is HTML.
            given = "gzip, deflate" if "gzip" in given else "identity"
        value = inward(lower, given, addresses)
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
        inner = inner_xsrf(credentials, cookie_headers).get(given_xsrf, given_xsrf)
        if inner:
            headers["X-XSRFToken"] = inner
    headers["X-Forwarded-For"] = remote
    headers["X-Forwarded-Host"] = path.public
    headers["X-Forwarded-Proto"] = addresses.scheme
    headers["X-Forwarded-Port"] = _port(path.public, addresses.scheme)
    if path.prefix:
        headers["X-Forwarded-Prefix"] = path.prefix
    _apply_kind_headers(headers, target)
    return headers


def _apply_kind_headers(headers: CIMultiDict[str], target: Target) -> None:
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
    scheme: str,
    target: Target,
    path: PublicPath,
    request: HTTPServerRequest,
    credentials: CredentialFilter,
) -> URL:
    """Return the upstream URL: the requested bytes without our base URL and our token."""
    requested = credentials.query_inward(
        request.uri or "", inner_xsrf(credentials, request.headers.get_list("Cookie"))
    )
    return URL(f"{scheme}://{target.connect_netloc}{path.inward(requested)}", encoded=True)


def inner_xsrf(credentials: CredentialFilter, cookie_headers: Iterable[str]) -> dict[str, str]:
    """Map the server's XSRF values to the workspace's, which is "" if it has none.

    A page in a workspace may read either cookie, because they share an origin.
    """
    lines = list(cookie_headers)
    inner = credentials.cookies_inward(lines).get(XSRF, "")
    return dict.fromkeys(credentials.outer_xsrf(lines), inner)


def public_scheme(headers: HTTPHeaders, protocol: str) -> str:
    """Return the scheme that the browser uses.

    A reverse proxy that ends TLS sets a header; otherwise it is the connection's scheme. Without
    such a proxy, a forged header affects only the client's own workspace.
    """
    forwarded = (
        headers.get("X-Forwarded-Proto", headers.get("X-Scheme", ""))
        .partition(",")[0]
        .strip()
        .lower()
    )
    return forwarded if forwarded in _DEFAULT_PORTS else protocol


def _port(host: str, scheme: str) -> str:
    _, mark, port = host.rpartition(":")
    return port if mark and port.isdecimal() else _DEFAULT_PORTS.get(scheme, "80")


def _bytes(text: str) -> str:
    """Return the UTF-8 bytes of a text as Latin-1 text."""
    return text.encode("utf-8").decode("latin-1")
