"""Which bodies are rewritten where the server has a base URL, and by what. Pure.

A body is rewritten where browsers read URLs in it by themselves: pages, scripts, style sheets, documents of XML, web manifests.
Data is not: JSON, text and streams of events may be what a user keeps (the contents API of Jupyter), and so may a file that is
downloaded. The one exception is the list of kernels (`kernelspecs`).
"""

from __future__ import annotations

import re
from typing import Protocol

from .addresses import ScriptAddresses
from .html import HtmlRewriter
from .kernelspecs import KernelspecsRewriter, is_kernelspecs
from .public_path import PublicPath

PAGES = frozenset(("text/html", "application/xhtml+xml"))
SCRIPTS = frozenset(
    (
        *(
            "text/javascript",
            "application/javascript",
            "application/x-javascript",
            "application/ecmascript",
            "text/ecmascript",
        ),
        *("text/css", "image/svg+xml", "text/xml", "application/xml", "application/manifest+json"),
    )
)

_UNREADABLE = re.compile(r"utf-?(?:16|32|7)|ucs|ebcdic|iso-2022", re.IGNORECASE)
_DOWNLOAD = re.compile(r"\s*attachment\b", re.IGNORECASE)


class Rewriter(Protocol):
    """Changes a body as it passes."""

    def feed(self, data: bytes) -> bytes: ...
    def finish(self) -> bytes: ...


def rewriter(
    path: PublicPath, content_type: str, *, asked: str, charset: str = "", disposition: str = ""
) -> Rewriter | None:
    """Return what rewrites a body of this type, None for nothing. `asked` is the path of the request as the workspace sees it."""
    if path.same or is_unreadable(charset) or is_download(disposition):
        return None
    if content_type in PAGES:
        return HtmlRewriter(path)
    if content_type in SCRIPTS:
        return ScriptAddresses(path)
    if content_type == "application/json" and is_kernelspecs(path, asked):
        return KernelspecsRewriter(path)
    return None


def is_unreadable(charset: str) -> bool:
    """Return whether bytes of ASCII markup may mean something else in this character set."""
    return _UNREADABLE.match(charset) is not None


def is_download(disposition: str) -> bool:
    """Return whether a `Content-Disposition` makes the body a file that the user keeps."""
    return _DOWNLOAD.match(disposition) is not None
