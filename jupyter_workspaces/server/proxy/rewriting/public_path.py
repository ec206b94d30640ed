"""Mapping between a workspace's paths in the browser and in the program. Pure.

A workspace serves the path that it got when it started: below the base URL of the server that
started it, `workspace/connect/{namespace}/{name}/{portId}/`, or `/` if its kind sets
`removePathPrefix`. A server with another base URL replaces one by the other, inward and outward.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote, urlsplit, urlunsplit

_PARTS = len(("workspace", "connect", "namespace", "name", "port", ""))
_AS_IT_IS = "".join(chr(byte) for byte in range(0x21, 0x7F) if byte != ord("#"))

# Characters that browsers remove around and within a URL before they parse it (WHATWG URL §4.4).
_AROUND = "".join(map(chr, range(0x21)))
_WITHIN = str.maketrans("", "", "\t\n\r")
_PATH_END = re.compile(r"[?#]")
_DOTS = re.compile(r"\.|%2e", re.IGNORECASE)
_NOT_PLAIN = re.compile(r"\\|//|%2f|%5c|%00|[\x00-\x20\x7f;]", re.IGNORECASE)


@dataclass(frozen=True)
class PublicPath:
    """The public path of a workspace's port.

    Paths are percent-encoded and have a slash at both ends.

    Attributes:
        base: The server's base URL.
        inner: The path that the workspace got when it started.
        removed: Whether the program serves `/` instead of `inner`.
        upstream: Host and port of the program.
        public: Host and port of this server.
        scheme: Scheme of this server.
    """

    base: str
    inner: str
    removed: bool = False
    upstream: str = ""
    public: str = ""
    scheme: str = "http"

    @cached_property
    def outer(self) -> str:
        """The path in the browser."""
        return self.base + self.inner[len(self.inner_base) :]

    @cached_property
    def inner_base(self) -> str:
        """The base URL that the workspace got when it started."""
        return "/".join(self.inner.split("/")[:-_PARTS]) + "/"

    @cached_property
    def same(self) -> bool:
        """Whether both paths are the same, so that nothing has to be rewritten."""
        return self.base == self.inner_base and not self.removed

    @property
    def prefix(self) -> str:
        """The prefix that is removed, without its last slash, for `X-Forwarded-Prefix`."""
        if self.removed:
            return self.outer[:-1]
        return self.base[:-1] if self.inner_base == "/" else ""

    def inward(self, target: str) -> str:
        """Map path and query of a request for the program. Percent-encodes non-ASCII bytes."""
        rest = target[len(self.outer) :]
        path = "/" + rest if self.removed else self.inner + rest
        return quote(path.encode("latin-1"), safe=_AS_IT_IS)

    def outward_path(self, path: str) -> str:
        """Map a root-absolute path of the program for the browser. Resolves dot segments."""
        path = _resolved(path)
        if self.same or path.startswith(self.outer) or path == self.outer[:-1]:
            return path
        if self.removed and not path.startswith(self.inner):
            return self.outer + path[1:]
        if path.startswith(self.inner_base):
            return self.base + path[len(self.inner_base) :]
        return path

    def outward(self, url: str) -> str:
        """Map a URL reference of the program for the browser.

        Maps root-absolute references, and absolute ones that mean the program. Returns others
        unchanged.
        """
        read = _as_read(url)
        start = read[:8].lower()
        if start.startswith("/") and not start.startswith("//"):
            end = match.start() if (match := _PATH_END.search(read)) is not None else len(read)
            return self.outward_path(read[:end]) + read[end:]
        if not start.startswith(("//", "http://", "https://")):
            return url
        try:
            parts = urlsplit(read)
        except ValueError:  # not a URL that a browser could follow either
            return url
        host, path = parts.netloc.lower(), _resolved(parts.path or "/")
        ours = (
            host == self.public.lower()
            and (self.removed or path.startswith(self.inner))
            and not path.startswith(self.outer)
        )
        if host != self.upstream.lower() and not ours:
            return url
        return urlunsplit(("", "", self.outward_path(path), parts.query, parts.fragment))

    def confined(self, path: str) -> str:
        """Map the path of a cookie or a service worker, limited to the workspace's path.

        An ambiguous path becomes the workspace's root.
        """
        if not path.startswith("/") or _NOT_PLAIN.search(path) or _has_dots(path):
            return self.outer
        outside = self.outward_path(path)
        return outside if outside.startswith(self.outer) else self.outer


def _as_read(url: str) -> str:
    """Return a URL as a browser parses it."""
    read = url.strip(_AROUND).translate(_WITHIN)
    if "\\" not in read:
        return read
    end = match.start() if (match := _PATH_END.search(read)) is not None else len(read)
    return read[:end].replace("\\", "/") + read[end:]


def _has_dots(path: str) -> bool:
    return any(_DOTS.sub(".", segment) in (".", "..") for segment in path.split("/"))


def _resolved(path: str) -> str:
    """Resolve dot segments, also percent-encoded ones (WHATWG URL, “path state”)."""
    if not _has_dots(path):
        return path
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        plain = _DOTS.sub(".", segment)
        if plain == "..":
            del kept[-1:]
        elif plain != ".":
            kept.append(segment)
    if _DOTS.sub(".", segments[-1]) in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
