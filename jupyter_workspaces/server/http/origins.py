"""Which pages a request may come from, by what the browser says of it: Fetch Metadata and `Origin`.

A page of another site can have the browser send requests here, by scripts, pictures, frames or
forms, and the browser adds what this server believes: cookies, the address of this machine, the
sign-in of a proxy in front. Such a request is refused unless it opens a page in a tab of its own (a
link that somebody follows), where the other site sees nothing of the answer.

Sources: W3C Fetch Metadata Request Headers; RFC 6454 and the Fetch standard for `Origin`. Programs
send none of these headers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from tornado.httputil import HTTPServerRequest


def is_cross_site(
    request: HTTPServerRequest,
    settings: Mapping[str, Any],
    *,
    knows_host: bool = True,
    lets_navigate: bool = True,
) -> bool:
    """Return whether a browser sent this request for a page of another, untrusted site.

    Another port of this host is another site. `settings` are the web application's, of which
    `allow_origin` and `allow_origin_pat` count.

    Args:
        request: the request; its headers and method count.
        settings: those of the web application.
        knows_host: whether `Host` is what the browser asked for; a proxy may have changed it.
        lets_navigate: whether following a link to this address is allowed.
    """
    headers = request.headers
    if lets_navigate and _is_navigation(request):
        return False
    origin, site = headers.get("Origin"), headers.get("Sec-Fetch-Site")
    if origin is not None and is_trusted(origin, settings):
        return False
    if origin is not None and knows_host and not is_same_origin(origin, request.host):
        return True
    if site is None or site in ("same-origin", "none"):
        return False
    # Requests of frames and pictures have no Origin; the browser names their page's origin at least
    # as Referer.
    if origin is None and settings.get("allow_origin") != "*":
        return not is_trusted(_origin_of(headers.get("Referer", "")), settings)
    return origin is not None


def drop_unreadable_referer(request: HTTPServerRequest) -> None:
    """Forget a `Referer` that is no address: Jupyter's log of requests would fail on it."""
    try:
        urlsplit(request.headers.get("Referer", ""))
    except ValueError:
        del request.headers["Referer"]


def is_same_origin(origin: str, host: str) -> bool:
    """Return whether an `Origin` names the host (with port) that was asked."""
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:  # not an origin that a browser would write
        return False


def is_page_below(request: HTTPServerRequest, path: str) -> bool:
    """Return whether the request's `Referer` is a page of this server below a path.

    Browsers let no page name another.
    """
    referer = request.headers.get("Referer", "")
    try:
        return is_same_origin(referer, request.host) and urlsplit(referer).path.startswith(path)
    except ValueError:
        return False


def is_trusted(origin: str, settings: Mapping[str, Any]) -> bool:
    """Return whether the administrator named this origin (`allow_origin`, `allow_origin_pat`).

    `null` is never one.
    """
    if not _origin_of(origin):
        return False
    allowed, pattern = (
        str(settings.get("allow_origin") or ""),
        str(settings.get("allow_origin_pat") or ""),
    )
    if allowed:
        return allowed == "*" or allowed.lower() == origin.lower()
    return pattern != "" and re.fullmatch(pattern, origin) is not None


def _is_navigation(request: HTTPServerRequest) -> bool:
    """Whether the browser opens the address in a tab: no frame, no script."""
    headers = request.headers
    return (
        request.method in ("GET", "HEAD")
        and headers.get("Sec-Fetch-Mode") == "navigate"
        and headers.get("Sec-Fetch-Dest") == "document"
        and "Upgrade" not in headers
    )


def _origin_of(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme and parts.netloc else ""
