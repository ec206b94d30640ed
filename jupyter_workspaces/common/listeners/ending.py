"""Ends a process that lost its listening socket, even if its regular shutdown is blocked."""

from __future__ import annotations

import logging
import os
import threading

log = logging.getLogger(__name__)

EXIT_SECONDS = 15.0


def exit_soon(seconds: float = EXIT_SECONDS) -> None:
    """End the process with status 1 after `seconds`, unless it has ended by itself."""

    def end() -> None:
        log.critical("The process did not shut down in time; exiting")
        logging.shutdown()
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
