"""Chooses the rewriter for a body by its content type. Pure.

Bodies in which browsers use URLs by themselves are rewritten: pages, scripts, style sheets, XML,
web manifests. Data is not: JSON, text and event streams may be a user's files (the contents API of
Jupyter), and so may downloads. The only exception is the list of kernels (`kernelspecs`).
"""

from __future__ import annotations

import re
from typing import Protocol

from .addresses import ScriptRewriter
from .html_rewriter import HtmlRewriter
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
    """Rewrites a body incrementally."""

    def feed(self, data: bytes) -> bytes:
        """Return the output that is complete after `data`."""

    def finish(self) -> bytes:
        """Return the rest of the output."""


def rewriter(
    path: PublicPath, content_type: str, *, requested: str, charset: str = "", disposition: str = ""
) -> Rewriter | None:
    """Return the rewriter for a body, None if it stays as it is.

    Args:
        path: The public path of the workspace's port.
        content_type: The media type, in lower case and without parameters.
        requested: The path of the request as the program sees it.
        charset: The character set of the content type.
        disposition: The value of `Content-Disposition`.
    """
    if path.same or is_unreadable(charset) or is_download(disposition):
        return None
    if content_type in PAGES:
        return HtmlRewriter(path)
    if content_type in SCRIPTS:
        return ScriptRewriter(path)
    if content_type == "application/json" and is_kernelspecs(path, requested):
        return KernelspecsRewriter(path)
    return None


def is_unreadable(charset: str) -> bool:
    """Return whether the bytes of ASCII markup may mean something else in a character set."""
    return _UNREADABLE.match(charset) is not None


def is_download(disposition: str) -> bool:
    """Return whether a `Content-Disposition` makes the body a download."""
    return _DOWNLOAD.match(disposition) is not None
