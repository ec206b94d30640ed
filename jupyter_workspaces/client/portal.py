"""The client's private thread with its event loop, which does all I/O of a kernel.

ipykernel runs callbacks on different threads depending on its version, some with a running event
loop. The functions of this module work the same on all of them.

anyio's `BlockingPortal` is not used: it cancels a task again at each `await` of its clean-up, so an
interrupted `spawn` could not delete the volumes that it created, and its end has no time limit.
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

STOP_LIMIT = 3.0  # seconds for tasks to end when Python exits

log = logging.getLogger(__name__)

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None
_pid = 0
_stopped: asyncio.AbstractEventLoop | None = None  # the loop that was stopped at exit


def loop() -> asyncio.AbstractEventLoop:
    """Return the private loop.

    Starts it and its thread on first use, in a forked child, and if the thread has ended.
    """
    global _loop, _thread, _pid
    with _lock:
        if (
            _loop is not None
            and _loop is not _stopped
            and _pid == os.getpid()
            and (_thread is None or not _thread.is_alive())
        ):
            log.error("The client's private thread has ended. Starting it again.")
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
    """Start a coroutine on the private loop."""
    return asyncio.run_coroutine_threadsafe(coroutine, loop())


def start(coroutine: Coroutine[Any, Any, object], name: str) -> None:
    """Start a coroutine on the private loop; logs the type of its exception."""

    def ended(future: Future[object]) -> None:
        if not future.cancelled() and (error := future.exception()) is not None:
            log.error("%s failed: %s", name, type(error).__name__)

    submit(coroutine).add_done_callback(ended)


def run(coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
    """Run a coroutine on the private loop, and return its result.

    Raises its exceptions, `TimeoutError` after `timeout` seconds, and `RuntimeError` on the private
    thread itself, where it would wait for itself. An interrupt cancels the coroutine.
    """
    if inside():
        coroutine.close()
        raise RuntimeError(
            "Cannot wait on the client's private thread: await the AsyncClient's method instead."
        )
    future = submit(coroutine)
    try:
        return future.result(timeout)
    except concurrent.futures.TimeoutError as error:  # a separate class before Python 3.11
        if future.done():  # raised by the coroutine itself
            raise
        future.cancel()
        raise TimeoutError(f"No response within {timeout:g} s.") from error
    except BaseException:
        future.cancel()  # interrupted: the request must not continue in the background
        raise


def ask(coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
    """Run a request like `run`, but raise `Unreachable` after `timeout` seconds."""
    try:
        return run(coroutine, timeout)
    except TimeoutError as error:
        raise Unreachable(
            str(error) or "The workspaces server did not respond in time.",
            "Try again in a moment.",
        ) from error


def iterate(values: AsyncIterator[T]) -> Iterator[T]:
    """Iterate over an async generator that runs on the private loop; closes it at the end."""

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
    """Schedule a function call on the private loop; calls keep their order."""
    loop().call_soon_threadsafe(function, *arguments)


def inside() -> bool:
    """Return whether the current thread is the private one."""
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
