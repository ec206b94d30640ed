"""Builds the response headers for the browser, by an allow list. Pure.

A workspace shares its origin with the Jupyter server in front of it, and its connection with the
reverse proxies in front of that. So a header may be forwarded only if it affects this response or
the document made from it:

1. Standard names (IANA's field-name registry, and the standards of browsers) are forwarded if they
   are in `ALLOWED`.
2. Names of applications are forwarded by their prefix (`APPLICATION_PREFIXES`, above all `X-`),
   because scripts read them. Exceptions are those that browsers or proxies act upon (`ACTED_UPON`,
   `ACTED_UPON_PREFIXES`): nginx answers `X-Accel-Redirect: /secret` with a file.
3. Everything else is dropped, with trailers and headers that `Connection` names. Among it are
   headers that affect a whole origin (`Clear-Site-Data`, `Strict-Transport-Security`, `Alt-Svc`,
   `NEL`, `Report-To`, `Reporting-Endpoints`, `Set-Login`, `Origin-Agent-Cluster`, `Accept-CH`,
   `Critical-CH`, `Speculation-Rules`, `Use-As-Dictionary`, …), also those that browsers will add.
   Administrators can allow more names (`JupyterWorkspaces.response_headers`).
4. A value with control characters is dropped with its header.

`Set-Cookie` is rebuilt (`credentials`), `WWW-Authenticate` is checked, and headers with addresses
are mapped (`address_fields`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from jupyter_workspaces.server.proxy.rewriting.public_path import PublicPath
from jupyter_workspaces.server.proxy.transfer.http_checks import HOP_BY_HOP, connection_options

from .address_fields import AddressMapping, outward
from .credentials import CredentialFilter
from .front_proxies import matches


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


ALLOWED = _names(
    # The response and its representation (RFC 9110, 9530, 6266), caching (RFC 9111)
    "accept-ranges age allow cache-control content-digest content-disposition content-encoding "
    "content-language content-length content-location content-md5 content-range content-type date "
    "deprecation digest etag expires last-modified link location pragma preference-applied "
    "ratelimit ratelimit-limit ratelimit-policy ratelimit-remaining ratelimit-reset refresh "
    "repr-digest retry-after server set-cookie sunset vary via warning www-authenticate "
    # Capabilities of the server (RFC 5789, WebDAV, WebSub)
    "accept-patch accept-post accept-query dav idempotency-key lock-token "
    # Cross-origin reads of this response (Fetch)
    "access-control-allow-credentials access-control-allow-headers access-control-allow-methods "
    "access-control-allow-origin access-control-expose-headers access-control-max-age "
    "cross-origin-resource-policy timing-allow-origin "
    # Policies of the one document
    "content-security-policy content-security-policy-report-only cross-origin-embedder-policy "
    "cross-origin-embedder-policy-report-only cross-origin-opener-policy "
    "cross-origin-opener-policy-report-only document-policy feature-policy integrity-policy "
    "integrity-policy-report-only permissions-policy permissions-policy-report-only "
    "referrer-policy service-worker-allowed sourcemap "
    # URLs for the scripts of pages (Turbo)
    "turbo-location turbolinks-location "
    # Tracing and measuring
    "correlation-id request-id server-timing traceresponse"
)

APPLICATION_PREFIXES = ("x-", "jupyter-", "hx-", "mcp-", "tus-", "upload-", "grpc-")
"""Prefixes of applications: Jupyter, htmx, Model Context Protocol, resumable uploads, gRPC-Web."""

ACTED_UPON = _names(
    "x-dns-prefetch-control x-esi x-forwarded x-permitted-cross-domain-policies x-real-ip x-scheme "
    "x-varnish"
)
ACTED_UPON_PREFIXES = (
    "x-accel-",  # nginx
    "x-appengine-",
    "x-envoy-",
    "x-forwarded-",
    "x-lighttpd-",
    "x-litespeed-",
    "x-lsadc-",
    "x-proxy-",
    "x-reproxy-",
    "x-sendfile",  # Apache, lighttpd; also x-sendfile2
)

# One challenge of a scheme for which the browser asks the user. Negotiate and NTLM authenticate a
# whole connection, and browsers on an intranet answer them without asking; several challenges in
# one line could hide one of these.
_PARAMETER = r"""[\w!#$%&'*+.^`|~-]+\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s",]+)"""
_CHALLENGE = re.compile(
    rf"\s*(?:basic|bearer|digest)(?:\s+{_PARAMETER}(?:\s*,\s*{_PARAMETER})*)?\s*", re.IGNORECASE
)
# They describe the bytes of the original body.
_BODY_HEADERS = frozenset(
    (
        "content-length",
        "content-encoding",
        "content-md5",
        "content-digest",
        "repr-digest",
        "digest",
        "accept-ranges",
    )
)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_CORS = "access-control-"


def response_headers(
    received: Iterable[tuple[str, str]],
    addresses: AddressMapping | PublicPath,
    credentials: CredentialFilter,
    *,
    page: str,
    status: int = 200,
    rewritten: bool = False,
    cors: bool = True,
) -> list[tuple[str, str]]:
    """Return the headers for the browser, as Latin-1 text that Tornado writes.

    The response must have passed `http_checks.check_response`.

    Args:
        received: The headers as aiohttp reads them.
        addresses: Public and upstream address of the workspace.
        credentials: The filter for cookies, with the names that the administrator allows.
        page: The path of the request in the browser.
        status: The status code of the response.
        rewritten: Whether the body is changed.
        cors: Whether the program's CORS headers are forwarded.
    """
    if isinstance(addresses, PublicPath):
        addresses = AddressMapping(addresses)
    pairs = [
        (name, value.encode("utf-8", "surrogateescape").decode("latin-1"))
        for name, value in received
    ]
    nominated = connection_options(value for name, value in pairs if name.lower() == "connection")
    found = []
    for name, given in pairs:
        lower = name.lower()
        if (
            lower in nominated
            or (rewritten and lower in _BODY_HEADERS)
            or (status == 204 and lower == "content-length")
        ):
            continue
        if _CONTROL.search(given) or (lower.startswith(_CORS) and not cors):
            continue
        for value in _forwarded_values(lower, given, addresses, credentials, page):
            weak = lower == "etag" and rewritten and not value.startswith("W/")
            found.append((name, f"W/{value}" if weak else value))
    return found


def _forwarded_values(
    name: str, value: str, addresses: AddressMapping, credentials: CredentialFilter, page: str
) -> list[str]:
    """Return the values to forward: none, one, or a cookie with its proof."""
    if not is_allowed(name, credentials.allowed.response_headers):
        # Streams use this header to switch off nginx's buffering. It has no other effect.
        return [value] if name == "x-accel-buffering" and value.strip().lower() == "no" else []
    if name == "set-cookie":
        return credentials.cookies_outward(value, addresses.path, page)
    if name == "www-authenticate" and not _CHALLENGE.fullmatch(value):
        return []
    mapped = outward(name, value, addresses)
    return [] if mapped is None else [mapped]


def is_allowed(name: str, more: Iterable[str] = ()) -> bool:
    """Return whether a header may be forwarded at all.

    Args:
        name: The header's name in lower case.
        more: Names that the administrator allows.
    """
    if name in ALLOWED or (name not in HOP_BY_HOP and matches(name, more)):
        return True
    own = name.startswith(APPLICATION_PREFIXES) and name not in HOP_BY_HOP
    return own and name not in ACTED_UPON and not name.startswith(ACTED_UPON_PREFIXES)
