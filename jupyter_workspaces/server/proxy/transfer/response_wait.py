"""Timeouts for the head of a response.

The system accepts connections and requests for programs that are stopped or busy, so a connection
says nothing about when a response begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from cachetools import LRUCache

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.server.proxy.limits import PROBE_SECONDS, Limits
from jupyter_workspaces.server.proxy.target import WorkspacePort

if TYPE_CHECKING:
    import aiohttp
    from multidict import CIMultiDict
    from yarl import URL

PORTS = 1024
"""Number of ports whose timeout is remembered."""


class ResponseTimeout(Exception):
    """The program received the request and did not begin a response within `seconds`."""

    def __init__(self, seconds: float) -> None:
        """Store the timeout."""
        super().__init__(f"no response within {seconds:g} s")
        self.seconds = seconds


class PageTimeouts:
    """Timeout for documents of each port, doubled after each document that timed out.

    Otherwise a program that handles one request at a time, and needs 40 s for a page, could never
    show it: the placeholder page loads it again as soon as the program responds.
    """

    def __init__(self, limits: Limits) -> None:
        """Start with the timeout of `limits` for every port."""
        self._limits = limits
        self._seconds: LRUCache[WorkspacePort, float] = LRUCache(PORTS)

    def seconds(self, workspace_port: WorkspacePort) -> float:
        """Return the timeout for the next document of a port."""
        return min(
            self._seconds.get(workspace_port, self._limits.page_seconds),
            self._limits.response_seconds,
        )

    def failed(self, workspace_port: WorkspacePort) -> None:
        """Double the timeout of a port, after a document timed out."""
        self._seconds[workspace_port] = self.seconds(workspace_port) * 2

    def succeeded(self, workspace_port: WorkspacePort) -> None:
        """Reset the timeout of a port."""
        self._seconds.pop(workspace_port, None)


async def wait_for_head(
    request: Awaitable[aiohttp.ClientResponse],
    seconds: float,
    stalled: Callable[[], float],
    responds: Callable[[], Awaitable[bool]],
    longest: float,
) -> aiohttp.ClientResponse:
    """Return the response when its head has arrived.

    Args:
        request: The request to send.
        seconds: Seconds without progress after which `responds` is called.
        stalled: Returns for how many seconds the program has had all of the request's body that
            arrived; infinity for a request without a body.
        responds: Returns whether the program responds to another request. If it does, the wait
            continues.
        longest: Seconds without progress after which the wait ends.

    Raises:
        ResponseTimeout: No response began in time.
        Exception: Whatever `request` raises.
    """
    sending = asyncio.ensure_future(request)
    try:
        started = asyncio.get_running_loop().time()
        await _wait(sending, started, seconds, stalled)
        if not sending.done() and (seconds >= longest or not await responds()):
            raise ResponseTimeout(seconds)
        await _wait(sending, started, longest, stalled)
        if not sending.done():
            raise ResponseTimeout(longest)
        response = sending.result()
    except BaseException:
        await _cancel(sending)
        raise
    return response


async def _wait(
    sending: asyncio.Future[aiohttp.ClientResponse],
    started: float,
    seconds: float,
    stalled: Callable[[], float],
) -> None:
    loop = asyncio.get_running_loop()
    while not sending.done() and (left := seconds - min(loop.time() - started, stalled())) > 0:
        await asyncio.wait((sending,), timeout=left)


async def _cancel(sending: asyncio.Future[aiohttp.ClientResponse]) -> None:
    sending.cancel()
    await asyncio.wait((sending,))
    if not sending.cancelled() and sending.exception() is None:
        sending.result().close()


async def responds_to_head(
    session: aiohttp.ClientSession, url: URL, headers: CIMultiDict[str]
) -> bool:
    """Return whether a program responds to a HEAD request within 2 s, with any status."""
    import aiohttp

    try:
        async with (
            timeout(PROBE_SECONDS),
            session.head(url, headers=headers, allow_redirects=False),
        ):
            return True
    except (aiohttp.ClientError, asyncio.TimeoutError):
        return False
