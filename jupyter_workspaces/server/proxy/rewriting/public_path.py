"""The public path: what changes in an address on its way in and out. Pure.

A workspace serves the path that it got at its start: `/workspace/connect/{namespace}/{name}/{portId}/`
below the base URL of the server that started it (or at `/` where its kind says `removePathPrefix`). A server with another base URL
exchanges the two, inward and outward.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote, urlsplit, urlunsplit

_PARTS = len(("workspace", "connect", "namespace", "name", "port", ""))
_AS_IT_IS = "".join(chr(byte) for byte in range(0x21, 0x7F) if byte != ord("#"))

# What browsers take off or out of an address before they read it (WHATWG URL §4.4).
_AROUND = "".join(map(chr, range(0x21)))
_WITHIN = str.maketrans("", "", "\t\n\r")
_PATH_END = re.compile(r"[?#]")
_DOTS = re.compile(r"\.|%2e", re.IGNORECASE)
_NOT_PLAIN = re.compile(r"\\|//|%2f|%5c|%00|[\x00-\x20\x7f;]", re.IGNORECASE)


@dataclass(frozen=True)
class PublicPath:
    """`base` is the server's base URL and `inner` the path that the workspace got at its start, both with a slash at either end, still encoded.

    `upstream` and `public` are the hosts (with port) by which the workspace and we are addressed, and `scheme` is ours.
    """

    base: str
    inner: str
    removed: bool = False
    upstream: str = ""
    public: str = ""
    scheme: str = "http"

    @cached_property
    def outer(self) -> str:
        """What the browser sees: the server's base URL and the public path."""
        return self.base + self.inner[len(self.inner_base) :]

    @cached_property
    def inner_base(self) -> str:
        """The base URL that the workspace got at its start."""
        return "/".join(self.inner.split("/")[:-_PARTS]) + "/"

    @cached_property
    def same(self) -> bool:
        """Inside and outside are the same: nothing is to be rewritten."""
        return self.base == self.inner_base and not self.removed

    @property
    def prefix(self) -> str:
        """What was taken off, without its last slash (`X-Forwarded-Prefix`); empty when nothing was."""
        if self.removed:
            return self.outer[:-1]
        return self.base[:-1] if self.inner_base == "/" else ""

    def inward(self, target: str) -> str:
        """Path and query of a request as the workspace shall see it; bytes beyond ASCII become percent-encoded."""
        rest = target[len(self.outer) :]
        path = "/" + rest if self.removed else self.inner + rest
        return quote(path.encode("latin-1"), safe=_AS_IT_IS)

    def outward_path(self, path: str) -> str:
        """Return a root-absolute path of the workspace as the browser must use it.

        Dot segments are resolved first.
        """
        path = _resolved(path)
        if self.same or path.startswith(self.outer) or path == self.outer[:-1]:
            return path
        if self.removed and not path.startswith(self.inner):
            return self.outer + path[1:]
        if path.startswith(self.inner_base):
            return self.base + path[len(self.inner_base) :]
        return path

    def outward(self, url: str) -> str:
        """Any reference that the workspace wrote: root-absolute, or absolute and meant for itself. Others stay as they are."""
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
        """Return a path for a cookie or a service worker, never wider than the workspace.

        One that could be read in two ways becomes the workspace's root.
        """
        if not path.startswith("/") or _NOT_PLAIN.search(path) or _has_dots(path):
            return self.outer
        outside = self.outward_path(path)
        return outside if outside.startswith(self.outer) else self.outer


def _as_read(url: str) -> str:
    """The address as a browser reads it."""
    read = url.strip(_AROUND).translate(_WITHIN)
    if "\\" not in read:
        return read
    end = match.start() if (match := _PATH_END.search(read)) is not None else len(read)
    return read[:end].replace("\\", "/") + read[end:]


def _has_dots(path: str) -> bool:
    return any(_DOTS.sub(".", segment) in (".", "..") for segment in path.split("/"))


def _resolved(path: str) -> str:
    """The path without dot segments, also percent-encoded ones (WHATWG URL, “path state”)."""
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
