"""Keeps the browser's credentials out of workspaces, and separates the workspaces' cookies. Pure.

A workspace never gets the cookies of this server (Jupyter's, JupyterHub's) and of reverse proxies
in front. It may use the same names, since the Lab in it is a Jupyter server, too: its cookies of
such names have a prefix in the browser, so neither server reads those of the other.

With `--trusted-header-auth` there is a reverse proxy whose cookies may have any name. A workspace
then gets only cookies that it has set itself. Each of them comes with a second one, the proof, with
the same path and lifetime and not readable by scripts, that holds a hash of name and value. A
cookie is forwarded if its proof exists. So the server keeps no state, several servers may share the
work, and a workspace that sets a cookie with the name of the proxy's does not get the proxy's
value.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, unquote_plus

from jupyter_workspaces.server.proxy.rewriting.public_path import PublicPath

from . import cookies, front_proxies
from .front_proxies import AllowedNames, FrontProxy

PREFIX = "workspace-"
"""Prefix of a workspace's cookies whose names this server reserves."""
PROOF_PREFIX = "workspaces-set-"
"""Prefix of the names of proofs."""
XSRF = "_xsrf"
SHORTEST_TOKEN = 8
"""A shorter token may occur in a value by chance, so it is compared with whole values only."""

# `__Host-` requires the path `/`, which a workspace never has (RFC 6265bis §4.1.3.2).
_RESERVED = re.compile(
    r"_xsrf\Z|username-|jupyterhub-|jupyter-hub-|jupyter-workspaces-|workspaces-set-|__host-",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class CredentialFilter:
    """Filter of one request's credentials.

    Attributes:
        cookie: Name of the server's login cookie.
        tokens: Tokens of the server that may have authenticated the user.
        front: The reverse proxy of `--trusted-header-auth`.
        allowed: The administrator's exceptions.
    """

    cookie: str
    tokens: frozenset[str] = frozenset()
    front: FrontProxy = field(default_factory=FrontProxy)
    allowed: AllowedNames = field(default_factory=AllowedNames)

    def is_reserved(self, name: str) -> bool:
        """Return whether a cookie's name belongs to the server or to a reverse proxy."""
        return (
            name == self.cookie
            or _RESERVED.match(name) is not None
            or front_proxies.COOKIES.match(name) is not None
        )

    def contains_token(self, value: str) -> bool:
        """Return whether a value is or contains a token of the server."""
        return any(
            token == value or (len(token) >= SHORTEST_TOKEN and token in value)
            for token in self.tokens
        )

    def drops_header(self, name: str, value: str) -> bool:
        """Return whether a request header of this lower-case name must not reach a workspace."""
        if self.contains_token(value):
            return True
        if front_proxies.matches(name, self.allowed.request_headers):
            return False
        if name == "authorization":
            return front_proxies.is_authorization_of_front(value, self.front)
        return front_proxies.is_identity(name, value, self.front)

    def cookies_inward(self, headers: Iterable[str]) -> dict[str, str]:
        """Return the workspace's cookies in `Cookie` headers, by the names that it gave them.

        The first of several with one name counts (RFC 6265 §5.4).
        """
        found: dict[str, str] = {}
        given = list(cookies.pairs(headers))
        proofs = (
            {
                (name[len(PROOF_PREFIX) :], value)
                for name, value in given
                if name.startswith(PROOF_PREFIX)
            }
            if self.front.trusted
            else set()
        )
        for name, value in given:
            outer = name
            if name.startswith(PREFIX) and self.is_reserved(name[len(PREFIX) :]):
                name = name[len(PREFIX) :]
            elif self.is_reserved(name):
                continue
            proven = not self.front.trusted or (outer, _proof(outer, value)) in proofs
            if (
                proven or front_proxies.matches(outer, self.allowed.cookies)
            ) and not self.contains_token(value):
                found.setdefault(name, value)
        return found

    def outer_xsrf(self, headers: Iterable[str]) -> set[str]:
        """Return the values of the server's own XSRF cookie."""
        return {value for name, value in cookies.pairs(headers) if name == XSRF}

    def cookies_outward(self, header: str, path: PublicPath, page: str) -> list[str]:
        """Rebuild a `Set-Cookie` for this host only and within the workspace's path.

        Args:
            header: The value of the workspace's header.
            path: The public path of the workspace.
            page: The path of the request in the browser.

        Returns:
            Nothing for a cookie that must not be forwarded, else the cookie, and with a trusted
            proxy its proof.
        """
        cookie = cookies.parse(header)
        if cookie is None:
            return []
        name = PREFIX + cookie.name if self.is_reserved(cookie.name) else cookie.name
        at = path.confined(cookie.path if cookie.path is not None else cookies.default_path(page))
        if not self.front.trusted:
            return [cookie.header(name, at)]
        proof = replace(cookie, value=_proof(name, cookie.value), http_only=True)
        return [cookie.header(name, at), proof.header(PROOF_PREFIX + name, at)]

    def query_inward(self, target: str, xsrf: dict[str, str]) -> str:
        """Return a path and query without the server's token and XSRF value.

        `xsrf` maps XSRF values of the server to those of the workspace, or to "" to drop them.
        """
        path, mark, query = target.partition("?")
        if not mark:
            return target
        kept = []
        for part in query.split("&"):
            key, _, value = part.partition("=")
            key, value = unquote_plus(key), unquote_plus(value)
            if key == "token" and value in self.tokens:
                continue
            if key == XSRF and value in xsrf:
                if xsrf[value]:
                    kept.append(f"{XSRF}={xsrf[value]}")
                continue
            kept.append(part)
        return path + mark + "&".join(kept) if kept else path


def _proof(name: str, value: str) -> str:
    """Return the proof of a cookie: 96 bits of a SHA-256 hash of its name and value."""
    digest = hashlib.sha256(f"{name}={value}".encode("utf-8", "surrogateescape")).digest()
    return base64.urlsafe_b64encode(digest[:12]).decode()


def has_token(query: str, tokens: frozenset[str]) -> bool:
    """Return whether a query contains one of the server's tokens."""
    return any(key == "token" and value in tokens for key, value in parse_qsl(query))
