"""Times of Kubernetes objects and of our API (RFC 3339) as numbers."""

from __future__ import annotations

from datetime import datetime


def milliseconds(timestamp: str | None) -> int:
    """Return an RFC 3339 time in ms since 1970; 0 if it is missing or invalid."""
    if not timestamp:
        return 0
    try:
        return int(datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp() * 1000)
    except (ValueError, OverflowError):
        return 0
