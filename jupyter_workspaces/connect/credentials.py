"""What of a browser's credentials may reach a workspace, and under which names its own come back. Pure.

The server's own cookies (Jupyter's, JupyterHub's) never go in. A workspace may use the same names (the Lab in it is a Jupyter server
too): its cookies of such names live in the browser with a prefix, so that neither server ever reads the other's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote_plus

from . import cookies
from .rewriting import PublicPath

PREFIX = "workspace-"
XSRF = "_xsrf"

# `__Host-` wants the path `/`, and ours is never that (RFC 6265bis §4.1.3.2).
_RESERVED = re.compile(r"_xsrf\Z|username-|jupyterhub-|jupyter-hub-|jupyter-workspaces-|__host-", re.IGNORECASE)


@dataclass(frozen=True)
class Guard:
    """The server's own secrets: its login cookie's name and the tokens by which the asking person may have shown who they are."""

    cookie: str
    tokens: frozenset[str] = frozenset()

    def reserved(self, name: str) -> bool:
        return name == self.cookie or _RESERVED.match(name) is not None

    def cookies_inward(self, headers: Iterable[str]) -> dict[str, str]:
        """The workspace's own cookies of `Cookie` headers, under its own names. Of two with one name the first counts (RFC 6265 §5.4)."""
        found: dict[str, str] = {}
        for name, value in cookies.pairs(headers):
            if name.startswith(PREFIX) and self.reserved(name[len(PREFIX) :]):
                name = name[len(PREFIX) :]
            elif self.reserved(name):
                continue
            found.setdefault(name, value)
        return found

    def outer_xsrf(self, headers: Iterable[str]) -> set[str]:
        """The values of the server's own XSRF cookie."""
        return {value for name, value in cookies.pairs(headers) if name == XSRF}

    def cookie_outward(self, header: str, path: PublicPath, page: str) -> str | None:
        """Rebuild a `Set-Cookie` for the browser: for this host only, within the workspace's path.

        A name that this server uses itself is kept apart by `PREFIX`. `page` is the path of the
        request as the browser knows it. None for a cookie that is refused (`cookies.parse`).
        """
        cookie = cookies.parse(header)
        if cookie is None:
            return None
        name = PREFIX + cookie.name if self.reserved(cookie.name) else cookie.name
        return cookie.header(name, path.confined(cookie.path if cookie.path is not None else cookies.default_path(page)))

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


def has_token(query: str, tokens: frozenset[str]) -> bool:
    """Whether a query shows one of the server's tokens."""
    return any(key == "token" and value in tokens for key, value in parse_qsl(query))
