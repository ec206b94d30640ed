"""Limits how often one place in the code may log, so that clients cannot fill the disk."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

LINES, SECONDS = 200, 60.0
CHARACTERS = 4096

Place = tuple[str, int, str, int]


@dataclass
class _Window:
    began: float
    lines: int = 0
    suppressed: int = 0


class LogLimit(logging.Filter):
    """Passes a number of records of each place in the code per time, and counts the others.

    Records are similar if the same line of code logged them at the same level: their texts contain
    addresses and differ. A summary follows with the next record after the time is over. Messages
    are cut at `CHARACTERS`. Debug messages are not limited.
    """

    def __init__(
        self, handler: logging.Handler, lines: int = LINES, seconds: float = SECONDS
    ) -> None:
        """Make a filter for a handler, which also gets the summaries."""
        super().__init__()
        self._handler, self._lines, self._seconds = handler, lines, seconds
        self._windows: dict[Place, _Window] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is logged."""
        if record.levelno < logging.INFO or getattr(record, "is_summary", False):
            return True
        place = (record.name, record.levelno, record.pathname, record.lineno)
        now = time.monotonic()
        with self._lock:
            over = [
                found
                for found, window in self._windows.items()
                if now - window.began > self._seconds
            ]
            summaries = [(found, self._windows.pop(found).suppressed) for found in over]
            window = self._windows.setdefault(place, _Window(now))
            window.lines += 1
            shown = window.lines <= self._lines
            window.suppressed += not shown
        for (name, level, path, line), number in summaries:
            if number:
                self._summarize(name, level, path, line, number)
        if shown and len(text := record.getMessage()) > CHARACTERS:
            record.msg, record.args = f"{text[:CHARACTERS]}… ({len(text)} characters)", ()
        return shown

    def _summarize(self, name: str, level: int, path: str, line: int, number: int) -> None:
        summary = logging.LogRecord(
            name, level, path, line, "Suppressed %d similar messages", (number,), None
        )
        summary.is_summary = True
        self._handler.handle(summary)


def limit(handlers: Iterable[logging.Handler]) -> None:
    """Limit these handlers, and the one for loggers without a handler (standard error)."""
    last = [logging.lastResort] if logging.lastResort is not None else []
    for handler in [*handlers, *last]:
        if not any(isinstance(known, LogLimit) for known in handler.filters):
            handler.addFilter(LogLimit(handler))
