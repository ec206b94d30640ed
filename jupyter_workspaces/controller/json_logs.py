"""Logs as JSON, one object a line: when, how grave, who, what, and about which object."""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from datetime import datetime, timezone
from typing import TextIO

from jupyter_workspaces.common.listeners import log_limit
from jupyter_workspaces.common.terminal import to_json

subject: ContextVar[dict[str, str] | None] = ContextVar("subject", default=None)
"""What the present task works on; every line that is logged meanwhile says it."""

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Everything given as `extra` stands beside `msg`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "ts": datetime.fromtimestamp(record.created, timezone.utc)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name.removeprefix("jupyter_workspaces."),
            "msg": record.getMessage(),
            **(subject.get() or {}),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _OWN}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return to_json(line, default=str)


def set_up(level: str, stream: TextIO = sys.stderr) -> None:
    """For the whole process."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    log_limit.limit([handler])
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
