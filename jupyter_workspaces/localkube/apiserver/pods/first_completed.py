"""Runs two awaitables until the first of them completes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any


async def first_completed(one: Awaitable[Any], other: Awaitable[Any]) -> Any:
    """Return the result of the awaitable that completes first, or raise its exception.

    The other one is cancelled and awaited.
    """
    tasks = [asyncio.ensure_future(one), asyncio.ensure_future(other)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task in done).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
