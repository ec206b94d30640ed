"""Reads long bodies in a thread, so that the event loop is not blocked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

ASIDE_BYTES = 64 * 2**10
"""A body of this size or larger is read in a thread."""


async def read_in_thread(body: bytes, read: Callable[[bytes], Result]) -> Result:
    """Return the result of `read` for a body; a long body is read in a thread."""
    return read(body) if len(body) < ASIDE_BYTES else await asyncio.to_thread(read, body)
