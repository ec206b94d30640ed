"""Limits of a document's size, and the errors for larger ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class DocumentError(ValueError):
    """The document cannot be read. The message is for its author and may quote the document.

    `line` counts from 1; None if it is not known.
    """

    def __init__(self, message: str, *, line: int | None = None) -> None:
        """Make an error with an optional line number."""
        super().__init__(message)
        self.line = line


class TooLarge(DocumentError):
    """The document, or what it expands to, is larger than the bounds allow."""


class TooDeep(DocumentError):
    """The document is nested deeper than the bounds allow."""


def copy_json(value: Any) -> Any:
    """Return a copy of JSON values, faster than `copy.deepcopy`. Check their bounds before."""
    if isinstance(value, dict):
        return {key: copy_json(child) for key, child in value.items()}
    return [copy_json(child) for child in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class Bounds:
    """Limits of one document.

    Attributes:
        size: bytes of its text, or characters of all its texts.
        depth: levels of nesting.
        values: number of keys, texts, numbers, lists and objects.
    """

    size: int
    depth: int
    values: int

    def check(self, document: Any, what: str = "The document") -> None:
        """Check a document. Raises `TooLarge`, `TooDeep`."""
        self.measure(document, what)

    def measure(self, document: Any, what: str = "The document") -> tuple[int, int]:
        """Return the number of values and the length of all texts.

        Raises `TooLarge`, `TooDeep` as soon as a limit is exceeded.
        """
        values, letters = 0, 0
        level = [document]
        for _ in range(self.depth + 1):
            below: list[Any] = []
            for value in level:
                if isinstance(value, str):
                    letters += len(value)
                elif isinstance(value, dict):
                    values += len(value)
                    letters += sum(map(len, value))
                    below.extend(value.values())
                elif isinstance(value, list):
                    below.extend(value)
            values += len(level)
            if values + len(below) > self.values:
                raise TooLarge(f"{what} has more than {self.values} values. Send fewer of them.")
            if letters > self.size:
                raise TooLarge(f"{what} holds more than {self.size} characters of text. Send less.")
            if not below:
                return values, letters
            level = below
        raise TooDeep(f"{what} is nested deeper than {self.depth} levels.")
