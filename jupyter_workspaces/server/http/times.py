"""Time format of the API."""

from __future__ import annotations

from datetime import datetime


def rfc3339(at: datetime) -> str:
    """Format a UTC time with whole seconds (RFC 3339)."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
