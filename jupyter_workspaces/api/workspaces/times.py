"""Times of Kubernetes objects in the form that the API returns."""

from __future__ import annotations

from datetime import datetime


def milliseconds(timestamp: str | None) -> int:
    """Of an RFC 3339 time; 0 for none, and for what cannot be read."""
    try:
        return int(datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp() * 1000) if timestamp else 0
    except (ValueError, OverflowError):
        return 0
