"""Limits of what one place in the code may log."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from jupyter_workspaces.common.listeners import log_limit
from jupyter_workspaces.common.listeners.log_limit import LogLimit


@pytest.fixture
def written() -> Iterator[tuple[logging.Logger, io.StringIO, LogLimit]]:
    text = io.StringIO()
    handler, logger = logging.StreamHandler(text), logging.getLogger("limited")
    bound = LogLimit(handler, lines=3, seconds=60.0)
    handler.addFilter(bound)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield logger, text, bound
    logger.removeHandler(handler)


def lines(text: io.StringIO) -> list[str]:
    return text.getvalue().splitlines()


def test_similar_messages_are_counted_and_not_written(
    written: tuple[logging.Logger, io.StringIO, LogLimit], monkeypatch: pytest.MonkeyPatch
) -> None:
    logger, text, _ = written
    for number in range(10):
        logger.warning("404 GET /%d", number)
    logger.warning("something else")
    assert lines(text) == ["404 GET /0", "404 GET /1", "404 GET /2", "something else"]

    now = log_limit.time.monotonic()
    monkeypatch.setattr(log_limit.time, "monotonic", lambda: now + 61)
    logger.warning("later")
    assert lines(text)[4:] == ["Suppressed 7 similar messages", "later"]


def test_levels_and_places_are_told_apart_and_debugging_is_not_bounded(
    written: tuple[logging.Logger, io.StringIO, LogLimit],
) -> None:
    logger, text, _ = written
    for level in (logging.DEBUG, logging.INFO, logging.ERROR):
        for _number in range(5):
            logger.log(level, "level %d", level)

    assert [
        lines(text).count(f"level {level}")
        for level in (logging.DEBUG, logging.INFO, logging.ERROR)
    ] == [5, 3, 3]


def test_a_long_message_is_cut(written: tuple[logging.Logger, io.StringIO, LogLimit]) -> None:
    logger, text, _ = written
    logger.warning("GET /%s", "x" * 60_000)

    assert len(text.getvalue()) < 5000
    assert "(60005 characters)" in text.getvalue()


def test_each_handler_is_bounded_once_and_what_has_none_as_well() -> None:
    handler = logging.StreamHandler(io.StringIO())
    last = logging.lastResort
    assert last is not None
    before = list(last.filters)
    try:
        log_limit.limit([handler])
        log_limit.limit([handler])
        assert len([one for one in handler.filters if isinstance(one, LogLimit)]) == 1
        assert len([one for one in last.filters if isinstance(one, LogLimit)]) == 1
    finally:
        last.filters = before
