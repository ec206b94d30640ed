"""Durations as kubectl prints them, in one or two units."""

from __future__ import annotations

from datetime import datetime, timezone

_YEAR = 365 * 24


def since(timestamp: str | None) -> str:
    """Return the time since a timestamp: 45s, 3m20s, 5h, 12d, 2y10d.

    Returns `<unknown>` without a timestamp, `<invalid>` for a malformed or future one.
    """
    if not timestamp:
        return "<unknown>"
    try:
        then = datetime.fromisoformat(timestamp.replace("Z", "+00:00"))
        seconds = int((datetime.now(timezone.utc) - then).total_seconds())
    except (ValueError, TypeError):
        return "<invalid>"
    return "<invalid>" if seconds < -1 else format_duration(max(0, seconds))


def format_duration(seconds: int) -> str:
    """Return a duration of zero or more seconds."""
    minutes, hours = seconds // 60, seconds // 3600
    days = hours // 24
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return _two_units(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two_units(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two_units(days, "d", hours % 24, "h")
    if hours < 2 * _YEAR:
        return f"{days}d"
    if hours < 8 * _YEAR:
        return _two_units(hours // _YEAR, "y", days % 365, "d")
    return f"{hours // _YEAR}y"


def _two_units(large: int, unit: str, small: int, other: str) -> str:
    return f"{large}{unit}{small}{other}" if small else f"{large}{unit}"
