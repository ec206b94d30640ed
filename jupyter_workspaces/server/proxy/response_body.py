"""Decides how a response's body is changed on its way to the browser, and changes it in pieces.

Nearly all bodies pass unchanged. A body is decoded and changed if the browser needs other addresses
in it (`rewriting`), or if it is the page of a tab that gets the notice's script
(`pages.tab_notice`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .pages.tab_notice import ScriptAppender, accepts_notice
from .rewriting.content_types import Rewriter, rewriter
from .rewriting.decoding import Decoder, decoder
from .rewriting.public_path import PublicPath

if TYPE_CHECKING:
    import aiohttp


@dataclass(frozen=True)
class BodyChange:
    """How one body is changed: decoded, then rewritten."""

    decoder: Decoder
    rewriter: Rewriter

    @property
    def has_notice(self) -> bool:
        """Whether the notice's script may be appended."""
        return isinstance(self.rewriter, ScriptAppender)


def body_change(
    response: aiohttp.ClientResponse, path: PublicPath, notice: bytes | None = None
) -> BodyChange | None:
    """Return how to change the body of a response, None to forward it as it is.

    Args:
        response: The workspace's response, of which only the head has been read.
        path: The public path of the workspace's port.
        notice: The script element for the page of a tab, None for other requests.
    """
    if response.status in (204, 206, 304) or response.method == "HEAD":
        return None
    charset = response.charset or ""
    changes = rewriter(
        path,
        response.content_type,
        requested=response.url.raw_path,
        charset=charset,
        disposition=response.headers.get("Content-Disposition", ""),
    )
    if notice is not None and accepts_notice(
        response.status, response.content_type, charset, response.headers.items()
    ):
        changes = ScriptAppender(notice, changes)
    decodes = decoder(response.headers.get("Content-Encoding", ""))
    return None if changes is None or decodes is None else BodyChange(decodes, changes)


async def body_pieces(
    response: aiohttp.ClientResponse, change: BodyChange | None
) -> AsyncIterator[bytes]:
    """Yield the body for the browser.

    A body that is changed comes in small pieces, and other tasks run between them.
    """
    async for chunk in response.content.iter_any():
        if change is None:
            yield chunk
            continue
        for piece in change.decoder.feed(chunk):
            if changed := change.rewriter.feed(piece):
                yield changed
            await asyncio.sleep(0)
    if change is not None and (rest := change.rewriter.finish()):
        yield rest
