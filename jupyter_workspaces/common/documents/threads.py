"""Reading of long bodies in a thread, so that the event loop goes on meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

ASIDE_BYTES = 64 * 2**10
"""From this size on a body is read in a thread."""


async def aside(body: bytes, read: Callable[[bytes], Result]) -> Result:
    """Return what `read` makes of a body; a long one is read in a thread."""
    return read(body) if len(body) < ASIDE_BYTES else await asyncio.to_thread(read, body)
