"""A user with a browser, for tests of the workspaces' own origin.

The browser follows redirects, stores cookies and sends Fetch Metadata headers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http.cookies import Morsel, SimpleCookie
from typing import Any

import aiohttp
from yarl import URL

MOST_REDIRECTS = 20


@dataclass(frozen=True)
class Seen:
    """The page at the end of a navigation. `hops` are all URLs on the way."""

    url: str
    status: int
    headers: Any
    text: str
    hops: list[str]

    @property
    def link(self) -> str:
        """Return the first link of the page."""
        found = re.search(r'<a href="([^"]+)"', self.text)
        assert found is not None, self.text
        return found[1].replace("&amp;", "&")


class Person:
    """Browser whose cookies belong to a host, not a port. `dial` maps origins to real addresses."""

    def __init__(self, session: aiohttp.ClientSession, dial: Any) -> None:
        self.session, self.dial = session, dial
        self.jar: dict[tuple[str, str, str], Morsel[str]] = {}
        """Store cookies by host, path and name."""
        self.keeps: Any = lambda name: True

    def cookies(self, url: str) -> str:
        """Return the `Cookie` header for a URL (RFC 6265 §5.4)."""
        asked = URL(url, encoded=True)
        found = [
            (name, morsel)
            for (host, path, name), morsel in self.jar.items()
            if host == asked.host and asked.raw_path.startswith(path)
        ]
        return "; ".join(f"{name}={morsel.coded_value}" for name, morsel in found)

    def forget(self, part: str) -> None:
        self.jar = {key: morsel for key, morsel in self.jar.items() if part not in key[2]}

    def keep(self, url: str, cookies: SimpleCookie) -> None:
        for name, morsel in cookies.items():
            if self.keeps(name):
                self.jar[URL(url, encoded=True).host or "", morsel["path"] or "/", name] = morsel

    def kept(self, part: str) -> list[tuple[str, str, Morsel[str]]]:
        """Return host, path and cookie of those whose names contain `part`."""
        return [
            (host, path, morsel) for (host, path, name), morsel in self.jar.items() if part in name
        ]

    async def ask(
        self, method: str, url: str, headers: dict[str, str] | None = None, **more: Any
    ) -> tuple[int, Any, str]:
        """Send a request with the browser's cookies. Follows no redirect."""
        asked = URL(url, encoded=True)
        port = f":{asked.explicit_port}" if asked.explicit_port else ""
        sent = {"Host": f"{asked.raw_host}{port}", **(headers or {})}
        if cookies := self.cookies(url):
            sent["Cookie"] = cookies
        target = URL(f"{self.dial(asked)}{asked.raw_path_qs}", encoded=True)
        async with self.session.request(
            method, target, headers=sent, allow_redirects=False, **more
        ) as answer:
            self.keep(url, answer.cookies)
            return answer.status, answer.headers, await answer.text()

    async def fetch(
        self, url: str, *, page: str, method: str = "GET", **more: Any
    ) -> tuple[int, Any, str]:
        """Send a request of a script of `page`, with credentials."""
        same = URL(page).origin() == URL(url, encoded=True).origin()
        headers = {
            "Sec-Fetch-Site": "same-origin" if same else "cross-site",
            "Sec-Fetch-Mode": "cors",
            "Sec-Fetch-Dest": "empty",
        }
        if not same or method != "GET":
            headers["Origin"] = str(URL(page).origin())
        return await self.ask(method, url, headers, **more)

    async def step(
        self, url: str, site: str = "none", destination: str = "document"
    ) -> tuple[int, Any, str]:
        """Send one request of a navigation."""
        headers = {
            "Accept": "text/html",
            "Sec-Fetch-Site": site,
            "Sec-Fetch-Mode": "navigate",
            "Sec-Fetch-Dest": destination,
        }
        return await self.ask("GET", url, headers)

    async def navigate(self, url: str, site: str = "none") -> Seen:
        """Navigate to a URL, and follow redirects."""
        hops = [url]
        while True:
            status, headers, text = await self.step(hops[-1], site)
            if status not in (301, 302, 303, 307):
                return Seen(hops[-1], status, headers, text, hops)
            hops.append(
                str(URL(hops[-1], encoded=True).join(URL(headers["Location"], encoded=True)))
            )
            assert len(hops) < MOST_REDIRECTS, hops
