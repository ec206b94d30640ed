"""Lists that look like tables in a cell, and become data frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from . import display
from .errors import WorkspaceError

if TYPE_CHECKING:
    from .kinds import Kind
    from .workspace import Workspace

T = TypeVar("T")


class Table(Sequence[T], ABC, Generic[T]):
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

    @abstractmethod
    def rows(self) -> tuple[list[str], list[list[str]]]:
        """Headings and cells as texts."""

    def __repr__(self) -> str:
        headings, rows = self.rows()
        return display.plain(headings, rows) if rows else "(none)"

    def to_dataframe(self) -> Any:
        """A pandas DataFrame. Raises `WorkspaceError` when pandas is not installed."""
        try:
            import pandas
        except ImportError as error:
            raise WorkspaceError("A data frame needs pandas, which is not installed here.", "Install it: %pip install pandas") from error
        headings, rows = self.rows()
        return pandas.DataFrame(rows, columns=headings)


class WorkspaceList(Table["Workspace"]):
    """What `jw.list()` gives."""

    def rows(self) -> tuple[list[str], list[list[str]]]:
        return display.workspaces_rows(self)

    def _repr_html_(self) -> str:
        return display.workspaces_table(self)


class KindList(Table["Kind"]):
    """What `jw.kinds()` gives."""

    def rows(self) -> tuple[list[str], list[list[str]]]:
        return display.kinds_rows(self)

    def _repr_html_(self) -> str:
        return display.kinds_table(self)
