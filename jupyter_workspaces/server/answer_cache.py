"""Cache of responses of the cluster that are used longer while the cluster does not answer.

cachetools bounds it. It has neither entries with two lifetimes, nor shared reads.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from cachetools import LRUCache

from jupyter_workspaces.common.supervision import Supervisor
from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.errors import ClusterError, Unreachable

log = logging.getLogger(__name__)

Key = TypeVar("Key")
Value = TypeVar("Value")

FIRST_SECONDS = 5.0
"""Time that a caller waits for a value that has not been read before."""
PATIENCE_SECONDS = 1.0
"""Time that a caller waits for a newer value before it gets the known one.

It does not wait after a failed read.
"""
READ_SECONDS = 10.0
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
DOUBT_SECONDS = 10.0


@dataclass(frozen=True)
class Lifetime:
    """How long a value may be used, in seconds since it was read.

    `fresh` is the time without another read, `usable` the time while the cluster does not answer.
    """

    fresh: float
    usable: float


@dataclass
class _Entry(Generic[Value]):
    value: Value
    fresh_until: float
    usable_until: float
    pause: float = 0.0  # not 0: the last read failed
    retry_at: float = 0.0
    doubted_at: float = float("-inf")


@dataclass(frozen=True)
class _Read(Generic[Value]):
    task: asyncio.Task[Value]
    started: float


class AnswerCache(Generic[Key, Value]):
    """Values read from the cluster, by key.

    A fresh value is returned at once. An older one is read again, once for all callers that wait,
    and is returned unchanged if the cluster does not answer: errors for which `silent` is true. Any
    other error is an answer: the value is dropped and the error raised. Failed reads are repeated
    with exponential backoff of 1 to 30 s, by the callers' requests. At most `size` values are kept,
    the most recently used ones.
    """

    def __init__(
        self,
        *,
        size: int,
        silent: Callable[[ClusterError], bool],
        first_seconds: float = FIRST_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make an empty cache.

        Args:
            size: largest number of values.
            silent: returns whether an error means that the cluster does not answer.
            first_seconds: timeout of a read without a known value.
            patience_seconds: timeout of a read before the known value is returned.
            clock: returns seconds, for tests.
        """
        self._silent, self._clock = silent, clock
        self._first_seconds, self._patience_seconds = first_seconds, patience_seconds
        self._entries: LRUCache[Key, _Entry[Value]] = LRUCache(size)
        self._reads: dict[Key, _Read[Value]] = {}
        self._tasks = Supervisor(log)

    async def get(
        self, key: Key, read: Callable[[], Awaitable[Value]], lifetime: Callable[[Value], Lifetime]
    ) -> Value:
        """Return a value, after `read` if there is no fresh one.

        Raises:
            ClusterError: the error of `read`.
            Unreachable: `read` took longer than `first_seconds`, and no value is known.
        """
        entry, now = self._entries.get(key), self._clock()
        if entry is not None and now >= max(entry.fresh_until, entry.usable_until):
            del self._entries[key]
            entry = None
        if entry is not None and (now < entry.fresh_until or now < entry.retry_at):
            return entry.value
        reading = self._reads.get(key) or self._begin(key, read, lifetime)
        limit = (
            self._first_seconds if entry is None else 0.0 if entry.pause else self._patience_seconds
        )
        left = reading.started + limit - asyncio.get_running_loop().time()
        if left > 0 and not reading.task.done():
            await asyncio.wait({reading.task}, timeout=left)
        if reading.task.done() and not reading.task.cancelled():
            error = reading.task.exception()
            if error is None:
                return reading.task.result()
            if not (isinstance(error, ClusterError) and self._silent(error)):
                raise error
        else:
            error = Unreachable(f"The cluster did not answer within {self._first_seconds:g} s")
        known = self._entries.get(key)  # may have been dropped meanwhile
        if known is None:
            raise error
        return known.value

    def doubt(self, key: Key, value: Value) -> None:
        """Read `value` again at the next request, at most once in 10 s.

        Call it after evidence that the value no longer holds.
        """
        entry, now = self._entries.get(key), self._clock()
        if entry is not None and entry.value == value and now - entry.doubted_at >= DOUBT_SECONDS:
            entry.fresh_until, entry.doubted_at = now, now

    def drop(self, chosen: Callable[[Key], bool]) -> None:
        """Drop the values of the chosen keys, and cancel reads of them."""
        for key in [key for key in self._entries if chosen(key)]:
            del self._entries[key]
        for key in [key for key in self._reads if chosen(key)]:
            self._reads.pop(key).task.cancel()

    async def close(self) -> None:
        """Drop all values, and wait for the end of all reads."""
        self.drop(lambda key: True)
        await self._tasks.stop()

    def __len__(self) -> int:
        """Return the number of values."""
        return len(self._entries)

    def _begin(
        self, key: Key, read: Callable[[], Awaitable[Value]], lifetime: Callable[[Value], Lifetime]
    ) -> _Read[Value]:
        task = self._tasks.run_once(
            "Reading from the cluster", self._read(key, read, lifetime), expected=(ClusterError,)
        )
        reading = self._reads[key] = _Read(task, asyncio.get_running_loop().time())

        def ended(task: asyncio.Task[Value]) -> None:
            if self._reads.get(key) is reading:
                del self._reads[key]

        task.add_done_callback(ended)
        return reading

    async def _read(
        self, key: Key, read: Callable[[], Awaitable[Value]], lifetime: Callable[[Value], Lifetime]
    ) -> Value:
        try:
            async with timeout(READ_SECONDS):
                value = await read()
        except asyncio.TimeoutError:
            self._failed(key)
            raise Unreachable(f"The cluster did not answer within {READ_SECONDS:g} s") from None
        except ClusterError as error:
            if self._silent(error):
                self._failed(key)
            else:
                self._entries.pop(key, None)
            raise
        held, now, lives = self._entries.get(key), self._clock(), lifetime(value)
        entry = self._entries[key] = _Entry(value, now + lives.fresh, now + lives.usable)
        if held is not None:
            entry.doubted_at = held.doubted_at
        return value

    def _failed(self, key: Key) -> None:
        entry = self._entries.get(key)
        if entry is not None:
            entry.pause = min(max(entry.pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
            entry.retry_at = self._clock() + entry.pause
