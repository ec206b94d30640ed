"""Wait for a condition, with a limit and a message that names the condition."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from jupyter_workspaces.kube.errors import NotFound

Answer = TypeVar("Answer")

LIMIT_SECONDS = 90.0
START_SECONDS = 60.0
PAUSE_SECONDS = 0.01
SYNC_PAUSE_SECONDS = 0.02  # many conditions open a TLS connection
LOG_CHARACTERS = 3000


async def until(
    condition: Callable[[], Awaitable[Answer] | Answer],
    what: str = "the condition",
    seconds: float = LIMIT_SECONDS,
) -> Answer:
    """Wait until a condition holds, without blocking the event loop.

    Args:
        condition: A function or coroutine function. A `NotFound` of the cluster counts as false.
        what: What the test waits for, for the message.
        seconds: The limit.

    Returns:
        The first true value of the condition.

    Raises:
        AssertionError: The condition did not hold in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer: Any = condition()
            if inspect.isawaitable(answer):
                answer = await answer
        except NotFound as missing:
            answer = missing
        else:
            if answer:
                return answer
        if time.monotonic() > deadline:
            raise AssertionError(_message(what, seconds, answer))
        await asyncio.sleep(PAUSE_SECONDS)


def until_sync(
    condition: Callable[[], Answer],
    what: str = "the condition",
    seconds: float = LIMIT_SECONDS,
) -> Answer:
    """Wait until a condition holds, in a test without an event loop; see `until`."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(_message(what, seconds, answer))
        time.sleep(SYNC_PAUSE_SECONDS)
    return answer


def until_started(
    condition: Callable[[], Answer],
    process: subprocess.Popen[bytes],
    log: Path,
    seconds: float = START_SECONDS,
) -> Answer:
    """Wait until a process is ready; return the first true value of the condition.

    Raises:
        AssertionError: The process ended or was not ready in time. Contains the end of its log.
    """
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if process.poll() is not None or time.monotonic() > deadline:
            state = "ended" if process.poll() is not None else f"is not ready after {seconds:g} s"
            text = log.read_text(encoding="utf-8", errors="replace")[-LOG_CHARACTERS:]
            raise AssertionError(f"{process.args} {state}. The end of its log:\n{text}")
        time.sleep(SYNC_PAUSE_SECONDS)
    return answer


def responds(url: str) -> bool:
    """Whether a GET of `url` returns 2xx."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _message(what: str, seconds: float, answer: Any) -> str:
    return f"waited {seconds:g} s for {what}; last value: {answer!r}"[:LOG_CHARACTERS]
