"""Decides which texts of exceptions may be shown: only ours, which hold no secrets."""

from __future__ import annotations

import traceback


class PlainError(Exception):
    """Base of errors whose texts are ours: they hold no credentials and no texts of others."""


def public_text(error: BaseException) -> str:
    """Return the text of our errors, and only the type of others: their text may hold secrets."""
    if isinstance(error, PlainError):
        return str(error) or type(error).__name__
    return f"An unexpected error happened ({type(error).__name__}). The server's log says where."


def code_location(error: BaseException) -> str:
    """Return type and location of an unexpected error, for a log, without its text."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return " < ".join(
        [
            type(error).__name__,
            *(f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in reversed(frames)),
        ]
    )
