"""Chooses the HTTP proxy for an API server by HTTPS_PROXY, HTTP_PROXY and NO_PROXY.

The rules are those of kubectl and other Go programs (package golang.org/x/net/http/httpproxy).
`urllib.request.getproxies` and aiohttp's `trust_env` do not know networks (10.0.0.0/8) in NO_PROXY.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from .errors import NoEndpoint

SCHEMES = ("http", "https")
_SOCKS = ("socks5", "socks5h", "socks4", "socks4a", "socks")
_UNSAFE = re.compile(r"[\x00-\x20\x7f]")


def proxy_for(url: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the URL of the proxy for a request, None for a direct connection.

    Requests to loopback addresses never use a proxy.

    Raises:
        NoEndpoint: the proxy's URL is invalid or of a kind that is not supported.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or {"https": 443}.get(parts.scheme, 80)
    name = f"{parts.scheme}_proxy"
    proxy = environment.get(name.upper()) or environment.get(name)
    if (
        not proxy
        or is_this_machine(host)
        or _excluded(host, port, environment.get("NO_PROXY") or environment.get("no_proxy") or "")
    ):
        return None
    return checked(proxy if "://" in proxy else f"http://{proxy}", name.upper())


def checked(proxy: str, setting: str) -> str:
    """Return a proxy's URL after checking it.

    Raises:
        NoEndpoint: the URL is invalid, or of a kind of proxy that is not supported. The message
            names the setting and does not quote the URL, which may hold a password.
    """
    try:
        parts = urlsplit(proxy)
        usable = bool(parts.hostname) and (parts.port or 80) > 0 and not _UNSAFE.search(proxy)
    except ValueError:
        usable = False
    if usable and parts.scheme in SCHEMES:
        return proxy
    if usable and parts.scheme in _SOCKS:
        raise NoEndpoint(
            f"{setting} names a {parts.scheme} proxy, which is not supported here: "
            f"only {' and '.join(SCHEMES)} proxies are. "
            "Put an HTTP proxy in front of it (such as privoxy), "
            "or forward a local port to the API server."
        )
    raise NoEndpoint(
        f"{setting} is not the URL of a proxy. It must look like http://proxy.example:3128."
    )


def _excluded(host: str, port: int, rules: str) -> bool:
    for rule in (found.strip().lower() for found in rules.split(",")):
        if not rule:
            continue
        if rule == "*" or _in_network(host, rule):
            return True
        name, _, only = rule.rpartition(":") if rule.count(":") == 1 else (rule, "", "")
        if only and only != str(port):
            continue
        name = name.removeprefix("*")
        if host == name.removeprefix(".") and not name.startswith("."):
            return True
        if host.endswith(name if name.startswith(".") else f".{name}"):
            return True
    return False


def _in_network(host: str, rule: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(rule, strict=False)
    except ValueError:
        return False


def is_this_machine(host: str) -> bool:
    """Return whether a host name is a loopback address or `localhost`."""
    return host == "localhost" or _loopback(host)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
