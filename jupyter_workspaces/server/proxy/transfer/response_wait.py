"""Waiting for the head of a response: programs that are stopped take requests, and never answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from cachetools import LRUCache

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.server.proxy.limits import PROBE_SECONDS, Limits
from jupyter_workspaces.server.proxy.target import Place

if TYPE_CHECKING:
    import aiohttp
    from multidict import CIMultiDict
    from yarl import URL

PLACES = 1024


class NoAnswer(Exception):
    """The program took the request and did not begin to answer it within `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no response within {seconds:g} s")
        self.seconds = seconds


class Patience:
    """How long documents of a place are waited for: twice as long after each one that did not come.

    A program that handles one request at a time and needs 40 s for a page would otherwise never get to show it: the page that says so
    loads it again as soon as the program answers.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._seconds: LRUCache[Place, float] = LRUCache(PLACES)

    def seconds(self, place: Place) -> float:
        return min(
            self._seconds.get(place, self._limits.page_seconds), self._limits.response_seconds
        )

    def failed(self, place: Place) -> None:
        self._seconds[place] = self.seconds(place) * 2

    def succeeded(self, place: Place) -> None:
        self._seconds.pop(place, None)


async def head(
    request: Awaitable[aiohttp.ClientResponse],
    seconds: float,
    stalled: Callable[[], float],
    alive: Callable[[], Awaitable[bool]],
    most: float,
) -> aiohttp.ClientResponse:
    """Return the response once its head has come.

    `stalled` is for how many seconds the program has not taken more of the request's body (infinite where there is none). After `seconds`
    without progress `alive` is asked; while it says yes, the wait goes on until `most` seconds. Raises `NoAnswer`, and what `request` does.
    """
    sending = asyncio.ensure_future(request)
    try:
        started = asyncio.get_running_loop().time()
        await _within(sending, started, seconds, stalled)
        if not sending.done() and (seconds >= most or not await alive()):
            raise NoAnswer(seconds)
        await _within(sending, started, most, stalled)
        if not sending.done():
            raise NoAnswer(most)
        response = sending.result()
    except BaseException:
        await _give_up(sending)
        raise
    return response


async def _within(
    sending: asyncio.Future[aiohttp.ClientResponse],
    started: float,
    seconds: float,
    stalled: Callable[[], float],
) -> None:
    loop = asyncio.get_running_loop()
    while not sending.done() and (left := seconds - min(loop.time() - started, stalled())) > 0:
        await asyncio.wait((sending,), timeout=left)


async def _give_up(sending: asyncio.Future[aiohttp.ClientResponse]) -> None:
    sending.cancel()
    await asyncio.wait((sending,))
    if not sending.cancelled() and sending.exception() is None:
        sending.result().close()


async def answers(session: aiohttp.ClientSession, url: URL, headers: CIMultiDict[str]) -> bool:
    """Whether a program answers a HEAD request within 2 s, whatever it answers."""
    import aiohttp

    try:
        async with (
            timeout(PROBE_SECONDS),
            session.head(url, headers=headers, allow_redirects=False),
        ):
            return True
    except (aiohttp.ClientError, asyncio.TimeoutError):
        return False
