"""Whether a server of this process still takes connections. One that does not is of no use to anybody: its process must end.

A listening socket can be lost without a word: after `MemoryError`, or when the loop could not be told of it again after `EMFILE`.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import threading
from collections.abc import Callable

from .timeouts import timeout

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
DIAL_SECONDS = 10.0
MISSES = 3
"""So often in a row nobody must answer: the loop itself may have been busy."""

EXIT_SECONDS = 15.0
_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL)
"""Failures of the one who dials; they say nothing about the one who listens."""


class ListeningLost(Exception):
    """Nobody takes connections at the address any more."""


async def watch(host: str, port: int, full: Callable[[], bool] = lambda: False) -> None:
    """Dial the process's own server every few seconds until nobody answers `MISSES` times in a row. Raises `ListeningLost`.

    Args:
        host: The address that the server listens on; an empty or unspecified one stands for this machine's own.
        full: Whether the server refuses connections on purpose now; it is not dialled then.
    """
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    missed = 0
    while missed < MISSES:
        await asyncio.sleep(LOOK_SECONDS)
        answered = None if full() else await _answers(host, port)
        if answered is False:
            missed += 1
            log.warning("Nobody takes connections at %s:%d (%d of %d)", host, port, missed, MISSES)
        elif answered:
            missed = 0
    raise ListeningLost(f"Nobody takes connections at {host}:{port} any more.")


async def _answers(host: str, port: int) -> bool | None:
    """Whether somebody accepts a connection: one that is ended at once is closed from the other side as well. None: cannot be known."""
    try:
        async with timeout(DIAL_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write_eof()
                await reader.read(1)
            finally:
                writer.close()
    except asyncio.TimeoutError:
        return False
    except ConnectionRefusedError:
        return False
    except MemoryError:
        return None
    except OSError as error:
        # Reset: somebody was there to do it.
        return None if error.errno in _OURS else isinstance(error, ConnectionError)
    return True


def exit_soon(seconds: float | None = None) -> None:
    """End the process with status 1 after this time, should its own way out be blocked as well."""

    def end() -> None:
        log.critical("The process did not end by itself; it is ended")
        logging.shutdown()
        os._exit(1)

    timer = threading.Timer(EXIT_SECONDS if seconds is None else seconds, end)
    timer.daemon = True
    timer.start()
