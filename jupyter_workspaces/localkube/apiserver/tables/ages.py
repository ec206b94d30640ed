"""Times as kubectl words them: how long ago, in one or two units."""

from __future__ import annotations

from datetime import datetime, timezone

_YEAR = 365 * 24


def since(timestamp: str | None) -> str:
    """45s, 3m20s, 5h, 12d, 2y10d; `<unknown>` without a time, `<invalid>` for what is none, or lies ahead."""
    if not timestamp:
        return "<unknown>"
    try:
        then = datetime.fromisoformat(timestamp.replace("Z", "+00:00"))
        seconds = int((datetime.now(timezone.utc) - then).total_seconds())
    except (ValueError, TypeError):
        return "<invalid>"
    return "<invalid>" if seconds < -1 else words(max(0, seconds))


def words(seconds: int) -> str:
    """A duration that is not negative."""
    minutes, hours = seconds // 60, seconds // 3600
    days = hours // 24
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if hours < 2 * _YEAR:
        return f"{days}d"
    if hours < 8 * _YEAR:
        return _two(hours // _YEAR, "y", days % 365, "d")
    return f"{hours // _YEAR}y"


def _two(large: int, unit: str, small: int, other: str) -> str:
    return f"{large}{unit}{small}{other}" if small else f"{large}{unit}"
