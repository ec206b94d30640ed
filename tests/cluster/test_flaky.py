"""However an API server fails, a cache asks little and is up to date soon after it works again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from failing import (
    HANGING,
    MOST_A_MINUTE,
    SCALE,
    VISIBLE_AFTER_HANG_SECONDS,
    VISIBLE_SECONDS,
    Measured,
    faster,
    measure,
    short_limits,
)
from flaky_api import MODES

__all__ = ["short_limits"]

SPAN_SECONDS = 60.0
STALE = ("refuse", "html", "json", "error", "busy", "garbage", "half", "hang", "freeze", "body", "short")
"""Modes in which a cache cannot know of changes."""


def visible_within(mode: str) -> float:
    return VISIBLE_AFTER_HANG_SECONDS if mode in HANGING else VISIBLE_SECONDS


@pytest.mark.usefixtures("short_limits")
@pytest.mark.parametrize("mode", MODES)
async def test_a_failing_api_is_asked_seldom_and_shown_soon_after(mode: str, tmp_path: Path) -> None:
    found = await measure(tmp_path, mode, SPAN_SECONDS / SCALE / 2, faster(), slow_seconds=0.5)
    assert found.requests <= MOST_A_MINUTE * 0.6, found  # in half of a minute that runs ten times as fast
    assert found.visible <= visible_within(mode) / SCALE + 1.0, found  # a second for a busy machine


@pytest.mark.slow
async def test_requests_and_recovery_with_the_real_pauses(tmp_path: Path) -> None:
    async def one(mode: str) -> Measured:
        (tmp_path / mode).mkdir()
        return await measure(tmp_path / mode, mode, SPAN_SECONDS)

    measured = await asyncio.gather(*map(one, MODES))
    assert {found.mode: found.requests for found in measured if found.requests > MOST_A_MINUTE} == {}
    assert {found.mode: found.visible for found in measured if found.visible > visible_within(found.mode)} == {}
    assert {found.mode for found in measured if not found.stale} & set(STALE) == set()
