"""What a request for a pod's log asks, and who answers it: the node registers a reader with the API server."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from .status import bad_request


@dataclass(frozen=True)
class LogOptions:
    """Query of `GET pods/{name}/log` (Kubernetes API reference). `since` is a point in time, whichever way it was asked; `stream` is stdout or stderr."""

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail_lines: int | None = None
    limit_bytes: int | None = None
    since: datetime | None = None
    stream: str | None = None


class LogsUnavailable(Exception):
    """There is no such log; the text says why (`container "main" is waiting to start: …`)."""


PodLogReader = Callable[[Mapping[str, Any], str, LogOptions], AsyncGenerator[bytes, None]]
"""`(pod, container, options)` → pieces of the log. Raises `LogsUnavailable` before the first piece."""


def log_options(query: Mapping[str, str]) -> LogOptions:
    """Raises `Refusal` 400 naming the parameter."""
    since = None
    if query.get("sinceTime"):
        try:
            since = datetime.fromisoformat(query["sinceTime"].replace("Z", "+00:00"))
        except ValueError as error:
            raise bad_request(f"sinceTime is not an RFC 3339 time: {query['sinceTime']}") from error
        if since.tzinfo is None:
            since = since.replace(tzinfo=timezone.utc)
    if (seconds := _number(query, "sinceSeconds", 1)) is not None:
        since = datetime.now(timezone.utc) - timedelta(seconds=min(seconds, 10**8))
    return LogOptions(
        follow=_flag(query, "follow"),
        previous=_flag(query, "previous"),
        timestamps=_flag(query, "timestamps"),
        tail_lines=_number(query, "tailLines", 0),
        limit_bytes=_number(query, "limitBytes", 1),
        since=since,
    )


def _flag(query: Mapping[str, str], name: str) -> bool:
    value = query.get(name, "")
    if value in ("", "0", "f", "F", "false", "False", "FALSE"):
        return False
    if value in ("1", "t", "T", "true", "True", "TRUE"):
        return True
    raise bad_request(f"{name} must be true or false, not {value}")


def _number(query: Mapping[str, str], name: str, least: int) -> int | None:
    text = query.get(name, "")
    if not text:
        return None
    try:
        value = int(text)
    except ValueError as error:
        raise bad_request(f"{name} must be a whole number, not {text}") from error
    if value < least:
        raise bad_request(f"{name} must be at least {least}")
    return value
