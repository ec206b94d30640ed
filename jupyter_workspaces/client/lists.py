"""Lists of workspaces and kinds that render as tables and convert to data frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, overload

from . import display
from .errors import WorkspaceError
from .kinds import Kind
from .workspace import Workspace

T = TypeVar("T")


class Table(Sequence[T]):
    """Immutable list that renders as a table."""

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
        """Return headings and cells as text."""
        raise NotImplementedError

    def records(self) -> list[Mapping[str, Any]]:
        """Return each item as a dict of plain values."""
        raise NotImplementedError

    def __repr__(self) -> str:
        headings, rows = self.rows()
        return display.aligned(headings, rows) if rows else "(none)"

    def to_dataframe(self) -> Any:
        """Return a pandas DataFrame. Raises `WorkspaceError` if pandas is not installed."""
        try:
            import pandas
        except ImportError as error:
            raise WorkspaceError(
                "Cannot create a data frame: pandas is not installed.",
                "Install it: %pip install pandas",
            ) from error
        records = self.records()
        return pandas.DataFrame(records, columns=list(records[0]) if records else self.rows()[0])


class WorkspaceList(Table[Workspace]):
    """Result of `jw.list()`. `where` is the namespace as text, for messages."""

    def __init__(
        self,
        items: Iterable[Workspace],
        where: str = "",
        volumes: Callable[[str], Mapping[str, list[str]]] | None = None,
    ) -> None:
        super().__init__(items)
        self.where, self._volumes = where, volumes

    def learn_volumes(self) -> None:
        """Set `mounts` of each workspace, if you are allowed to list volumes."""
        if self._volumes is None:
            return
        for namespace in {one.namespace for one in self}:
            try:
                known = self._volumes(namespace)
            except WorkspaceError as error:
                if error.status not in (401, 403, 404):
                    raise
                continue
            for one in self:
                if one.namespace == namespace:
                    one.mounts = sorted(known.get(one.name, []))

    def __repr__(self) -> str:
        return super().__repr__() if self else f"No workspaces in {self.where}."

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """Return headings and cells as text."""
        return display.workspaces_rows(self)

    def records(self) -> list[Mapping[str, Any]]:
        """Return each workspace as a dict; times are aware datetimes or None."""
        self.learn_volumes()
        times = ("created", "last_used")
        return [
            {
                **one.to_dict(),
                "image_name": one.image_name,
                "size_words": one.size_words,
                **dict(zip(times, (_time(one.created), _time(one.last_activity)), strict=True)),
            }
            for one in self
        ]

    def _repr_html_(self) -> str:
        return display.workspaces_table(self, self.where)


class KindList(Table[Kind]):
    """Result of `jw.kinds()`."""

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """Return headings and cells as text."""
        return display.kinds_rows(self)

    def records(self) -> list[Mapping[str, Any]]:
        """Return each kind as a dict of plain values."""
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
