"""Which headers of a workspace's response reach the browser: those on a list. Pure.

A workspace shares its origin with the Jupyter server in front of it, and its connection with the
proxies in front of that. A header may therefore pass only if it speaks of this response or of the
document made from it. The rule:

1. Standard names (IANA's field-name registry, and the standards of browsers) pass if they are in
   `ALLOWED`.
2. Names of applications pass by their prefix (`OWN_PREFIXES`, above all `X-`), as their scripts
   read them, except those that browsers or proxies act upon (`ACTED_UPON`, `ACTED_UPON_PREFIXES`):
   an nginx in front answers `X-Accel-Redirect: /secret` with a file.
3. Everything else is dropped, and so are trailers and what `Connection` names. Among it is what
   rules a whole origin (`Clear-Site-Data`, `Strict-Transport-Security`, `Alt-Svc`, `NEL`,
   `Report-To`, `Reporting-Endpoints`, `Set-Login`, `Origin-Agent-Cluster`, `Accept-CH`,
   `Critical-CH`, `Speculation-Rules`, `Use-As-Dictionary`, …), whatever new header of the kind
   browsers learn. An administrator may let more names pass (`JupyterWorkspaces.response_headers`).
4. A value with control characters is dropped with its header.

`Set-Cookie` and `WWW-Authenticate` are rebuilt or checked here, and headers that hold addresses are
mapped by the table in `headers`, to stay in the workspace's path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from jupyter_workspaces.server.proxy.rewriting.public_path import PublicPath
from jupyter_workspaces.server.proxy.transfer.framing import HOP_BY_HOP, connection_options

from .address_fields import Addresses, outward
from .credentials import Guard
from .front_proxies import matches


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


ALLOWED = _names(
    # The response and its representation (RFC 9110, 9530, 6266), caching (RFC 9111)
    "accept-ranges age allow cache-control content-digest content-disposition content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date deprecation digest etag expires last-modified link location pragma "
    "preference-applied ratelimit ratelimit-limit ratelimit-policy ratelimit-remaining ratelimit-reset refresh repr-digest retry-after "
    "server set-cookie sunset vary via warning www-authenticate "
    # What the server offers for its resources (RFC 5789, WebDAV, WebSub)
    "accept-patch accept-post accept-query dav idempotency-key lock-token "
    # Cross-origin reads of this response (Fetch)
    "access-control-allow-credentials access-control-allow-headers access-control-allow-methods access-control-allow-origin "
    "access-control-expose-headers access-control-max-age cross-origin-resource-policy timing-allow-origin "
    # Policies of the one document
    "content-security-policy content-security-policy-report-only cross-origin-embedder-policy "
    "cross-origin-embedder-policy-report-only cross-origin-opener-policy cross-origin-opener-policy-report-only document-policy "
    "feature-policy integrity-policy integrity-policy-report-only permissions-policy permissions-policy-report-only referrer-policy "
    "service-worker-allowed sourcemap "
    # Addresses for the scripts of pages (Turbo)
    "turbo-location turbolinks-location "
    # Tracing and measuring
    "correlation-id request-id server-timing traceresponse"
)

OWN_PREFIXES = ("x-", "jupyter-", "hx-", "mcp-", "tus-", "upload-", "grpc-")
"""Of applications: Jupyter, htmx, Model Context Protocol, resumable uploads, gRPC-Web."""

ACTED_UPON = _names(
    "x-dns-prefetch-control x-esi x-forwarded x-permitted-cross-domain-policies x-real-ip x-scheme x-varnish"
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

# One challenge of a scheme that asks a person. Negotiate and NTLM sign a whole connection in, and
# browsers on an intranet answer them by themselves; several challenges in one line could hide one.
_PARAMETER = r"""[\w!#$%&'*+.^`|~-]+\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s",]+)"""
_CHALLENGE = re.compile(
    rf"\s*(?:basic|bearer|digest)(?:\s+{_PARAMETER}(?:\s*,\s*{_PARAMETER})*)?\s*", re.IGNORECASE
)
# They tell of the bytes that were, and the body is another now.
_OF_THE_BODY = frozenset(
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
    addresses: Addresses | PublicPath,
    guard: Guard,
    *,
    page: str,
    status: int = 200,
    rewritten: bool = False,
    cors: bool = True,
) -> list[tuple[str, str]]:
    """Return the headers for the browser, as Latin-1 text like Tornado wants it.

    The headers must have passed `framing.check_response`.

    Args:
        received: as aiohttp reads them.
        addresses: both sides' names of the workspace.
        guard: for cookies, and what the administrator lets pass.
        page: the path of the request as the browser knows it.
        status: of the response.
        rewritten: whether the body is not the workspace's own bytes.
        cors: whether the program says who may read the response, and not this server.
    """
    if isinstance(addresses, PublicPath):
        addresses = Addresses(addresses)
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
            or (rewritten and lower in _OF_THE_BODY)
            or (status == 204 and lower == "content-length")
        ):
            continue
        if _CONTROL.search(given) or (lower.startswith(_CORS) and not cors):
            continue
        for value in _passed(lower, given, addresses, guard, page):
            weak = lower == "etag" and rewritten and not value.startswith("W/")
            found.append((name, f"W/{value}" if weak else value))
    return found


def _passed(name: str, value: str, addresses: Addresses, guard: Guard, page: str) -> list[str]:
    """The values that pass: none, one, or a cookie with its proof."""
    if not is_allowed(name, guard.passing.response_headers):
        # Live streams ask nginx by this one not to hold them back. It does nothing else.
        return [value] if name == "x-accel-buffering" and value.strip().lower() == "no" else []
    if name == "set-cookie":
        return guard.cookies_outward(value, addresses.path, page)
    if name == "www-authenticate" and not _CHALLENGE.fullmatch(value):
        return []
    mapped = outward(name, value, addresses)
    return [] if mapped is None else [mapped]


def is_allowed(name: str, more: Iterable[str] = ()) -> bool:
    """Return whether a header of this lower-case name may pass at all. `more` are names that the administrator adds."""
    if name in ALLOWED or (name not in HOP_BY_HOP and matches(name, more)):
        return True
    own = name.startswith(OWN_PREFIXES) and name not in HOP_BY_HOP
    return own and name not in ACTED_UPON and not name.startswith(ACTED_UPON_PREFIXES)
