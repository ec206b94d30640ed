"""Formats log records as JSON, one object per line.

Each line has `ts`, `level`, `logger` and `msg`, the fields of `log_fields`, those that were passed
as `extra`, and `error` with the traceback of an exception.
"""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from datetime import datetime, timezone
from typing import Any, TextIO

from pythonjsonlogger.json import JsonFormatter as BaseJsonFormatter

from jupyter_workspaces.common.listeners import log_limit
from jupyter_workspaces.common.terminal import to_json

log_fields: ContextVar[dict[str, str] | None] = ContextVar("log_fields", default=None)
"""Fields for all lines of the current task, such as the name of the object that it reconciles."""


class JsonFormatter(BaseJsonFormatter):
    """Formatter with our field names, which writes no control characters to a terminal."""

    def __init__(self) -> None:
        """Create the formatter; it has no options."""
        super().__init__(rename_fields={"message": "msg", "exc_info": "error"})

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        """Add our fields before those of the library."""
        created = datetime.fromtimestamp(record.created, timezone.utc)
        log_data["ts"] = created.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        log_data["level"] = record.levelname.lower()
        log_data["logger"] = record.name.removeprefix("jupyter_workspaces.")
        log_data["msg"] = record.message
        log_data.update(log_fields.get() or {})
        super().add_fields(log_data, record, message_dict)

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        """Return the line."""
        return to_json(log_data, default=str)


def set_up(level: str, stream: TextIO = sys.stderr) -> None:
    """Write the logs of the whole process to `stream` as JSON, with a limit on their rate."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    log_limit.limit([handler])
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
