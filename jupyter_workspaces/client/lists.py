"""Lists that look like tables in a cell, and become data frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar, overload

from . import display
from .errors import WorkspaceError
from .kinds import Kind
from .workspace import Workspace

T = TypeVar("T")


class Table(Sequence[T]):
    """An unchanging list with a table's face."""

    def __init__(self, items: Iterable[T]) -> None:
        self._items = tuple(items)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...

    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """Headings and cells as texts."""
        raise NotImplementedError

    def records(self) -> list[Mapping[str, Any]]:
        """Each item as plain values."""
        raise NotImplementedError

    def __repr__(self) -> str:
        headings, rows = self.rows()
        return display.plain(headings, rows) if rows else "(none)"

    def to_dataframe(self) -> Any:
        """A pandas DataFrame, a row for each item. Raises `WorkspaceError` when pandas is not installed."""
        try:
            import pandas
        except ImportError as error:
            raise WorkspaceError("A data frame needs pandas, which is not installed here.", "Install it: %pip install pandas") from error
        records = self.records()
        return pandas.DataFrame(records, columns=list(records[0]) if records else self.rows()[0])


class WorkspaceList(Table[Workspace]):
    """What `jw.list()` gives."""

    def rows(self) -> tuple[list[str], list[list[str]]]:
        return display.workspaces_rows(self)

    def records(self) -> list[Mapping[str, Any]]:
        """With times as aware datetimes, None where there is none."""
        return [
            {
                **one.to_dict(),
                "image_name": one.image_name,
                "size_words": one.size_words,
                "created": _time(one.created),
                "last_activity": _time(one.last_activity),
            }
            for one in self
        ]

    def _repr_html_(self) -> str:
        return display.workspaces_table(self)


class KindList(Table[Kind]):
    """What `jw.kinds()` gives."""

    def rows(self) -> tuple[list[str], list[list[str]]]:
        return display.kinds_rows(self)

    def records(self) -> list[Mapping[str, Any]]:
        return [
            {
                "name": kind.name,
                "display_name": kind.display_name,
                "description": kind.description,
                "deprecated": kind.deprecated,
                "images": [option.id for option in kind.images if not option.hidden],
                "sizes": [option.id for option in kind.sizes if not option.hidden],
                "workspaces": kind.workspaces,
            }
            for kind in self
        ]

    def _repr_html_(self) -> str:
        return display.kinds_table(self)


def _time(milliseconds: float) -> Any:
    from datetime import datetime, timezone

    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc) if milliseconds else None
