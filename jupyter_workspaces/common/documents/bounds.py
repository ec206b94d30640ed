"""How large a document may be, and what is raised for one that is larger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class DocumentError(ValueError):
    """The document cannot be read. The text says why, in words for the person who sent it: it may quote the document.

    `line` counts from 1; None if it is not known.
    """

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class TooLarge(DocumentError):
    """The document, or what it expands to, is larger than the bounds allow."""


class TooDeep(DocumentError):
    """The document is nested deeper than the bounds allow."""


def copied(value: Any) -> Any:
    """Return a copy of JSON values, faster than `copy.deepcopy`. What is copied must be known to be within bounds."""
    if isinstance(value, dict):
        return {key: copied(child) for key, child in value.items()}
    return [copied(child) for child in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class Bounds:
    """Bounds of one document: bytes of its text, levels of nesting, and values (keys, texts, numbers, lists, objects)."""

    size: int
    depth: int
    values: int

    def check(self, document: Any, what: str = "The document") -> None:
        """Raises `TooLarge`, `TooDeep` beyond the bounds. `size` bounds the length of all texts together."""
        self.measure(document, what)

    def measure(self, document: Any, what: str = "The document") -> tuple[int, int]:
        """Return how many values there are and how long their texts are together. Raises `TooLarge`, `TooDeep` as soon as it is too much."""
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
                raise TooLarge(f"{what} holds more than {self.size} letters of text. Send less.")
            if not below:
                return values, letters
            level = below
        raise TooDeep(f"{what} is nested deeper than {self.depth} levels.")
