"""Filters the browser's credentials for a workspace, and renames the workspace's cookies. Pure.

The cookies of this server (Jupyter's, JupyterHub's) and those of proxies in front never go in. A
workspace may use the same names (the Lab in it is a Jupyter server too): its cookies of such names
live in the browser with a prefix, so that neither server ever reads the other's.

With `--trusted-header-auth` there is a proxy in front whose cookies may have any name. A workspace then
gets only what it has set itself: each of its cookies has a second one beside it, with the same path and
lifetime and not readable by scripts, that holds a hash of name and value. A cookie goes in if its hash
is there. So no state is kept here, several servers may share the work, and a workspace that sets a
cookie of the front proxy's name does not get the front proxy's value.
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
from .front_proxies import Front, Passing

PREFIX = "workspace-"
PROOF = "workspaces-set-"
XSRF = "_xsrf"
SHORTEST_TOKEN = 8
"""A shorter token may occur in any value by chance, so it is compared with whole values only."""

# `__Host-` wants the path `/`, and ours is never that (RFC 6265bis §4.1.3.2).
_RESERVED = re.compile(
    r"_xsrf\Z|username-|jupyterhub-|jupyter-hub-|jupyter-workspaces-|workspaces-set-|__host-",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Guard:
    """The server's own secrets, and what is known of the proxy in front.

    `cookie` is the name of the login cookie, `tokens` are those that may have authenticated the
    user.
    """

    cookie: str
    tokens: frozenset[str] = frozenset()
    front: Front = field(default_factory=Front)
    passing: Passing = field(default_factory=Passing)

    def reserved(self, name: str) -> bool:
        """Return whether a cookie of this name is the server's, or that of a proxy in front."""
        return (
            name == self.cookie
            or _RESERVED.match(name) is not None
            or front_proxies.COOKIES.match(name) is not None
        )

    def shows_token(self, value: str) -> bool:
        """Return whether a value is, or contains, a token of the server."""
        return any(
            token == value or (len(token) >= SHORTEST_TOKEN and token in value)
            for token in self.tokens
        )

    def keeps_out(self, name: str, value: str) -> bool:
        """Return whether a request header of this lower-case name must not reach a workspace."""
        if self.shows_token(value):
            return True
        if front_proxies.matches(name, self.passing.request_headers):
            return False
        if name == "authorization":
            return front_proxies.is_authorization_of_front(value, self.front)
        return front_proxies.is_identity(name, value, self.front)

    def cookies_inward(self, headers: Iterable[str]) -> dict[str, str]:
        """The workspace's own cookies of `Cookie` headers, under its own names. Of two with one name the first counts (RFC 6265 §5.4)."""
        found: dict[str, str] = {}
        given = list(cookies.pairs(headers))
        proofs = (
            {(name[len(PROOF) :], value) for name, value in given if name.startswith(PROOF)}
            if self.front.trusted
            else set()
        )
        for name, value in given:
            outer = name
            if name.startswith(PREFIX) and self.reserved(name[len(PREFIX) :]):
                name = name[len(PREFIX) :]
            elif self.reserved(name):
                continue
            proven = not self.front.trusted or (outer, _proof(outer, value)) in proofs
            if (
                proven or front_proxies.matches(outer, self.passing.cookies)
            ) and not self.shows_token(value):
                found.setdefault(name, value)
        return found

    def outer_xsrf(self, headers: Iterable[str]) -> set[str]:
        """The values of the server's own XSRF cookie."""
        return {value for name, value in cookies.pairs(headers) if name == XSRF}

    def cookies_outward(self, header: str, path: PublicPath, page: str) -> list[str]:
        """Rebuild a `Set-Cookie` for the browser: for this host only, within the workspace's path.

        A name that this server uses itself is kept apart by `PREFIX`. `page` is the path of the
        request as the browser knows it. Behind a trusted proxy the proof that the workspace set it
        comes along. Empty for a cookie that is refused (`cookies.parse`).
        """
        cookie = cookies.parse(header)
        if cookie is None:
            return []
        name = PREFIX + cookie.name if self.reserved(cookie.name) else cookie.name
        at = path.confined(cookie.path if cookie.path is not None else cookies.default_path(page))
        if not self.front.trusted:
            return [cookie.header(name, at)]
        proof = replace(cookie, value=_proof(name, cookie.value), http_only=True)
        return [cookie.header(name, at), proof.header(PROOF + name, at)]

    def cookie_outward(self, header: str, path: PublicPath, page: str) -> str | None:
        """Return the first of `cookies_outward`, None for a cookie that is refused."""
        return next(iter(self.cookies_outward(header, path, page)), None)

    def query_inward(self, target: str, xsrf: dict[str, str]) -> str:
        """Path and query without our token; the server's XSRF value is exchanged by `xsrf` (outer value → inner value, "" drops it)."""
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
    """Return a hash of a cookie's name and value: 96 bits of SHA-256."""
    digest = hashlib.sha256(f"{name}={value}".encode("utf-8", "surrogateescape")).digest()
    return base64.urlsafe_b64encode(digest[:12]).decode()


def has_token(query: str, tokens: frozenset[str]) -> bool:
    """Whether a query shows one of the server's tokens."""
    return any(key == "token" and value in tokens for key, value in parse_qsl(query))
