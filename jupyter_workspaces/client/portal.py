"""The one private thread with the one private event loop, on which all of the kernel's I/O happens.

A kernel runs its callbacks on threads that differ by version, some with a running loop; from each of them this works the same.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import logging
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

from .errors import Unreachable

T = TypeVar("T")

STOP_LIMIT = 3.0  # seconds that open work gets to end when Python ends

log = logging.getLogger(__name__)

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None
_pid = 0
_stopped: asyncio.AbstractEventLoop | None = None  # at Python's end it stays stopped


def loop() -> asyncio.AbstractEventLoop:
    """The private loop; made with its thread on first use, and again in a forked child or when the thread has ended."""
    global _loop, _thread, _pid
    with _lock:
        if (
            _loop is not None
            and _loop is not _stopped
            and _pid == os.getpid()
            and (_thread is None or not _thread.is_alive())
        ):
            log.error("The thread of the workspaces' client had ended; it is started again.")
            _loop = None
        if _loop is None or _pid != os.getpid():
            started = threading.Event()
            _loop, _pid = asyncio.new_event_loop(), os.getpid()
            _thread = threading.Thread(
                target=_serve, args=(_loop, started), name="jupyter-workspaces", daemon=True
            )
            _thread.start()
            started.wait()
            atexit.register(_stop, _loop, _thread)
        return _loop


def submit(coroutine: Coroutine[Any, Any, T]) -> Future[T]:
    """Start it there and go on."""
    return asyncio.run_coroutine_threadsafe(coroutine, loop())


def start(coroutine: Coroutine[Any, Any, object], name: str) -> None:
    """Start it there and forget it; what it raises is logged, by its type."""

    def ended(future: Future[object]) -> None:
        if not future.cancelled() and (error := future.exception()) is not None:
            log.error("%s failed: %s", name, type(error).__name__)

    submit(coroutine).add_done_callback(ended)


def run(coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
    """Run it there and wait. Raises what it raises, and `TimeoutError` after `timeout` seconds.

    Called on the private thread itself it would wait for ever: that is a `RuntimeError`.
    """
    if inside():
        coroutine.close()
        raise RuntimeError(
            "This waits for the thread it runs on: await the AsyncClient's method instead."
        )
    future = submit(coroutine)
    try:
        return future.result(timeout)
    except concurrent.futures.TimeoutError as error:  # an own class before Python 3.11
        if future.done():  # what the coroutine itself raised
            raise
        future.cancel()
        raise TimeoutError(f"No answer within {timeout:g} s.") from error
    except BaseException:
        future.cancel()  # the person pressed Stop, or waited long enough: the request must not go on behind their back
        raise


def ask(coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
    """`run` for what a server answers: no answer in time is `Unreachable`, a `WorkspaceError`."""
    try:
        return run(coroutine, timeout)
    except TimeoutError as error:
        raise Unreachable(
            str(error) or "The server of workspaces did not answer in time.",
            "Try again in a moment.",
        ) from error


def iterate(values: AsyncIterator[T]) -> Iterator[T]:
    """What an async generator yields there, one by one here; it is closed when nobody asks for more."""

    async def step() -> tuple[T] | None:
        try:
            return (await values.__anext__(),)
        except StopAsyncIteration:
            return None

    async def close() -> None:
        if isinstance(values, AsyncGenerator):
            await values.aclose()

    try:
        while (found := run(step())) is not None:
            yield found[0]
    finally:
        run(close(), STOP_LIMIT)


def call(function: Callable[..., object], *arguments: object) -> None:
    """Have a plain function called there, soon; in the order of the calls."""
    loop().call_soon_threadsafe(function, *arguments)


def inside() -> bool:
    """Whether this is the private thread."""
    return _thread is not None and threading.current_thread() is _thread


def _serve(serving: asyncio.AbstractEventLoop, started: threading.Event) -> None:
    asyncio.set_event_loop(serving)
    serving.call_soon(started.set)
    serving.run_forever()


def _stop(serving: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    async def end() -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=STOP_LIMIT) if tasks else None
        serving.stop()

    global _stopped
    _stopped = serving
    if thread.is_alive() and serving.is_running():
        asyncio.run_coroutine_threadsafe(end(), serving)
        thread.join(STOP_LIMIT + 1)
