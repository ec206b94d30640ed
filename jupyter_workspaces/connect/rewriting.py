"""The public path: what changes in an address on its way in and out. Pure.

A workspace always thinks that it stands at `/workspace/connect/{namespace}/{name}/{portId}/` (or at `/` where its kind says
`removePathPrefix`). Where the server has a base URL of its own, that is taken off inward and put back outward.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote, urlsplit, urlunsplit

_AS_IT_IS = "".join(chr(byte) for byte in range(0x21, 0x7F) if byte != ord("#"))


@dataclass(frozen=True)
class PublicPath:
    """`base` is the server's base URL and `inner` the workspace's public path, both with a slash at either end, still percent-encoded.

    `upstream` and `public` are the hosts (with port) by which the workspace and we are addressed.
    """

    base: str
    inner: str
    removed: bool = False
    upstream: str = ""
    public: str = ""

    @cached_property
    def outer(self) -> str:
        """What the browser sees: base URL and public path."""
        return self.base + self.inner[1:]

    @cached_property
    def same(self) -> bool:
        """Inside and outside are the same: nothing is to be rewritten."""
        return self.base == "/" and not self.removed

    @property
    def prefix(self) -> str:
        """What was taken off, without its last slash (`X-Forwarded-Prefix`); empty when nothing was."""
        return (self.outer if self.removed else self.base)[:-1]

    def inward(self, target: str) -> str:
        """Path and query of a request as the workspace shall see it; bytes beyond ASCII become percent-encoded."""
        rest = target[len(self.outer) :]
        path = "/" + rest if self.removed else self.inner + rest
        return quote(path.encode("latin-1"), safe=_AS_IT_IS)

    def outward_path(self, path: str) -> str:
        """A root-absolute path that the workspace wrote, as the browser must use it."""
        if self.same or path.startswith(self.outer) or path == self.outer[:-1]:
            return path
        if self.removed and not path.startswith(self.inner):
            return self.outer + path[1:]
        return self.base + path[1:]

    def outward(self, url: str) -> str:
        """Any reference that the workspace wrote: root-absolute, or absolute and meant for itself. Others stay as they are."""
        if url.startswith("/") and not url.startswith("//"):
            return self.outward_path(url)
        if not url.startswith(("//", "http://", "https://")):
            return url
        try:
            parts = urlsplit(url)
        except ValueError:  # not a URL that a browser could follow either
            return url
        path = parts.path or "/"
        ours = parts.netloc == self.public and (self.removed or path.startswith(self.inner)) and not path.startswith(self.outer)
        if parts.netloc != self.upstream and not ours:
            return url
        return urlunsplit(("", "", self.outward_path(path), parts.query, parts.fragment))

    def confined(self, path: str) -> str:
        """A cookie's path, never wider than the workspace."""
        outside = self.outward_path(path) if path.startswith("/") else self.outer
        return outside if outside.startswith(self.outer) else self.outer
