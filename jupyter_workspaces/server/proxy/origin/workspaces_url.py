"""Parses `workspaces_url`, and decides which requests belong to that origin. Pure.

An origin is scheme, host and port (RFC 6454). With a wildcard label, every workspace has an origin
of its own.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
LONGEST_LABEL = 63  # RFC 1035 §2.3.4
HASH_LETTERS = 16  # 80 bits, so that two workspaces never have the same label
WILDCARD = "*."

_HOST = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*")


class InvalidWorkspacesUrl(ValueError):
    """`workspaces_url` is invalid. The message says why, and what to set instead."""


@dataclass(frozen=True)
class WorkspacesOrigin:
    """The origin at which browsers open workspaces.

    Attributes:
        scheme: `http` or `https`.
        host: Host name in lower case, without the wildcard label, or an IP address. An IPv6 address
            has brackets.
        port: TCP port.
        wildcard: Whether every workspace has a host of its own below `host`.
    """

    scheme: str
    host: str
    port: int
    wildcard: bool = False

    @property
    def url(self) -> str:
        """The setting in normalized form, such as `https://*.ws.example.org`."""
        return f"{self.scheme}://{WILDCARD if self.wildcard else ''}{self._netloc(self.host)}"

    @property
    def is_secure(self) -> bool:
        """Whether the scheme is `https`."""
        return self.scheme == "https"

    @property
    def is_loopback(self) -> bool:
        """Whether the host is the browser's own machine (RFC 6761 §6.3 for `localhost`)."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False

    def netloc(self, namespace: str, name: str) -> str:
        """Return host and port of a workspace's origin, as a browser sends them in `Host`."""
        return self._netloc(f"{label(namespace, name)}.{self.host}" if self.wildcard else self.host)

    def of(self, namespace: str, name: str) -> str:
        """Return a workspace's origin, such as `https://fraud-model-….ws.example.org`."""
        return f"{self.scheme}://{self.netloc(namespace, name)}"

    def serves(self, host: str) -> bool:
        """Return whether a `Host` header belongs to this origin, or to a label of its wildcard."""
        found = self.normal(host)
        if not self.wildcard:
            return found == self._netloc(self.host)
        first, dot, rest = found.partition(".")
        return bool(first and dot) and rest == self._netloc(self.host)

    def normal(self, host: str) -> str:
        """Return a `Host` header in lower case, without a default port and a final dot."""
        found = host.strip().lower()
        name, mark, port = found.rpartition(":")
        if not mark or not port.isdecimal():
            name, port = found, str(DEFAULT_PORTS[self.scheme])
        name = name.removesuffix(".")
        return name if int(port) == DEFAULT_PORTS[self.scheme] else f"{name}:{int(port)}"

    def _netloc(self, host: str) -> str:
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def label(namespace: str, name: str) -> str:
    """Return a DNS label of at most 63 characters for a workspace.

    It consists of the beginning of the name, and a hash of namespace and name.
    """
    digest = hashlib.sha256(f"{namespace}/{name}".encode()).digest()
    tail = base64.b32encode(digest).decode().lower()[:HASH_LETTERS]
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower())[: LONGEST_LABEL - HASH_LETTERS - 1].strip(
        "-"
    )
    return f"{readable}-{tail}" if readable else f"w-{tail}"


def parse(url: str) -> WorkspacesOrigin:
    """Parse `workspaces_url`. Raises `InvalidWorkspacesUrl`."""
    example = "Set a URL such as https://workspaces.example.org or http://*.localhost:8890."
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise InvalidWorkspacesUrl(
            f"workspaces_url {url!r} is not a URL: {error}. {example}"
        ) from error
    if parts.scheme not in DEFAULT_PORTS:
        raise InvalidWorkspacesUrl(
            f"workspaces_url {url!r} must begin with https:// or http://. {example}"
        )
    if parts.path not in ("", "/") or parts.query or parts.fragment or "?" in url or "#" in url:
        raise InvalidWorkspacesUrl(
            f"workspaces_url {url!r} must be an origin only: no path, query or fragment. {example}"
        )
    if parts.username is not None or parts.password is not None:
        raise InvalidWorkspacesUrl(
            f"workspaces_url must not contain a user name or a password. {example}"
        )
    host = (parts.hostname or "").removesuffix(".")
    wildcard = host.startswith(WILDCARD)
    host = host[len(WILDCARD) :] if wildcard else host
    if ":" in host:
        host = f"[{_address(url, host, example)}]"
    elif not host or len(host) > 253 or _HOST.fullmatch(host) is None:
        why = (
            "the wildcard may only be the whole first label"
            if "*" in host
            else "its host is not a DNS name or an IP address"
        )
        raise InvalidWorkspacesUrl(f"workspaces_url {url!r} cannot be used: {why}. {example}")
    if wildcard and (host.startswith("[") or _is_address(host)):
        raise InvalidWorkspacesUrl(
            f"workspaces_url {url!r} cannot have a wildcard in front of an IP address. {example}"
        )
    if port == 0:
        raise InvalidWorkspacesUrl(
            f"workspaces_url {url!r} must name the port itself, not 0. {example}"
        )
    return WorkspacesOrigin(parts.scheme, host, port or DEFAULT_PORTS[parts.scheme], wildcard)


def check_apart(origin: WorkspacesOrigin, server: str) -> None:
    """Raise `InvalidWorkspacesUrl` if a URL of the Jupyter server is of the same origin."""
    parts = urlsplit(server)
    if (
        parts.scheme in DEFAULT_PORTS
        and parts.netloc
        and parts.scheme == origin.scheme
        and origin.serves(parts.netloc)
    ):
        raise InvalidWorkspacesUrl(
            f"workspaces_url {origin.url} is the origin of this Jupyter server itself"
            f" ({parts.scheme}://{parts.netloc}). Set another host name or another port."
        )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _address(url: str, host: str, example: str) -> str:
    try:
        return str(ipaddress.IPv6Address(host))
    except ValueError as error:
        raise InvalidWorkspacesUrl(
            f"workspaces_url {url!r} has a bad IPv6 address: {error}. {example}"
        ) from error
