"""The log of a container: options of the request, and the stream of the response.

The node registers a `PodLogReader` with the API server, which reads the log.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from aiohttp import web

from jupyter_workspaces.kube import causes
from jupyter_workspaces.kube.catalog import Resource
from jupyter_workspaces.localkube.apiserver.http.status import bad_request, invalid

OPTIONS = Resource("", "v1", "pods", "PodLogOptions")
STREAMS = ("All", "Stderr", "Stdout")
_MAX_INT64 = 2**63 - 1
_FALSE = ("false", "0")
_TIME = (
    ("2006", r"\d{4}"),
    ("-", "-"),
    ("01", r"\d\d"),
    ("-", "-"),
    ("02", r"\d\d"),
    ("T", "T"),
    ("15", r"\d\d"),
    (":", ":"),
    ("04", r"\d\d"),
    (":", ":"),
    ("05", r"\d\d(?:[.,]\d+)?"),
    ("Z07:00", r"Z|[+-]\d\d:\d\d"),
)
"""The parts of an RFC 3339 time, as error messages of Go's `time.Parse` name them."""


@dataclass(frozen=True)
class LogOptions:
    """Options of `GET pods/NAME/log` (Kubernetes API reference, PodLogOptions).

    Attributes:
        since: point in time, from `sinceTime` or `sinceSeconds`.
        stream: `stdout` or `stderr`; None for both.
    """

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail_lines: int | None = None
    limit_bytes: int | None = None
    since: datetime | None = None
    stream: str | None = None


class LogsUnavailable(Exception):
    """The log does not exist; the message says why.

    Such as `container "main" is waiting to start: …`.
    """


PodLogReader = Callable[[Mapping[str, Any], str, LogOptions], AsyncGenerator[bytes, None]]
"""Reads a log: `(pod, container, options)` → chunks.

Raises:
    LogsUnavailable: before the first chunk.
"""


async def stream_log(
    request: web.Request, pieces: AsyncGenerator[bytes, None]
) -> web.StreamResponse:
    """Respond with the chunks as they arrive.

    Raises:
        LogsUnavailable: before anything is sent.
    """
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    first = await anext(pieces, None)
    await response.prepare(request)
    if first is not None:
        await response.write(first)
        async for piece in pieces:
            await response.write(piece)
    await response.write_eof()
    return response


def log_options(pod: str, query: Mapping[str, str]) -> LogOptions:
    """Return the log options of a query.

    Args:
        pod: name of the pod, for error messages.
        query: query of the request.

    Raises:
        Refusal: 400 for malformed values, 422 for invalid ones.
    """
    tail, limit, seconds = (
        _number(query, name) for name in ("tailLines", "limitBytes", "sinceSeconds")
    )
    since, stream = _time(query.get("sinceTime", "")), query.get("stream")
    found = []
    if tail is not None and tail < 0:
        found.append(causes.invalid("tailLines", tail, "must be greater than or equal to 0"))
    if limit is not None and limit < 1:
        found.append(causes.invalid("limitBytes", limit, "must be greater than 0"))
    if seconds is not None and since is not None:
        found.append(
            causes.forbidden("[]", "at most one of `sinceTime` or `sinceSeconds` may be specified")
        )
    elif seconds is not None and seconds < 1:
        found.append(causes.invalid("sinceSeconds", seconds, "must be greater than 0"))
    if stream is not None and stream not in STREAMS:
        found.append(causes.not_supported("stream", stream, list(STREAMS)))
    elif stream in ("Stdout", "Stderr") and tail is not None:
        found.append(
            causes.forbidden(
                "[]", "`tailLines` and specific `stream` are mutually exclusive for now"
            )
        )
    if found:
        raise invalid(OPTIONS, pod, found)
    if seconds is not None:
        since = datetime.now(timezone.utc) - timedelta(seconds=min(seconds, 10**9))
    return LogOptions(
        follow=flag(query, "follow"),
        previous=flag(query, "previous"),
        timestamps=flag(query, "timestamps"),
        tail_lines=tail,
        limit_bytes=limit,
        since=since,
        stream=stream.lower() if stream in ("Stdout", "Stderr") else None,
    )


def flag(query: Mapping[str, str], name: str) -> bool:
    """Return an option of a pod's subresource: true unless absent, `false` or `0`."""
    return name in query and query[name].lower() not in _FALSE


def _number(query: Mapping[str, str], name: str) -> int | None:
    if name not in query:
        return None
    text = query[name]
    if not re.fullmatch(r"[+-]?[0-9]+", text, re.ASCII):
        raise bad_request(f"strconv.ParseInt: parsing {causes.quoted(text)}: invalid syntax")
    value = int(text[:40])
    if not -_MAX_INT64 - 1 <= value <= _MAX_INT64:
        raise bad_request(f"strconv.ParseInt: parsing {causes.quoted(text)}: value out of range")
    return value


def _time(text: str) -> datetime | None:
    if not text:
        return None
    rest, parts = text, []
    layout = "".join(name for name, _ in _TIME)
    for name, pattern in _TIME:
        found = re.match(pattern, rest, re.ASCII)
        if found is None:
            raise bad_request(
                f"parsing time {causes.quoted(text)} as {causes.quoted(layout)}: "
                f'cannot parse {causes.quoted(rest)} as "{name}"'
            )
        parts.append(found[0])
        rest = rest[found.end() :]
    if rest:
        raise bad_request(f"parsing time {causes.quoted(text)}: extra text: {causes.quoted(rest)}")
    whole, _, fraction = parts[10].replace(",", ".").partition(".")
    zone = "+00:00" if parts[11] == "Z" else parts[11]
    try:
        return datetime.fromisoformat(
            "".join(parts[:10]) + f"{whole}.{(fraction + '000000')[:6]}{zone}"
        )
    except ValueError as error:
        raise bad_request(f"parsing time {causes.quoted(text)}: {error}") from error
