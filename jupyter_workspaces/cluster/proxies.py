"""Which proxy leads to an API server, by the variables that Go's programs know (HTTPS_PROXY, HTTP_PROXY, NO_PROXY with networks)."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from .kubeconfig import NoEndpoint

SCHEMES = ("http", "https")


def proxy_for(url: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The proxy's URL, None for a direct way. This machine itself is never reached by a proxy. Raises `NoEndpoint`."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or {"https": 443}.get(parts.scheme, 80)
    name = f"{parts.scheme}_proxy"
    proxy = environment.get(name.upper()) or environment.get(name)
    if (
        not proxy
        or host == "localhost"
        or _loopback(host)
        or _excluded(host, port, environment.get("NO_PROXY") or environment.get("no_proxy") or "")
    ):
        return None
    return checked(proxy if "://" in proxy else f"http://{proxy}", name.upper())


def checked(proxy: str, setting: str) -> str:
    """Itself. Raises `NoEndpoint` for a kind of proxy that we do not speak."""
    scheme = urlsplit(proxy).scheme
    if scheme not in SCHEMES:
        raise NoEndpoint(f"{setting} names a {scheme} proxy, and only {' and '.join(SCHEMES)} proxies are known here.")
    return proxy


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


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
