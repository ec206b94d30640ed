"""Waiting for what is to come about, with a limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from jupyter_workspaces.kube.errors import NotFound

Answer = TypeVar("Answer")

PAUSE_SECONDS = 0.01


async def until(condition: Callable[[], Awaitable[Answer]], what: str, seconds: float) -> Answer:
    """Its first true answer; a `NotFound` counts as not yet. Raises `AssertionError` that says what did not come about."""
    deadline = time.monotonic() + seconds
    answer: Any = None
    while time.monotonic() < deadline:
        try:
            answer = await condition()
        except NotFound:
            answer = None
        if answer:
            return answer
        await asyncio.sleep(PAUSE_SECONDS)
    raise AssertionError(f"{what} did not come about within {seconds:g} s; last seen: {answer}")
